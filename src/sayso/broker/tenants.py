"""What a tenant has laid down: policy, review rules, standing grants, stops; looked up each time.

It is believed for a second, as all look-ups are; where that is too long (a grant is claimed), it
is read anew.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from sayso import codec
from sayso.broker.lookups import LookUps
from sayso.clock import Clock
from sayso.domain.accounts import Power
from sayso.domain.actions import Action
from sayso.domain.policies import PolicyVersion
from sayso.domain.records import Record
from sayso.domain.rules import ReviewRule, Rule, rule_for
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import Stop
from sayso.domain.users import LOCAL_PERSON, User
from sayso.errors import MissingExtraError, RefusedError, SaysoError
from sayso.policies.base import NO_CONTEXT, Context, Effect, Policy, Verdict
from sayso.stores.base import RecordQuery, RecordStore

T = TypeVar("T")

RULE, STANDING, STOP, USER = "rule", "standing", "stop", "user"
POLICY, POLICY_VERSION = "policy", "policy_version"
"""The kinds of records."""
MAX_RECORDS = 1_000
"""Of each kind, in one tenant."""
MAX_POLICIES = 1_000
"""How many texts of policies are held ready."""
WAY_OUT = (
    "Mend its text (sayso policy check tells each place) and put it in force: sayso policy push"
    " FILE; or go back to another version: sayso policy activate NUMBER."
)
"""Of a policy that cannot be used."""
LoadPolicy: TypeAlias = Callable[[str], Policy]
"""Makes a policy of its text. It raises a `SaysoError` that tells where it cannot."""

log = logging.getLogger("sayso.policies")


class Standing(Struct, frozen=True):
    """A standing grant, and the record that it was read from."""

    record: Record
    grant: StandingGrant


class ActivePolicy(Struct, frozen=True, kw_only=True):
    """A tenant's policy, ready to be asked."""

    version: int
    policy: Policy


class Tenant(Struct, frozen=True, kw_only=True):
    """What holds in a tenant."""

    rules: tuple[ReviewRule, ...] = ()
    standing: tuple[Standing, ...] = ()
    by_tool: dict[str, tuple[Standing, ...]] = {}
    """The standing grants by the tool that they are for, of those who may still decide."""
    stops: tuple[Stop, ...] = ()
    policy: ActivePolicy | None = None

    def rule(self, action: Action | None, asked: Rule | None) -> Rule | None:
        """What a request needs; None: one reviewer, whoever it is."""
        if asked is None and not any(each.matches(action) for each in self.rules):
            return None
        return rule_for(action, self.rules, asked)


class Tenants:
    """Looks up what holds in a tenant.

    Args:
        store: where it is kept.
        clock: what time it is.
        load: makes policies of their texts.
    """

    def __init__(self, store: RecordStore, clock: Clock, load: LoadPolicy) -> None:
        self._store = store
        self._load = load
        self._policies: dict[str, Policy] = {}
        self._known = LookUps(self._read, clock)

    def peek(self, tenant: str, now: datetime) -> Tenant | None:
        """As it was at most a second ago, if that is known already."""
        return self._known.peek(tenant, now)

    async def get(self, tenant: str) -> Tenant:
        """As it was at most a second ago; what this process changed counts at once."""
        return self._known.peek(tenant) or await self._known.get(tenant)

    async def fresh(self, tenant: str) -> Tenant:
        """As it is now."""
        return await self._read(tenant)

    def changed(self, tenant: str) -> None:
        """This process has changed something."""
        self._known.forget(tenant)

    def forget_all(self) -> None:
        """Somebody's role may have changed."""
        self._known.forget_all()

    async def _read(self, tenant: str) -> Tenant:
        standing = tuple(
            Standing(record, _read(record, StandingGrant))
            for record in await self._records(STANDING, tenant)
        )
        givers = {each.grant.given_by.id for each in standing}
        trusted = {giver for giver in givers if await self.may_decide(giver, tenant)}
        in_force = [each for each in standing if each.grant.given_by.id in trusted]
        tools = {each.grant.tool_name for each in in_force}
        return Tenant(
            rules=tuple(_read(record, ReviewRule) for record in await self._records(RULE, tenant)),
            standing=standing,
            by_tool={
                tool: tuple(each for each in in_force if each.grant.tool_name == tool)
                for tool in tools
            },
            stops=tuple(_read(record, Stop) for record in await self._records(STOP, tenant)),
            policy=await self._policy(tenant),
        )

    async def _policy(self, tenant: str) -> ActivePolicy | None:
        """The policy in force; one that cannot be loaded any more has people asked."""
        record = await self._store.get_record(POLICY, tenant)
        if record is None:
            return None
        kept = _read(record, PolicyVersion)
        if kept.is_removed:
            return None
        return ActivePolicy(version=kept.number, policy=await self._ready(kept, tenant))

    async def _ready(self, kept: PolicyVersion, tenant: str) -> Policy:
        policy = self._policies.get(kept.digest)
        if policy is None:
            try:
                policy = await loaded(self._load, kept.text)
            except SaysoError as error:
                log.error(
                    "version %d of the policy of tenant %r cannot be used, so people are asked"
                    " about everything: %s %s",
                    kept.number,
                    tenant,
                    error,
                    WAY_OUT,
                )
                policy = Unusable(str(error))
            if len(self._policies) >= MAX_POLICIES:
                self._policies.clear()
            self._policies[kept.digest] = policy
        return policy

    async def with_problem(self, kept: PolicyVersion, tenant: str) -> PolicyVersion:
        """A version in force, with why it cannot be used, if it cannot."""
        policy = await self._ready(kept, tenant)
        problem = f"{policy.why} {WAY_OUT}" if isinstance(policy, Unusable) else ""
        return msgspec.structs.replace(kept, problem=problem)

    async def try_policies(self) -> None:
        """Load the policies in force of all tenants, so that the log tells which cannot be used."""
        query = RecordQuery(kind=POLICY, tenant=None, limit=MAX_POLICIES)
        for record in await self._store.find_records(query):
            await self._policy(record.id)

    async def may_decide(self, person_id: str, tenant: str) -> bool:
        """Whether somebody who once decided here still may."""
        if person_id == LOCAL_PERSON:
            return True
        record = await self._store.get_record(USER, person_id)
        if record is None or record.tenant != tenant:
            return False
        return _read(record, User).may(Power.DECIDE)

    async def _records(self, kind: str, tenant: str) -> list[Record]:
        """All of them, however many: a stop that is not seen stops nothing."""
        found: list[Record] = []
        query = RecordQuery(kind=kind, tenant=tenant, limit=MAX_RECORDS)
        while True:
            page = await self._store.find_records(query)
            found += page
            if len(page) < MAX_RECORDS:
                return found
            query = msgspec.structs.replace(query, after=page[-1].id)


def _read(record: Record, kind: type[T]) -> T:
    """What a record holds.

    Raises:
        RefusedError: it cannot be read: it might forbid what somebody wants (`unreadable_record`).
    """
    try:
        return msgspec.json.decode(record.body, type=kind)
    except (*codec.UNREADABLE, TypeError, RecursionError) as error:  # it may not even be bytes
        what = f"The {record.kind} {record.id!r} in the database cannot be read"
        log.error("%s, so nothing is let through in tenant %r: %s", what, record.tenant, error)
        raise RefusedError(
            f"{what}: {error}.",
            hint="Put a rule again under its name; restore anything else from a backup. All such"
            " records are named by: sayso audit verify.",
            code="unreadable_record",
        ) from error


class Unusable(Policy):
    """Stands for a policy that was kept and cannot be loaded: people are asked about everything."""

    def __init__(self, why: str) -> None:
        self.why = why

    @property
    def name(self) -> str:
        """What verdicts call it."""
        return "unusable"

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """Ask."""
        reason = f"The policy cannot be used: {self.why}"
        return Verdict(effect=Effect.ASK, reason=reason, policy=self.name, is_doubtful=True)


async def loaded(load: LoadPolicy, text: str) -> Policy:
    """A policy of its text, made beside the event loop: that takes a while.

    Raises:
        SaysoError: it cannot be.
    """
    try:
        return await asyncio.to_thread(load, text)
    except SaysoError:
        raise
    except Exception as error:
        raise SaysoError(f"The policy cannot be loaded: {type(error).__name__}: {error}") from error


def no_policies(text: str) -> Policy:
    """Load nothing: what makes policies of texts was not given.

    Raises:
        MissingExtraError: always.
    """
    raise MissingExtraError("common-expression-language", "rules")
