"""The asyncio client: the same protocol, carried out without blocking."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx2

from sayso.client import keys, policies, rules, running, webhooks
from sayso.client import transport as http
from sayso.client.feed import Feed
from sayso.client.keys import Key, KeyWishes, Me
from sayso.client.messages import (
    LARGEST_PAGE,
    DecisionType,
    Event,
    Filters,
    Health,
    Page,
    Person,
    Submission,
    Topics,
    Wish,
)
from sayso.client.protocol import Protocol
from sayso.client.rules import Limits, Preview, StopKind
from sayso.client.steps import Lost, Operation, Reply, Send, Sleep
from sayso.client.webhooks import (
    Delivery,
    DeliveryFilters,
    DeliveryPage,
    Tested,
    Webhook,
    Wishes,
)
from sayso.domain.actions import Action
from sayso.domain.patterns import StandingDraft
from sayso.domain.policies import PolicyVersion
from sayso.domain.requests import Request
from sayso.domain.rules import KeptRule, ReviewRule
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import KeptStop, Stop
from sayso.errors import InvalidTransitionError, SaysoError
from sayso.types import Json, JsonObject

R = TypeVar("R")
T = TypeVar("T")


class AsyncClient:
    """Asks people, and waits for what they decide, without blocking the event loop.

    The arguments, the methods and the errors are those of `Client`, which describes them.
    Cancelling a task that waits leaves the request as it is.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 10.0,
        retry_seconds: float = 10.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._protocol = Protocol(base_url, token=token, retry_seconds=retry_seconds)
        self._timeout = timeout
        self._http = httpx2.AsyncClient(transport=transport, **http.settings(self._protocol))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def base_url(self) -> str:
        """The server's address, without a password in it, and without a slash at the end."""
        return self._protocol.base_url

    async def close(self) -> None:
        """Close the connections; waits in other tasks fail."""
        await self._http.aclose()

    async def submit(self, message: str, **fields: Unpack[Submission]) -> Request:
        """Ask, and return the pending request at once; see `Client.submit`."""
        return await self._run(self._protocol.submit(message, **fields))

    async def ask(
        self,
        message: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  returns the pending request
        **fields: Unpack[Submission],
    ) -> Request:
        """Submit, and wait: the decided request, or the pending one after `timeout` seconds."""
        return await self._run(self._protocol.ask(message, timeout=timeout, **fields))

    async def get(self, request_id: str) -> Request:
        """The request as it is now."""
        return await self._run(self._protocol.get(request_id))

    async def recall(self, idempotency_key: str) -> Request | None:
        """The request that this caller asked under the key; see `Client.recall`."""
        return await self._run(self._protocol.recall(idempotency_key))

    async def wait(
        self,
        request_id: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  returns the pending request
    ) -> Request:
        """Wait until it is decided, cancelled or expired; see `Client.wait`."""
        return await self._run(self._protocol.wait(request_id, timeout=timeout))

    async def cancel(self, request_id: str, reason: str = "") -> Request:
        """Withdraw the question; see `Client.cancel`."""
        return await self._run(self._protocol.cancel(request_id, reason))

    async def extend(self, request_id: str, timeout_seconds: float | None) -> Request:
        """Give people more time to answer; see `Client.extend`."""
        return await self._run(self._protocol.extend(request_id, timeout_seconds))

    async def claim(
        self, request_id: str, digest: str, *, facts: JsonObject | None = None
    ) -> Request:
        """Take the grant: once, for exactly what was approved; see `Client.claim`."""
        return await self._run(running.claim_digest(self._protocol, request_id, digest, facts))

    async def report(
        self,
        request_id: str,
        status: Literal["succeeded", "failed", "unknown"],
        *,
        result: Json = None,
        error: str = "",
    ) -> Request:
        """Tell what became of the run; see `Client.report`."""
        return await self._run(running.report(self._protocol, request_id, status, result, error))

    async def reopen(self, request_id: str, *, facts: JsonObject | None = None) -> Request:
        """Ask again what expired; see `Client.reopen`."""
        return await self._run(running.reopen(self._protocol, request_id, facts))

    async def run(
        self,
        message: str,
        execute: Callable[..., Awaitable[R]],
        *,
        action: Action | JsonObject,
        facts: Callable[[], Awaitable[JsonObject]] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  gives up waiting
        **fields: Unpack[Wish],
    ) -> R:
        """Ask, wait, claim, run, report; see `Client.run`. `execute` and `facts` are awaited."""
        taken = None if facts is None else await facts()
        request = await self._run(
            self._protocol.ask(message, timeout=timeout, action=action, facts=taken, **fields)
        )
        while True:
            try:
                taken = None if facts is None else await facts()
                claimed = await self._run(running.claim(self._protocol, request, taken))
                break
            except InvalidTransitionError as error:
                again = running.asked_again(error)
            request = await self.wait(again, timeout=timeout)
        try:
            result = await execute(**running.check_approved(claimed))
        except BaseException as error:
            await self._tell(claimed.id, running.failed(error))
            raise
        await self._tell(claimed.id, running.succeeded(result))
        return result

    async def _tell(self, request_id: str, outcome: dict[str, Any]) -> None:
        try:
            await self._run(running.report(self._protocol, request_id, **outcome))
        except SaysoError as error:
            running.unreported(request_id, error)

    async def decide(
        self,
        request_id: str,
        type: DecisionType,  # noqa: A002  the wire's word
        *,
        args: JsonObject | None = None,
        content: Json = None,
        option: str | None = None,
        reason: str = "",
        digest: str | None = None,
        remember: StandingDraft | JsonObject | None = None,
    ) -> Request:
        """Answer it, as the person who is signed in; see `Client.decide`."""
        return await self._run(
            self._protocol.decide(
                request_id,
                type,
                args=args,
                content=content,
                option=option,
                reason=reason,
                digest=digest,
                remember=remember,
            )
        )

    async def find(
        self, *, limit: int | None = None, **filters: Unpack[Filters]
    ) -> AsyncIterator[Request]:
        """Requests, newest first, fetched page by page; see `Client.find`."""
        after, left = None, limit
        while left is None or left > 0:
            size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
            page = await self.page(limit=size, after=after, **filters)
            for request in page.items:
                yield request
            if (after := page.next) is None:
                return
            left = None if left is None else left - len(page.items)

    async def page(
        self, *, limit: int | None = None, after: str | None = None, **filters: Unpack[Filters]
    ) -> Page:
        """One page of the requests, newest first; see `Client.page`."""
        return await self._run(self._protocol.page(limit=limit, after=after, **filters))

    async def events(
        self, after: int | None = None, **topics: Unpack[Topics]
    ) -> AsyncIterator[Event]:
        """What happens, as it happens; see `Client.events`."""
        feed = Feed(self._protocol, after, dict(topics))
        while True:
            end: Reply | Lost | None = None
            try:
                async with self._http.stream(**self._arguments(feed.send())) as response:
                    if http.is_stream(response):
                        feed.opened()
                        async for sse in httpx2.EventSource(response, None):
                            if (event := feed.receive(sse.id, sse.data)) is not None:
                                yield event
                    else:
                        await response.aread()
                        end = http.reply(response)
            except httpx2.RequestError as error:
                end = http.lost(error)
            await self._perform(feed.pause(end))

    async def add_webhook(self, url: str, **wishes: Unpack[Wishes]) -> Webhook:
        """Tell a URL of events from now on; see `Client.add_webhook`."""
        return await self._run(webhooks.register(self._protocol, url, dict(wishes)))

    async def webhooks(self) -> tuple[Webhook, ...]:
        """The subscriptions: an agent's own, all for a person; see `Client.webhooks`."""
        return await self._run(webhooks.find(self._protocol))

    async def remove_webhook(self, webhook_id: str) -> Webhook:
        """Send it nothing any more; see `Client.remove_webhook`."""
        return await self._run(webhooks.remove(self._protocol, webhook_id))

    async def rotate_webhook(self, webhook_id: str) -> Webhook:
        """Make a new secret; see `Client.rotate_webhook`."""
        return await self._run(webhooks.rotate(self._protocol, webhook_id))

    async def enable_webhook(self, webhook_id: str) -> Webhook:
        """Send to it again; see `Client.enable_webhook`."""
        return await self._run(webhooks.enable(self._protocol, webhook_id))

    async def disable_webhook(self, webhook_id: str) -> Webhook:
        """Send it nothing any more; see `Client.disable_webhook`."""
        return await self._run(webhooks.disable(self._protocol, webhook_id))

    async def test_webhook(self, webhook_id: str) -> Tested:
        """Send it something now, once; see `Client.test_webhook`."""
        return await self._run(webhooks.test(self._protocol, webhook_id))

    async def callback_secret(self) -> str:
        """What signs deliveries to requests' own `callback_url`; see `Client.callback_secret`."""
        return await self._run(webhooks.callback_secret(self._protocol))

    async def deliveries(self, **filters: Unpack[DeliveryFilters]) -> DeliveryPage:
        """One page of deliveries, newest first; see `Client.deliveries`."""
        return await self._run(webhooks.deliveries(self._protocol, dict(filters)))

    async def replay(self, delivery_id: str) -> Delivery:
        """Send a delivery again from the beginning, under the same id; see `Client.replay`."""
        return await self._run(webhooks.replay(self._protocol, delivery_id))

    async def standing_grants(self) -> tuple[StandingGrant, ...]:
        """The standing grants, newest first; those that were over within the last month, too."""
        return await self._run(rules.standing_grants(self._protocol))

    async def give_standing_grant(self, tool_name: str, **limits: Unpack[Limits]) -> StandingGrant:
        """Have what is alike approved from now on; see `Client.give_standing_grant`."""
        return await self._run(rules.give(self._protocol, tool_name, dict(limits)))

    async def preview_standing_grant(self, tool_name: str, **limits: Unpack[Limits]) -> Preview:
        """What it would have let through lately; see `Client.preview_standing_grant`."""
        return await self._run(rules.preview(self._protocol, tool_name, dict(limits)))

    async def revoke_standing_grant(self, grant_id: str) -> StandingGrant:
        """End it now; what it let through stays let through."""
        return await self._run(rules.revoke(self._protocol, grant_id))

    async def rules(self) -> tuple[KeptRule, ...]:
        """The review rules, by name."""
        return await self._run(rules.rules(self._protocol))

    async def put_rule(self, rule: ReviewRule | JsonObject) -> KeptRule:
        """Keep a rule; see `Client.put_rule`."""
        return await self._run(rules.put(self._protocol, rule))

    async def remove_rule(self, name: str) -> ReviewRule:
        """Forget a rule; requests that were made under it keep it."""
        return await self._run(rules.remove(self._protocol, name))

    async def policy(self, number: int | None = None) -> PolicyVersion | None:
        """A version of the policy; without a number the one in force. See `Client.policy`."""
        return await self._run(policies.get(self._protocol, number))

    async def policy_versions(self) -> tuple[PolicyVersion, ...]:
        """All versions of the policy, newest first, without their texts."""
        return await self._run(policies.versions(self._protocol))

    async def put_policy(
        self, text: str, *, note: str = "", replaces: int | None = None
    ) -> PolicyVersion:
        """Keep a new version of the policy; see `Client.put_policy`."""
        return await self._run(policies.put(self._protocol, text, note, replaces))

    async def activate_policy(
        self, number: int, *, note: str = "", replaces: int | None = None
    ) -> PolicyVersion:
        """Go back to an older version; see `Client.activate_policy`."""
        return await self._run(policies.activate(self._protocol, number, note, replaces))

    async def remove_policy(self, *, note: str = "", replaces: int | None = None) -> PolicyVersion:
        """Have no policy from now on; see `Client.remove_policy`."""
        return await self._run(policies.remove(self._protocol, note, replaces))

    async def stops(self) -> tuple[Stop, ...]:
        """What is stopped."""
        return await self._run(rules.stops(self._protocol))

    async def set_stop(self, kind: StopKind, value: str = "", *, reason: str = "") -> KeptStop:
        """Stop it; see `Client.set_stop`."""
        return await self._run(rules.stop(self._protocol, kind, value, reason))

    async def lift_stop(self, name: str) -> Stop:
        """Lift a stop; see `Client.lift_stop`."""
        return await self._run(rules.lift(self._protocol, name))

    async def sign_in(self, link_token: str) -> Person:
        """Exchange the token of a one-time link; see `Client.sign_in`."""
        return await self._run(self._protocol.sign_in(link_token))

    async def me(self) -> Me:
        """Who this client is to the server, and what it may do; see `Client.me`."""
        return await self._run(keys.me(self._protocol))

    async def create_key(self, **wishes: Unpack[KeyWishes]) -> Key:
        """Make a key for an agent; its text is in `key`, this once; see `Client.create_key`."""
        return await self._run(keys.create(self._protocol, {**wishes}))

    async def keys(self) -> tuple[Key, ...]:
        """One's own keys, oldest first, also those that ended; see `Client.keys`."""
        return await self._run(keys.find(self._protocol))

    async def revoke_key(self, key_id: str) -> Key:
        """Let a key open nothing any more; see `Client.revoke_key`."""
        return await self._run(keys.revoke(self._protocol, key_id))

    async def rotate_key(self, key_id: str, *, overlap_seconds: float = 0) -> Key:
        """Make a key in another's place, for the same agent; see `Client.rotate_key`."""
        return await self._run(keys.rotate(self._protocol, key_id, overlap_seconds))

    async def health(self) -> Health:
        """What the server says about itself."""
        return await self._run(self._protocol.health())

    async def _run(self, operation: Operation[T]) -> T:
        try:
            step = next(operation)
            while True:
                step = operation.send(await self._perform(step))
        except StopIteration as end:
            return end.value

    async def _perform(self, step: Send | Sleep) -> Reply | Lost | None:
        if isinstance(step, Sleep):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return http.reply(await self._http.request(**self._arguments(step)))
        except httpx2.RequestError as error:
            return http.lost(error)

    def _arguments(self, send: Send) -> http.Arguments:
        return http.arguments(self._http, self._protocol, send, self._timeout)
