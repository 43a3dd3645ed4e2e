"""Questions of any graph to a Sayso server, and people's answers back into the thread.

What is asked and what was answered is on the server, where the thread stands is in the graph's
checkpointer, and nothing is here: another process goes on where one was killed.
"""

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, cast

import msgspec
from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Interrupt, StateSnapshot
from msgspec import Struct

from sayso.client.running import unreported
from sayso.domain.actions import Action, digest_of
from sayso.domain.requests import Request
from sayso.errors import (
    ConflictError,
    InvalidAnswerError,
    InvalidRequestError,
    InvalidTransitionError,
    RefusedError,
    SaysoError,
    UsageError,
)
from sayso.gate.ports import Approver
from sayso.langgraph.claims import Claims
from sayso.langgraph.outcomes import outcome_of, unknown
from sayso.langgraph.questions import Asked, Question, answer_to, asked_by
from sayso.types import Json, JsonObject

log = logging.getLogger("sayso.langgraph")

Answer: TypeAlias = Callable[[Interrupt, list[Request]], Json]
"""What to resume an interrupt with, given its decided requests."""


class Ended(Struct, frozen=True, kw_only=True):
    """How far a thread came.

    `finished`: to its end. `blocked`: a person's word cannot be brought to the graph, or the
    server lets nothing run. `elsewhere`: somebody else resumes it, or began to. `broken_off`: it
    is in the middle of its work, not at a question; somebody is at it, or broke off.
    """

    status: Literal["finished", "blocked", "elsewhere", "broken_off"]
    values: JsonObject
    """The state of the thread."""
    why: str = ""


class _Stop(Exception):  # noqa: N818  the thread goes no further for now, which is no error
    def __init__(self, status: Literal["blocked", "elsewhere"], why: str) -> None:
        self.status: Literal["blocked", "elsewhere"] = status
        self.why = why


class Bridge:
    """Has people at a server answer what a graph's threads ask.

    Args:
        graph: a compiled graph with a checkpointer; an agent of `create_agent` is one.
        approver: `AsyncClient`, or whatever else keeps requests.
        fields: more of each submission, such as `priority`, `session_id` or `timeout_seconds`.
            Without it there is no deadline: a thread waits as long as it takes.
        answer: makes the value to resume with of an interrupt and its decided requests, in place
            of what is known of Agent Inbox and LangChain. Raise `InvalidAnswerError` to leave the
            thread as it is.
    """

    def __init__(
        self,
        graph: Any,
        approver: Approver,
        *,
        fields: JsonObject | None = None,
        answer: Answer | None = None,
    ) -> None:
        if not graph.checkpointer:
            raise UsageError(
                "The graph has no checkpointer, so it cannot wait.",
                hint="Compile it with one: graph.compile(checkpointer=...).",
            )
        self._graph = graph
        self._approver = approver
        self._fields: JsonObject = {"timeout_seconds": None, **(fields or {})}
        self._answer = answer
        self._in_threads: bool | None = None
        self._claimed: set[str] = set()
        self._expired: set[str] = set()

    async def run(
        self,
        thread_id: str,
        input: Any = None,  # noqa: A002  LangGraph's word
        *,
        config: RunnableConfig | None = None,
        again: bool = False,
    ) -> Ended:
        """Bring a thread to its end, with people asked as often as it takes.

        A thread that waits already is gone on with, under whatever process it was begun. Each
        question is asked once, and each answer resumes the thread once, however many bridges are
        at work on it: the others are told `elsewhere`.

        Args:
            thread_id: the thread.
            input: begins it, or begins it anew. None: go on with it as it is.
            config: more of the graph's config.
            again: go on, too, where somebody else broke off. Say so only when that one runs no
                more: what it was in the middle of is done again.
        """
        config = self._config(thread_id, config)
        if input is not None:
            await self._invoke(input, config)
        while True:
            state = await self._state(config)
            values = cast("JsonObject", state.values)
            if not state.tasks:  # `next` leaves out those that are done, before the step is kept
                return Ended(status="finished", values=values)
            try:
                if state.interrupts:
                    await self._answered(thread_id, state, config, over=again)
                elif again:
                    await self._invoke(None, config)
                else:
                    at = ", ".join(task.name for task in state.tasks)
                    why = f"It is at {at}, and asks nothing: somebody is at it, or broke off."
                    return Ended(status="broken_off", values=values, why=why)
            except _Stop as stop:
                return Ended(status=stop.status, values=values, why=stop.why)

    async def recover(self, thread_ids: Iterable[str] | None = None) -> dict[str, Ended]:
        """Go on with all threads that wait for an answer; how far each came.

        Args:
            thread_ids: which. Default: all in the checkpointer, which for that is read as a whole.
        """
        found = list(thread_ids) if thread_ids is not None else await self._threads()
        ends = await asyncio.gather(*(self.run(each) for each in found))
        return dict(zip(found, ends, strict=True))

    async def _answered(
        self, thread_id: str, state: StateSnapshot, config: RunnableConfig, *, over: bool
    ) -> None:
        """Ask what is open, wait until something is decided, and resume with that."""
        asked = {each.id: asked_by(each) for each in state.interrupts}
        names = {name: f"sayso:{name}" for name in asked}
        if over:  # from whoever holds it now: of several that take over, one does
            names = {n: await self._claims.next(state.config, names[n]) for n in names}
        waiting = {
            asyncio.create_task(self._decided(thread_id, each)): each for each in asked.values()
        }
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            decided = [(waiting[task], task.result()) for task in done]
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        state = await self._state(config)
        still = {each.id: each for each in state.interrupts}
        answers: JsonObject = {}
        granted: list[tuple[Action, Request]] = []
        for each, requests in decided:
            if each.id not in still:
                continue  # somebody else resumed it meanwhile
            answer = self._value(still[each.id], each, requests)
            grants = await self._grants(each, requests, over=over)
            if grants is None:
                continue  # it is asked again
            if not await self._claims.take(state.config, names[each.id], secrets.token_hex(16)):
                raise _Stop("elsewhere", "Somebody else resumes the thread, or began to.")
            answers[each.id] = answer
            granted += grants
        if answers:
            await self._resume(answers, granted, config)

    async def _decided(self, thread_id: str, asked: Asked) -> list[Request]:
        """All requests of an interrupt, when the last of them is closed."""
        requests = [
            await self._submit(thread_id, asked.id, n, question)
            for n, question in enumerate(asked.questions)
        ]
        return [await self._closed(each) for each in requests]

    async def _closed(self, request: Request) -> Request:
        """It when it is closed; or what was asked in its place, when its grant had expired."""
        while True:
            while not request.is_terminal:
                request = await self._approver.wait(request.id)
            if request.id not in self._expired:
                return request
            reopen = getattr(self._approver, "reopen", None)
            if reopen is None:
                why = f"The grant of the request {request.id} expired before anybody took it."
                raise _Stop("blocked", why)
            request = await reopen(request.id)

    async def _submit(
        self, thread_id: str, interrupt_id: str, n: int, question: Question
    ) -> Request:
        """The request for a question: made now, or by whoever asked it before."""
        told = {"thread_id": thread_id, "interrupt_id": interrupt_id}
        fields = {**self._fields, **question.fields()}
        given = cast("JsonObject", self._fields.get("metadata") or {})
        fields["metadata"] = {**given, **fields["metadata"], **told}
        name = f"{thread_id}\n{interrupt_id}\n{n}"
        key = f"langgraph-{hashlib.sha256(name.encode()).hexdigest()[:40]}"
        action = question.action
        try:
            return await self._approver.submit(question.message, idempotency_key=key, **fields)
        except ConflictError:  # an earlier version of the program described it otherwise
            known = await self._approver.recall(key)
            if known is None or not _is_same(known, question):
                raise
            return known
        except InvalidRequestError:
            if action is None or action.args_schema is None or "action" not in fields:
                raise
            # The server takes no such schema, a recursive one for instance; the graph has its own
            # check of edits.
            fields["action"] = msgspec.structs.replace(action, args_schema=None)
            return await self._approver.submit(question.message, idempotency_key=key, **fields)

    def _value(self, interrupt: Interrupt, asked: Asked, requests: list[Request]) -> Json:
        try:
            if self._answer is not None:
                return self._answer(interrupt, requests)
            return answer_to(asked, requests)
        except InvalidAnswerError as error:
            raise _Stop("blocked", str(error)) from error

    async def _grants(
        self, asked: Asked, requests: list[Request], *, over: bool
    ) -> list[tuple[Action, Request]] | None:
        """Take the grants of what was approved; None if one was too old, and is asked again."""
        taken: list[tuple[Action, Request]] = []
        for question, request in zip(asked.questions, requests, strict=True):
            arguments = request.arguments
            if request.grant is None or question.action is None or arguments is None:
                continue
            action = question.action.with_args(arguments)
            try:
                if request.id not in self._claimed:
                    digest = digest_of(action.tool_name, arguments)
                    await self._approver.claim(request.id, digest)
            except InvalidTransitionError as error:
                if error.reason_code == "grant_expired":
                    self._expired.add(request.id)
                    return None
                if error.reason_code != "already_claimed":
                    raise _Stop("blocked", str(error)) from error
                if not over:
                    why = f"The grant of the request {request.id} was claimed already."
                    raise _Stop("elsewhere", why) from error
            except RefusedError as error:
                raise _Stop("blocked", str(error)) from error
            self._claimed.add(request.id)
            taken.append((action, request))
        return taken

    @property
    def _claims(self) -> Claims:
        return Claims(self._graph.checkpointer, in_threads=bool(self._in_threads))

    async def _resume(
        self, answers: JsonObject, granted: list[tuple[Action, Request]], config: RunnableConfig
    ) -> None:
        """Give the thread its answers, and tell the server what became of what was approved."""
        try:
            await self._invoke(Command(resume=answers), config)
        except BaseException as error:
            if isinstance(error, Exception):
                for _, request in granted:
                    await self._report(request, unknown(f"{type(error).__name__}: {error}"))
            raise
        values = (await self._state(config)).values
        for action, request in granted:
            await self._report(request, outcome_of(values, action, request.action))

    async def _report(self, request: Request, outcome: JsonObject) -> None:
        status = outcome.pop("status")
        try:
            await self._approver.report(request.id, status, **outcome)
        except SaysoError as error:
            unreported(request.id, error)

    async def _state(self, config: RunnableConfig) -> StateSnapshot:
        """Where the thread stands; finds out, too, whether the checkpointer knows event loops."""
        if self._in_threads is None:
            try:
                found: StateSnapshot = await self._graph.aget_state(config)
            except NotImplementedError:
                self._in_threads = True
            else:
                self._in_threads = False
                return found
        if self._in_threads:
            return await asyncio.to_thread(self._graph.get_state, config)
        return await self._graph.aget_state(config)

    async def _invoke(self, given: Any, config: RunnableConfig) -> None:
        if self._in_threads is None:
            await self._state(config)
        if self._in_threads:
            await asyncio.to_thread(self._graph.invoke, given, config)
        else:
            await self._graph.ainvoke(given, config)

    async def _threads(self) -> list[str]:
        """The ids of all threads in the checkpointer."""
        saver = self._graph.checkpointer

        def listed() -> list[str]:
            return [each.config["configurable"]["thread_id"] for each in saver.list(None)]

        if self._in_threads is None:
            await self._state(self._config("", None))
        if self._in_threads:
            found = await asyncio.to_thread(listed)
        else:
            found = [t.config["configurable"]["thread_id"] async for t in saver.alist(None)]
        return list(dict.fromkeys(found))

    def _config(self, thread_id: str, config: RunnableConfig | None) -> RunnableConfig:
        given = cast("JsonObject", config or {})
        configurable: JsonObject = {**(given.get("configurable") or {}), "thread_id": thread_id}
        return cast("RunnableConfig", {**given, "configurable": configurable})


def _is_same(request: Request, question: Question) -> bool:
    """Whether a request is about the same, whatever else was said with it."""
    if request.action is None or question.action is None:
        return request.action is None and request.message == question.message
    return request.action.digest == question.action.digest
