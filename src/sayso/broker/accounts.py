"""Users, keys, groups and sessions: who may come in, and as whom."""

from sayso.broker.broker import Broker
from sayso.broker.groups import Groups
from sayso.broker.identities import Identities
from sayso.broker.keys import Keys
from sayso.broker.logins import Logins
from sayso.broker.passwords import Passwords
from sayso.broker.recorder import Recorder
from sayso.broker.users import Users

KEY_PREFIX = "lk_pub_"


class Accounts:
    """The services, on the store of a broker.

    Args:
        broker: the engine, whose store, signal and clock they use.
        key_prefix: what new keys begin with.

    Attributes:
        recorder: keeps what they change.
        users: the people with an account.
        groups: who is asked together.
        identities: whom an OpenID provider knows.
        keys: by which programs are known.
        logins: who is signed in.
    """

    def __init__(self, broker: Broker, *, key_prefix: str = KEY_PREFIX) -> None:
        store, clock = broker.store, broker.clock
        self.recorder = Recorder(broker.journal, broker.signal)
        self.recorder.changed.append(broker.tenants.forget_all)
        self._passwords = Passwords()
        self.users = Users(store, self.recorder, clock, self._passwords)
        self.groups = Groups(store, self.recorder, clock, self.users)
        self.identities = Identities(store, self.recorder, self.users)
        self.keys = Keys(store, self.recorder, clock, prefix=key_prefix)
        self.logins = Logins(store, self.recorder, clock, self.users)

    async def close(self) -> None:
        """Finish what is being noted, before the store is closed."""
        await self.keys.close()
        self._passwords.close()
