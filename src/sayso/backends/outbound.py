"""Asks by one signed POST to an address of one's own."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx2

from sayso import codec
from sayso.backends.webhook import CALLBACK_URL, OnTimeout, WebhookBackend
from sayso.domain.approvals import ApprovalRequest
from sayso.gate.ports import ApprovalError
from sayso.signatures import sign
from sayso.types import JsonObject

_SECONDS = 10.0
"""For one POST."""


class SimpleHTTPWebhookBackend(WebhookBackend):
    """POSTs each request as JSON, signed as Standard Webhooks say, and waits for the callback.

    Whoever receives it checks the signature with `secret` (`sayso.verify_webhook`), and answers to
    `callback_url`. Redirects are not followed.

    Args:
        outbound_url: where to POST.
        callback_base_url: the address under which answers come in.
        timeout_seconds: how long people have; 0: any time.
        headers: further ones to send.
        on_timeout: decides when nobody did. Default: no.
        secret: signs what is sent, and the address to answer to. Default: a new one, to be read
            from the attribute `secret`.
    """

    def __init__(
        self,
        outbound_url: str,
        callback_base_url: str = CALLBACK_URL,
        timeout_seconds: float = 300.0,
        headers: Mapping[str, str] | None = None,
        on_timeout: OnTimeout | None = None,
        *,
        secret: str | None = None,
    ) -> None:
        super().__init__(self._post, timeout_seconds, callback_base_url, on_timeout, secret=secret)
        self.outbound_url = outbound_url
        self.headers = dict(headers or {})

    async def _post(self, request: ApprovalRequest, callback_id: str, callback_url: str) -> None:
        data = payload(request, callback_id, callback_url)
        sent_at = datetime.now(UTC)
        event = {"type": "approval.requested", "timestamp": sent_at, "data": data}
        body = codec.encode(event | data)  # the same twice: for verify_webhook, and as hitloop does
        message_id, now = f"msg_{uuid.uuid4().hex}", int(sent_at.timestamp())
        headers = {
            **self.headers,
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": sign([self.secret], message_id, now, body),
        }
        if request.traceparent:
            headers["traceparent"] = request.traceparent
        async with httpx2.AsyncClient(timeout=_SECONDS, follow_redirects=False) as client:
            reply = await client.post(self.outbound_url, content=body, headers=headers)
        if not reply.is_success:
            raise ApprovalError(f"Failed to send webhook: {reply.status_code}")


def payload(request: ApprovalRequest, callback_id: str, callback_url: str) -> JsonObject:
    """What is POSTed."""
    action = request.action
    return {
        "callback_id": callback_id,
        "callback_url": callback_url,
        "run_id": request.run_id,
        "thread_id": request.thread_id,
        "action": {
            "id": action.id,
            "tool_name": action.tool_name,
            "tool_args": action.tool_args,
            "risk_class": action.risk_class,
            "side_effects": action.side_effects,
            "rationale": action.rationale,
            "summary": action.summary(),
            "digest": action.digest,
        },
        "policy_name": request.policy_name,
        "policy_reason": request.policy_reason,
        "context": request.summary_context,
        "traceparent": request.traceparent or None,
    }
