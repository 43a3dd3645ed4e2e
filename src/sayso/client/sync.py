"""The blocking client: a driver that carries out the protocol's steps with threads and sleep."""

import time
from collections.abc import Callable, Iterator
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


class Client:
    """Asks people, and waits for what they decide. One may be shared by any number of threads.

    Every method raises the errors of `sayso.errors`: `ServerError` when no server answers,
    `InvalidRequestError` for what it cannot read, `RefusedError` and its kinds when the rules
    say no.

    Args:
        base_url: the server's address. Default: `$SAYSO_URL`, else `http://localhost:8080`.
        token: a key, or a person's bearer token. Default: `$SAYSO_API_KEY`, else none.
        timeout: seconds for the server to take a connection and to answer, waits not counted.
        retry_seconds: how long a submit is tried again while no server answers.
        transport: how HTTP requests are sent, for tests; an `httpx2.BaseTransport`.

    Raises:
        ConfigurationError: the address or the token cannot be used.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 10.0,
        retry_seconds: float = 10.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self._protocol = Protocol(base_url, token=token, retry_seconds=retry_seconds)
        self._timeout = timeout
        self._http = httpx2.Client(transport=transport, **http.settings(self._protocol))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The server's address, without a password in it, and without a slash at the end."""
        return self._protocol.base_url

    def close(self) -> None:
        """Close the connections; waits in other threads fail."""
        self._http.close()

    def submit(self, message: str, **fields: Unpack[Submission]) -> Request:
        """Ask, and return the pending request at once.

        Tried again under one idempotency key for `retry_seconds`, so that a lost connection
        never asks twice.

        Args:
            message: the question, for a person to read.
            fields: see `Submission`.
        """
        return self._run(self._protocol.submit(message, **fields))

    def ask(
        self, message: str, *, timeout: float | None = None, **fields: Unpack[Submission]
    ) -> Request:
        """Submit, and wait: the decided request, or the pending one after `timeout` seconds.

        Args:
            message: the question, for a person to read.
            timeout: seconds to wait. Default: until it is decided, cancelled or expired.
            fields: see `Submission`.
        """
        return self._run(self._protocol.ask(message, timeout=timeout, **fields))

    def get(self, request_id: str) -> Request:
        """The request as it is now."""
        return self._run(self._protocol.get(request_id))

    def recall(self, idempotency_key: str) -> Request | None:
        """The request that this caller asked under the key; None if none was, or it is gone."""
        return self._run(self._protocol.recall(idempotency_key))

    def wait(self, request_id: str, *, timeout: float | None = None) -> Request:
        """Wait until it is decided, cancelled or expired.

        A connection that breaks, a server that restarts or is busy only make it take longer.

        Args:
            request_id: which.
            timeout: seconds, after which the pending request is returned. Default: no limit.

        Raises:
            ServerError: in all of `timeout` the server has not answered once.
        """
        return self._run(self._protocol.wait(request_id, timeout=timeout))

    def cancel(self, request_id: str, reason: str = "") -> Request:
        """Withdraw the question.

        Raises:
            InvalidTransitionError: it is closed already.
        """
        return self._run(self._protocol.cancel(request_id, reason))

    def extend(self, request_id: str, timeout_seconds: float | None) -> Request:
        """Give people more time to answer.

        Args:
            request_id: which.
            timeout_seconds: seconds from now; None: any time they need.

        Raises:
            InvalidTransitionError: it is closed, or has more time already.
        """
        return self._run(self._protocol.extend(request_id, timeout_seconds))

    def claim(self, request_id: str, digest: str, *, facts: JsonObject | None = None) -> Request:
        """Take the grant: once, for exactly what was approved.

        Tried again under one key, so that a lost answer loses no grant.

        Args:
            request_id: which.
            digest: of the tool name and arguments that are about to run.
            facts: what holds now, if facts were told when it was asked.

        Raises:
            NotApprovedError: nothing was approved.
            InvalidTransitionError: the grant is for something else (`digest_mismatch`), used
                (`already_claimed`), too old (`grant_expired`), or what held when it was asked
                does not hold now (`facts_changed`: asked again, as the error's `request`).
        """
        return self._run(running.claim_digest(self._protocol, request_id, digest, facts))

    def report(
        self,
        request_id: str,
        status: Literal["succeeded", "failed", "unknown"],
        *,
        result: Json = None,
        error: str = "",
    ) -> Request:
        """Tell what became of the run, for whoever approved it to see.

        Raises:
            InvalidTransitionError: the grant was not claimed (`not_claimed`), or another outcome
                was reported (`already_reported`).
        """
        return self._run(running.report(self._protocol, request_id, status, result, error))

    def reopen(self, request_id: str, *, facts: JsonObject | None = None) -> Request:
        """Ask again what expired, as a question or as a grant that nobody claimed.

        Raises:
            InvalidTransitionError: it was decided otherwise, or may have run (`not_reopenable`).
        """
        return self._run(running.reopen(self._protocol, request_id, facts))

    def run(
        self,
        message: str,
        execute: Callable[..., R],
        *,
        action: Action | JsonObject,
        facts: Callable[[], JsonObject] | None = None,
        timeout: float | None = None,
        **fields: Unpack[Wish],
    ) -> R:
        """Ask, wait, claim, run, report: what was approved runs, once, and nothing else does.

        Args:
            message: the question, for a person to read.
            execute: what runs, with the approved arguments, which a person may have changed.
            action: `tool_name`, `tool_args` and so on, as in `Submission`.
            facts: takes what holds now, such as a balance: shown to people, and taken again
                before it runs; if it has changed meanwhile, they are asked again.
            timeout: seconds to wait for a decision. Default: until there is one.
            fields: see `Submission`.

        Returns:
            What `execute` returned.

        Raises:
            NotApprovedError: people said no, something else, or nothing in time.
            RefusedError: the grant could not be claimed: used, expired, or stopped.
            Exception: what `execute` raised; it was reported as failed.
        """
        taken = None if facts is None else facts()
        request = self._run(
            self._protocol.ask(message, timeout=timeout, action=action, facts=taken, **fields)
        )
        while True:
            try:
                taken = None if facts is None else facts()
                claimed = self._run(running.claim(self._protocol, request, taken))
                break
            except InvalidTransitionError as error:
                again = running.asked_again(error)
            request = self.wait(again, timeout=timeout)
        try:
            result = execute(**running.check_approved(claimed))
        except BaseException as error:
            self._tell(claimed.id, running.failed(error))
            raise
        self._tell(claimed.id, running.succeeded(result))
        return result

    def _tell(self, request_id: str, outcome: dict[str, Any]) -> None:
        try:
            self._run(running.report(self._protocol, request_id, **outcome))
        except SaysoError as error:
            running.unreported(request_id, error)

    def decide(
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
        """Answer it, as the person who is signed in.

        Args:
            request_id: which.
            type: approve, edit (with `args`), respond (with `option` or `content`), reject, ignore.
            args: all arguments, as they shall run.
            content: a text, or an object for a form.
            option: the value of the chosen option.
            reason: for the agent to read.
            digest: of what the person saw; refused if something else would be approved now.
            remember: approve alike from now on, within these limits: a `StandingDraft`, or
                `tool_name` with the fields of `give_standing_grant`.

        Raises:
            SignInRequiredError, PersonRequiredError: this client's token is nobody's, an agent's.
            NotPermittedError: the rule asks others, or knows this person not well enough.
            InvalidTransitionError: it is closed already, or was changed since it was seen; the
                error carries the request.
            InvalidAnswerError: the answer does not fit the question.
            RefusedError: it is stopped, or cannot be remembered.
        """
        return self._run(
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

    def find(self, *, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Request]:
        """Requests, newest first, fetched page by page.

        Args:
            limit: at most so many. Default: all.
            filters: see `Filters`.
        """
        after, left = None, limit
        while left is None or left > 0:
            size = LARGEST_PAGE if left is None else min(left, LARGEST_PAGE)
            page = self.page(limit=size, after=after, **filters)
            yield from page.items
            if (after := page.next) is None:
                return
            left = None if left is None else left - len(page.items)

    def page(
        self, *, limit: int | None = None, after: str | None = None, **filters: Unpack[Filters]
    ) -> Page:
        """One page of the requests, newest first.

        Args:
            limit: at most so many, 1 to 200. Default: 50.
            after: the `next` of the page before.
            filters: see `Filters`.
        """
        return self._run(self._protocol.page(limit=limit, after=after, **filters))

    def events(self, after: int | None = None, **topics: Unpack[Topics]) -> Iterator[Event]:
        """What happens, as it happens; resumed where it was when a connection breaks. Endless.

        Args:
            after: the id of the last event already known. Default: begin now.
            topics: see `Topics`.
        """
        feed = Feed(self._protocol, after, dict(topics))
        while True:
            end: Reply | Lost | None = None
            try:
                with self._http.stream(**self._arguments(feed.send())) as response:
                    if http.is_stream(response):
                        feed.opened()
                        for sse in httpx2.EventSource(response, None):
                            if (event := feed.receive(sse.id, sse.data)) is not None:
                                yield event
                    else:
                        response.read()
                        end = http.reply(response)
            except httpx2.RequestError as error:
                end = http.lost(error)
            self._perform(feed.pause(end))

    def add_webhook(self, url: str, **wishes: Unpack[Wishes]) -> Webhook:
        """Tell a URL of events from now on; keep the `secret`, it is not shown again.

        Args:
            url: where to POST.
            wishes: see `Wishes`.

        Raises:
            InvalidRequestError: the URL leads to where the server may not connect to.
        """
        return self._run(webhooks.register(self._protocol, url, dict(wishes)))

    def webhooks(self) -> tuple[Webhook, ...]:
        """The subscriptions: an agent's own, all for a person."""
        return self._run(webhooks.find(self._protocol))

    def remove_webhook(self, webhook_id: str) -> Webhook:
        """Send it nothing any more; what waits for it is given up."""
        return self._run(webhooks.remove(self._protocol, webhook_id))

    def rotate_webhook(self, webhook_id: str) -> Webhook:
        """Make a new secret; the old one signs as well for a day."""
        return self._run(webhooks.rotate(self._protocol, webhook_id))

    def enable_webhook(self, webhook_id: str) -> Webhook:
        """Send to it again after it was disabled; what it missed is for `replay`."""
        return self._run(webhooks.enable(self._protocol, webhook_id))

    def disable_webhook(self, webhook_id: str) -> Webhook:
        """Send it nothing any more, and keep it; `enable_webhook` goes on."""
        return self._run(webhooks.disable(self._protocol, webhook_id))

    def test_webhook(self, webhook_id: str) -> Tested:
        """Send it a `webhook.test` now, once, and tell what came of it."""
        return self._run(webhooks.test(self._protocol, webhook_id))

    def callback_secret(self) -> str:
        """What signs deliveries to requests' own `callback_url`; for a person only."""
        return self._run(webhooks.callback_secret(self._protocol))

    def deliveries(self, **filters: Unpack[DeliveryFilters]) -> DeliveryPage:
        """One page of what was sent, what waits and what was given up, newest first.

        Args:
            filters: see `DeliveryFilters`.
        """
        return self._run(webhooks.deliveries(self._protocol, dict(filters)))

    def replay(self, delivery_id: str) -> Delivery:
        """Send a delivery again from the beginning, under the same id."""
        return self._run(webhooks.replay(self._protocol, delivery_id))

    def standing_grants(self) -> tuple[StandingGrant, ...]:
        """The standing grants, newest first; those that were over within the last month, too."""
        return self._run(rules.standing_grants(self._protocol))

    def give_standing_grant(self, tool_name: str, **limits: Unpack[Limits]) -> StandingGrant:
        """Have what is alike approved from now on without asking, within limits; for a reviewer.

        Args:
            tool_name: the tool, by its full name.
            limits: see `Limits`.

        Raises:
            NotPermittedError: this client's token is none of a reviewer.
            InvalidRequestError: it lets through more than anybody could have meant.
        """
        return self._run(rules.give(self._protocol, tool_name, dict(limits)))

    def preview_standing_grant(self, tool_name: str, **limits: Unpack[Limits]) -> Preview:
        """What such a standing grant would have let through in the last 30 days.

        Args:
            tool_name: the tool, by its full name.
            limits: see `Limits`; `uses` and `budget` do not count here.
        """
        return self._run(rules.preview(self._protocol, tool_name, dict(limits)))

    def revoke_standing_grant(self, grant_id: str) -> StandingGrant:
        """End it now; what it let through stays let through."""
        return self._run(rules.revoke(self._protocol, grant_id))

    def rules(self) -> tuple[KeptRule, ...]:
        """The review rules, by name."""
        return self._run(rules.rules(self._protocol))

    def put_rule(self, rule: ReviewRule | JsonObject) -> KeptRule:
        """Keep a rule, in place of one of the same name; it holds for requests from now on.

        Args:
            rule: `name`, `rule` (what a decision needs), and `tools` and `risks` (which requests
                it is for), or a `ReviewRule`.

        Returns:
            It, with `warnings` of what people cannot satisfy as they are today.

        Raises:
            NotPermittedError: this client's token is none of an admin.
            InvalidRequestError: nobody could ever satisfy it.
        """
        return self._run(rules.put(self._protocol, rule))

    def remove_rule(self, name: str) -> ReviewRule:
        """Forget a rule; requests that were made under it keep it."""
        return self._run(rules.remove(self._protocol, name))

    def policy(self, number: int | None = None) -> PolicyVersion | None:
        """A version of the tenant's policy, with its text.

        Args:
            number: which. Default: the one in force; None if there is none.

        Raises:
            NotFoundError: there is no version of this number.
        """
        return self._run(policies.get(self._protocol, number))

    def policy_versions(self) -> tuple[PolicyVersion, ...]:
        """All versions of the policy, newest first, without their texts."""
        return self._run(policies.versions(self._protocol))

    def put_policy(
        self, text: str, *, note: str = "", replaces: int | None = None
    ) -> PolicyVersion:
        """Keep a new version of the policy; it holds for what is submitted from now on.

        Args:
            text: the rules, as YAML.
            note: why, in a sentence.
            replaces: the version that it was made from (0: none). Default: whatever is in force.

        Raises:
            NotPermittedError: this client's token is none of an admin.
            InvalidRequestError: it is no policy; `errors` has the places, as line and column.
            ConflictError: another version is in force than the one it replaces.
        """
        return self._run(policies.put(self._protocol, text, note, replaces))

    def activate_policy(
        self, number: int, *, note: str = "", replaces: int | None = None
    ) -> PolicyVersion:
        """Go back to an older version: its text becomes a new one. Raises as `put_policy` does.

        Args:
            number: which.
            note: why, in a sentence.
            replaces: what was in force when it was chosen (0: none). Default: whatever is.
        """
        return self._run(policies.activate(self._protocol, number, note, replaces))

    def remove_policy(self, *, note: str = "", replaces: int | None = None) -> PolicyVersion:
        """Have no policy from now on; the versions stay.

        Args:
            note: why, in a sentence.
            replaces: the version in force. Default: whatever is.

        Raises:
            NotPermittedError: this client's token is none of an admin.
            NotFoundError: there is none.
            ConflictError: another version is in force than the one it replaces.
        """
        return self._run(policies.remove(self._protocol, note, replaces))

    def stops(self) -> tuple[Stop, ...]:
        """What is stopped."""
        return self._run(rules.stops(self._protocol))

    def set_stop(self, kind: StopKind, value: str = "", *, reason: str = "") -> KeptStop:
        """Stop it: nothing that is stopped can be approved or claimed until the stop is lifted.

        Args:
            kind: `everything`, `agent`, `client` or `session`.
            value: the id of the agent, client or session, an agent's name too; nothing for
                `everything`.
            reason: for whoever wonders.

        Returns:
            The stop; its `warnings` say if no agent is known by this id or name.

        Raises:
            NotPermittedError: this client's token is neither a reviewer's nor an admin's.
        """
        return self._run(rules.stop(self._protocol, kind, value, reason))

    def lift_stop(self, name: str) -> Stop:
        """Lift a stop; for an admin.

        Args:
            name: `everything`, or kind and value as in `session:ID`.

        Raises:
            NotFoundError: it is not set.
        """
        return self._run(rules.lift(self._protocol, name))

    def sign_in(self, link_token: str) -> Person:
        """Exchange the token of a one-time link; from now on this client speaks for that person.

        Raises:
            SignInRequiredError: it is not valid, has expired, or was used before.
        """
        return self._run(self._protocol.sign_in(link_token))

    def me(self) -> Me:
        """Who this client is to the server, and what it may do."""
        return self._run(keys.me(self._protocol))

    def create_key(self, **wishes: Unpack[KeyWishes]) -> Key:
        """Make a key for an agent; its text is in `key`, this once.

        Args:
            wishes: see `KeyWishes`.
        """
        return self._run(keys.create(self._protocol, {**wishes}))

    def keys(self) -> tuple[Key, ...]:
        """One's own keys, oldest first, also those that ended."""
        return self._run(keys.find(self._protocol))

    def revoke_key(self, key_id: str) -> Key:
        """Let a key open nothing any more."""
        return self._run(keys.revoke(self._protocol, key_id))

    def rotate_key(self, key_id: str, *, overlap_seconds: float = 0) -> Key:
        """Make a key in another's place, for the same agent.

        Args:
            key_id: which.
            overlap_seconds: for how long the old one is still good.
        """
        return self._run(keys.rotate(self._protocol, key_id, overlap_seconds))

    def health(self) -> Health:
        """What the server says about itself."""
        return self._run(self._protocol.health())

    def _run(self, operation: Operation[T]) -> T:
        try:
            step = next(operation)
            while True:
                step = operation.send(self._perform(step))
        except StopIteration as end:
            return end.value

    def _perform(self, step: Send | Sleep) -> Reply | Lost | None:
        if isinstance(step, Sleep):
            time.sleep(step.seconds)
            return None
        try:
            return http.reply(self._http.request(**self._arguments(step)))
        except httpx2.RequestError as error:
            return http.lost(error)

    def _arguments(self, send: Send) -> http.Arguments:
        return http.arguments(self._http, self._protocol, send, self._timeout)
