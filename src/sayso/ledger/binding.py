"""What ties a request to the log: each event of a change tells the hash of the request after it."""

import msgspec

from sayso.codec import encode_request
from sayso.domain.lifecycle import Change
from sayso.ledger.blocks import record_hash


def with_record(change: Change) -> Change:
    """The change, with `data.record` in its events: the request's hash as it will be kept."""
    told = {"record": record_hash(encode_request(change.request))}
    events = [
        msgspec.structs.replace(event, data=event.data | told)
        if event.request_id == change.request.id
        else event
        for event in change.events
    ]
    return msgspec.structs.replace(change, events=tuple(events))
