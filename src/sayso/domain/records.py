"""Small things that change seldom, as stores keep them: users, keys, groups, rules, grants, stops.

A store knows nothing of what is in one; it finds it by id, by handle, by owner and by tenant, and
changes it only from the version that the change was made from.
"""

from msgspec import Struct

from sayso.domain.accounts import DEFAULT_TENANT


class Record(Struct, frozen=True, kw_only=True):
    """One of them, as it is kept, or shall be kept.

    To be kept, what is there must be at `version - 1`: 1 is a new one. An empty `body` forgets it.
    """

    kind: str
    id: str
    """Unique in its kind, over all tenants."""
    tenant: str = DEFAULT_TENANT
    owner: str = ""
    """Whose it is, to find theirs by."""
    handle: str = ""
    """Another name that no other of its kind has, if not empty, such as the hash of a key."""
    version: int = 1
    body: bytes
    """JSON."""
