"""The keys by which programs are known."""

from datetime import datetime

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT, Plane, Power, Principal, Scope


class ApiKey(Struct, frozen=True, kw_only=True):
    """One of them; its text is known to its holder only."""

    id: str
    """A UUID."""
    agent_id: str
    """Whom the log names; a key that takes this one's place has it too."""
    label: str = ""
    """For people."""
    prefix: str
    """What all keys made at that time begin with."""
    shown: str = ""
    """The beginning of its text, by which people tell keys apart."""
    key_hash: str
    """SHA-256 of its text, in hexadecimal digits."""
    scope: Scope = Scope.AGENT
    owner: str = ""
    """The id of the person whose it is; one that is nobody's opens nothing."""
    client_id: str | None = None
    """It is good for this client id only,"""
    session_pattern: str | None = None
    """and for sessions that match this glob."""
    tenant: str = DEFAULT_TENANT
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""
    revoked_at: datetime | None = None
    replaces: str | None = None
    """The id of the key in whose place it came."""

    @property
    def power(self) -> Power:
        """What its owner must be able to do, so that it reaches no further than they do."""
        return _POWERS[self.scope]

    @property
    def principal(self) -> Principal:
        """The agent whose key it is."""
        return Principal(
            plane=Plane.AGENT,
            id=self.agent_id,
            name=self.label or f"agent {self.agent_id[:8]}",
            tenant=self.tenant,
            role=self.scope,
            owner=self.owner,
            client_id=self.client_id,
            session_pattern=self.session_pattern,
        )

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything, as far as it depends on the key itself."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


_POWERS = {
    Scope.AGENT: Power.SUBMIT,
    Scope.READER: Power.READ,
    Scope.ADMIN: Power.MANAGE,
    Scope.LOCAL: Power.MANAGE,  # no key has it
}
