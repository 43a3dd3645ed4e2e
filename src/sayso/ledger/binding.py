"""What ties a request to the log: each event of a change tells the hash of the request after it."""

from sayso.codec import encode_request
from sayso.domain.lifecycle import Change
from sayso.ledger.blocks import record_hash


def bind(change: Change) -> Change:
    """Write `data.record` into the change's events: the request's hash as it will be kept.

    It stands in the events of this very change, which nobody has seen before it is kept.
    """
    hashed = record_hash(encode_request(change.request))
    for event in change.events:
        if event.request_id == change.request.id:
            event.data["record"] = hashed
    return change
