"""Approve and remember it, by a page of its own: for browsers without script."""

from sayso import codec
from sayso.domain.accounts import Power
from sayso.domain.decisions import Answer, Channel, DecisionType
from sayso.domain.requests import Request
from sayso.errors import InvalidRequestError, SaysoError
from sayso.server.forms import Fields, fields_of, remembered
from sayso.server.http import Call, Reply, redirect
from sayso.server.inbox import review
from sayso.server.routes.settings_pages import shown
from sayso.server.viewer import need


async def form(call: Call) -> Reply:
    """What is to be remembered, still to be said."""
    return await _page(call, await _request(call), Fields(b"asked_by=1&uses=10"))


async def give(call: Call) -> Reply:
    """Show what it would have let through; then, asked for it, approve and remember it."""
    need(call, Power.DECIDE)
    request, fields = await _request(call), fields_of(call)
    try:
        draft = remembered(request, fields)
        preview = await call.server.broker.standing.preview(draft, by=call.principal)
        previewed = codec.encode(draft).decode()
        if fields("go") != "approve" or fields("previewed") != previewed:
            return await _page(
                call, request, fields, preview=codec.builtins(preview), previewed=previewed
            )
        answer = Answer(type=DecisionType.APPROVE, digest=fields("digest") or None, remember=draft)
        await call.server.broker.decide(request.id, answer, by=call.principal, channel=Channel.WEB)
    except SaysoError as error:
        return await _page(call, request, fields, error)
    return redirect(f"/requests/{request.id}")


async def _request(call: Call) -> Request:
    need(call, Power.DECIDE)
    request = await call.server.broker.get(call.params["id"], by=call.principal)
    if not review.may_remember(codec.builtins(request)):
        raise InvalidRequestError(
            "The approval of this request cannot be remembered.",
            hint="High risk, and what takes more than one reviewer, is decided each time.",
        )
    return request


async def _page(
    call: Call,
    request: Request,
    fields: Fields,
    problem: SaysoError | None = None,
    *,
    preview: object = None,
    previewed: str = "",
) -> Reply:
    return await shown(
        call,
        "remember",
        problem,
        r=codec.builtins(request),
        field=fields,
        preview=preview,
        previewed=previewed,
    )
