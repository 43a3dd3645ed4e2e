"""One WebSocket that carries many operations of one caller; answers come as they are ready."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct
from starlette.responses import Response
from starlette.websockets import WebSocket

from sayso import codec
from sayso.domain.accounts import Principal
from sayso.errors import BusyError, InvalidRequestError, RefusedError, SaysoError
from sayso.server import problems
from sayso.server.http import Call, Endpoint, Reply, joined
from sayso.server.routes import grants, requests
from sayso.server.server import Server

log = logging.getLogger("sayso.server")

MAX_OPERATIONS = 1_000
"""Operations that one socket may have under way; one more is told to try again."""
SERVICE_RESTART = 1012
POLICY_VIOLATION = 1008

_OPERATIONS: dict[str, Endpoint] = {
    "submit": requests.submit,
    "get": requests.get,
    "wait": requests.get,
    "decide": requests.decide,
    "cancel": requests.cancel,
    "extend": requests.extend,
    "claim": grants.claim,
    "outcome": grants.report,
    "reopen": grants.reopen,
}


class Frame(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation; `ref` comes back with its answer."""

    op: Literal["submit", "get", "wait", "decide", "cancel", "extend", "claim", "outcome", "reopen"]
    ref: str | int | None = None
    request_id: str | None = None
    seconds: float = 60
    idempotency_key: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"")


class Stream:
    """The operations of one socket."""

    def __init__(self, socket: WebSocket, headers: Mapping[bytes, bytes]) -> None:
        self._socket = socket
        self._headers = headers
        self._server: Server = socket.app.state.server
        self._sending = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waits: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take frames until either side hangs up."""
        await self._socket.accept()
        self._server.sockets.add(self)
        try:
            while (message := await self._socket.receive())["type"] == "websocket.receive":
                await self._take(message.get("text"))
        finally:
            self._server.sockets.discard(self)
            for task in self._waits:  # the others are about to end; a decision is not left halfway
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Answer what is held (the waits are released already), then hang up."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close(SERVICE_RESTART, "The server stops; connect again.")

    async def check(self) -> None:
        """End, if whoever opened it may not come in any more."""
        try:
            await self._server.auth.principal(self._headers)
        except RefusedError:
            for task in self._waits:  # what was decided meanwhile is not theirs to know
                task.cancel()
            with contextlib.suppress(RuntimeError):  # it has just been closed
                await self._socket.close(POLICY_VIOLATION, "The credential is not valid any more.")

    async def _take(self, text: str | None) -> None:
        try:
            if text is None:
                raise InvalidRequestError("Frames are JSON in text, not binary.")
            frame = codec.decode_frame(Frame, text)
        except SaysoError as error:
            await self._answer(_ref_of(text or ""), problems.problem_reply(error))
            return
        if len(self._tasks) >= MAX_OPERATIONS:
            busy = BusyError(f"This socket has {MAX_OPERATIONS} operations under way.")
            await self._answer(frame.ref, problems.problem_reply(busy))
            return
        task = asyncio.ensure_future(self._operate(frame))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if frame.op == "wait":
            self._waits.add(task)
            task.add_done_callback(self._waits.discard)

    async def _operate(self, frame: Frame) -> None:
        if frame.op == "get":  # read only when it can be sent: many large ones are not held
            async with self._sending:
                await self._send(frame.ref, await self._reply(frame))
        else:
            await self._answer(frame.ref, await self._reply(frame))

    async def _reply(self, frame: Frame) -> Reply:
        try:
            # Asked anew each time: a session that has ended must not decide by an old socket.
            principal = await self._server.auth.principal(self._headers)
            return await _OPERATIONS[frame.op](self._call(frame, principal))
        except SaysoError as error:
            return problems.problem_reply(error)
        except Exception:
            log.exception("%s failed", frame.op)
            return problems.problem_reply(problems.internal())

    def _call(self, frame: Frame, principal: Principal) -> Call:
        if frame.op != "submit" and not frame.request_id:
            raise InvalidRequestError(f"The operation {frame.op!r} needs a `request_id`.")
        headers: dict[bytes, bytes] = {}
        if frame.idempotency_key is not None:
            headers[b"idempotency-key"] = frame.idempotency_key.encode()
        return Call(
            self._server,
            principal,
            params={"id": frame.request_id or ""},
            headers=headers,
            query_string=b"wait=%.3f" % frame.seconds if frame.op == "wait" else b"",
            body=bytes(frame.body),
        )

    async def _answer(self, ref: str | int | None, reply: Reply) -> None:
        async with self._sending:
            await self._send(ref, reply)

    async def _send(self, ref: str | int | None, reply: Reply) -> None:
        message = {"ref": ref, "status": reply.status, "body": msgspec.Raw(reply.body)}
        await self._socket.send_text(codec.encode(message).decode())


async def stream(socket: WebSocket) -> None:
    """Open a stream for whoever the headers say it is."""
    headers = joined(socket.scope["headers"])
    server: Server = socket.app.state.server
    try:
        server.auth.check_origin("WEBSOCKET", headers)
        await server.auth.principal(headers)
        if server.stopping or len(server.sockets) >= server.settings.max_waits:
            raise BusyError("Too many sockets are open.")
    except SaysoError as error:
        reply = problems.problem_reply(error)
        await socket.send_denial_response(_denial(reply))
        return
    await Stream(socket, headers).run()


def _denial(reply: Reply) -> Response:
    return Response(reply.body, reply.status, {k.decode(): v.decode() for k, v in reply.headers})


class _Ref(Struct):
    ref: str | int | None = None


def _ref_of(text: str) -> str | int | None:
    """The `ref` of a frame that is otherwise wrong, so that its sender can tell which it was."""
    try:
        return msgspec.json.decode(text, type=_Ref).ref
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
