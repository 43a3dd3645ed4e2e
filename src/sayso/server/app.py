"""The route table, and the one road from a request to an endpoint."""

import asyncio
import logging
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from sayso.broker.keys import KeyDraft
from sayso.broker.passkeys import Confirmation, PasskeyOptions
from sayso.broker.signing import Challenge
from sayso.broker.standing import Preview
from sayso.domain.accounts import LOCAL_AGENT, Principal
from sayso.domain.decisions import Answer
from sayso.domain.grants import OutcomeDraft
from sayso.domain.patterns import StandingDraft
from sayso.domain.policies import PolicyDraft, PolicyVersion
from sayso.domain.requests import Draft, Request
from sayso.domain.rules import KeptRule, ReviewRule
from sayso.domain.standing import StandingGrant
from sayso.domain.stops import KeptStop, Stop, StopDraft
from sayso.domain.users import Group
from sayso.domain.webhooks import WebhookDraft
from sayso.errors import (
    MethodNotAllowedError,
    NotFoundError,
    SaysoError,
    SignInRequiredError,
)
from sayso.ledger.stories import Story
from sayso.server.access import Access, check
from sayso.server.http import Call, Endpoint, HungUpError, Reply, joined
from sayso.server.inbox import pages as inbox_pages
from sayso.server.openapi import (
    ALL,
    ALL_DELIVERIES,
    DELIVERIES,
    EVENT_STREAM,
    FEED,
    FILTERS,
    KEY,
    TENANT,
    WAIT,
    WHOSE,
    Operation,
)
from sayso.server.problems import internal, loopgate_reply, problem_reply
from sayso.server.routes import (
    account_pages,
    accounts,
    audit,
    deliveries,
    events,
    grants,
    keys,
    loopgate,
    meta,
    pages,
    passkeys,
    people,
    policies,
    policy_pages,
    provider,
    remember,
    requests,
    rules,
    settings_pages,
    stream,
    users,
    webhook_pages,
    webhooks,
)
from sayso.server.server import Server
from sayso.server.static import PREFIX as STATIC_PREFIX
from sayso.server.static import Files

log = logging.getLogger("sayso.server")


class Surface(Enum):
    """How a route tells of errors."""

    API = "api"
    LOOPGATE = "loopgate"
    PAGE = "page"


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the route table."""

    method: str
    path: str
    endpoint: Endpoint
    access: Access
    surface: Surface
    operation: Operation | None = None


def api(
    method: str,
    path: str,
    endpoint: Endpoint,
    access: Access,
    takes: type[Struct] | None = None,
    returns: type[Struct] | None = None,
    **described: Any,
) -> Entry:
    """A route of the native API, as it is described in the OpenAPI document."""
    operation = Operation(
        method=method,
        path=path,
        group=endpoint.__module__.rpartition(".")[2].capitalize(),
        summary=(endpoint.__doc__ or "").strip().splitlines()[0],
        person_only=access.is_for_people,
        takes=takes,
        returns=returns,
        **described,
    )
    return Entry(
        method=method,
        path=path,
        endpoint=endpoint,
        access=access,
        surface=Surface.API,
        operation=operation,
    )


def hitl(
    method: str,
    path: str,
    endpoint: Endpoint,
    access: Access,
    takes: type[Struct] | None = None,
    returns: type[Struct] | None = None,
    **described: Any,
) -> Entry:
    """A route of the Loopgate wire."""
    entry = api(method, path, endpoint, access, takes, returns, **described)
    return msgspec.structs.replace(entry, surface=Surface.LOOPGATE)


def page(method: str, path: str, endpoint: Endpoint, access: Access = Access.PERSON) -> Entry:
    """A page of the inbox."""
    return Entry(method=method, path=path, endpoint=endpoint, access=access, surface=Surface.PAGE)


ANYBODY, CALLER, PERSON = Access.ANYBODY, Access.CALLER, Access.PERSON
SUBMIT, READ, DECIDE = Access.SUBMIT, Access.READ, Access.DECIDE
SUBSCRIBE, MANAGE, GOVERN = Access.SUBSCRIBE, Access.MANAGE, Access.GOVERN
_ID = "/api/v1/requests/{id}"
_PASSKEY = "/api/v1/passkeys/{id}"
_WEBHOOK = "/api/v1/webhooks/{id}"
_POLICY = "/api/v1/policy"
_STOPS = "/api/v1/stops"

# fmt: off
ROUTES: tuple[Entry, ...] = (
    api("POST", "/api/v1/requests", requests.submit, SUBMIT, Draft, Request, parameters=KEY, statuses=(201, 200)),
    api("GET", "/api/v1/requests", requests.find, CALLER, None, requests.RequestPage, parameters=FILTERS),
    api("GET", _ID, requests.get, CALLER, None, Request, parameters=WAIT),
    api("POST", f"{_ID}/challenge", passkeys.challenge, DECIDE, Answer, Challenge),
    api("POST", f"{_ID}/decision", requests.decide, DECIDE, requests.SignedAnswer, Request),
    api("POST", f"{_ID}/cancel", requests.cancel, SUBMIT, requests.Cancellation, Request),
    api("POST", f"{_ID}/extend", requests.extend, SUBMIT, requests.Extension, Request),
    api("POST", f"{_ID}/claim", grants.claim, SUBMIT, grants.Claiming, Request),
    api("POST", f"{_ID}/outcome", grants.report, SUBMIT, OutcomeDraft, Request),
    api("POST", f"{_ID}/reopen", grants.reopen, SUBMIT, grants.Reopening, Request, statuses=(201, 200)),
    api("GET", "/api/v1/standing-grants", grants.find, READ, None, grants.StandingGrantList),
    api("POST", "/api/v1/standing-grants", grants.give, DECIDE, StandingDraft, StandingGrant, statuses=(201,)),
    api("POST", "/api/v1/standing-grants/preview", grants.preview, DECIDE, StandingDraft, Preview),
    api("DELETE", "/api/v1/standing-grants/{id}", grants.revoke, DECIDE, None, StandingGrant),
    api("GET", "/api/v1/rules", rules.find, READ, None, rules.RuleList),
    api("POST", "/api/v1/rules", rules.put, GOVERN, KeptRule, KeptRule),
    api("DELETE", "/api/v1/rules/{name}", rules.remove, GOVERN, None, ReviewRule),
    api("GET", _POLICY, policies.get, READ, None, PolicyVersion),
    api("PUT", _POLICY, policies.put, GOVERN, PolicyDraft, PolicyVersion, parameters=policies.PUT),
    api("DELETE", _POLICY, policies.remove, GOVERN, None, PolicyVersion, parameters=policies.REMOVE),
    api("POST", f"{_POLICY}/activate", policies.activate, GOVERN, policies.Activation, PolicyVersion),
    api("GET", f"{_POLICY}/versions", policies.versions, READ, None, policies.PolicyVersionPage, parameters=policies.VERSIONS),
    api("GET", f"{_POLICY}/versions/{{number}}", policies.version, READ, None, PolicyVersion),
    api("GET", _STOPS, rules.stops, READ, None, rules.StopList),
    api("POST", _STOPS, rules.stop, CALLER, StopDraft, KeptStop, statuses=(201,)),
    api("DELETE", f"{_STOPS}/{{name}}", rules.lift, GOVERN, None, Stop),
    api("GET", "/api/v1/events", events.stream, CALLER, media=EVENT_STREAM, parameters=FEED),
    api("POST", "/api/v1/webhooks", webhooks.register, SUBSCRIBE, WebhookDraft, webhooks.SecretSubscription, statuses=(201,)),
    api("GET", "/api/v1/webhooks", webhooks.find, SUBSCRIBE, None, webhooks.SubscriptionList),
    api("GET", _WEBHOOK, webhooks.get, SUBSCRIBE, None, webhooks.Subscription),
    api("DELETE", _WEBHOOK, webhooks.delete, SUBSCRIBE, None, webhooks.Subscription),
    api("POST", f"{_WEBHOOK}/rotate", webhooks.rotate, SUBSCRIBE, None, webhooks.SecretSubscription),
    api("POST", f"{_WEBHOOK}/enable", webhooks.enable, SUBSCRIBE, None, webhooks.Subscription),
    api("POST", f"{_WEBHOOK}/disable", webhooks.disable, SUBSCRIBE, None, webhooks.Subscription),
    api("POST", f"{_WEBHOOK}/test", webhooks.test, SUBSCRIBE, None, webhooks.Tested),
    api("GET", f"{_WEBHOOK}/deliveries", webhooks.sent, SUBSCRIBE, None, deliveries.DeliveryPage, parameters=DELIVERIES),
    api("GET", "/api/v1/deliveries", deliveries.find, SUBSCRIBE, None, deliveries.DeliveryPage, parameters=ALL_DELIVERIES),
    api("POST", "/api/v1/deliveries/{id}/replay", deliveries.replay, SUBSCRIBE, None, deliveries.Delivery),
    api("GET", "/api/v1/passkeys", passkeys.find, PERSON, None, passkeys.PasskeyList, parameters=WHOSE),
    api("POST", "/api/v1/passkeys/options", passkeys.options, PERSON, None, PasskeyOptions),
    api("POST", "/api/v1/passkeys", passkeys.add, PERSON, passkeys.NewPasskey, passkeys.PasskeyInfo, statuses=(201,)),
    api("POST", f"{_PASSKEY}/rename", passkeys.rename, PERSON, passkeys.PasskeyRename, passkeys.PasskeyInfo),
    api("POST", f"{_PASSKEY}/challenge", passkeys.removal, PERSON, None, Confirmation),
    api("POST", f"{_PASSKEY}/remove", passkeys.remove, PERSON, passkeys.PasskeyRemoval, passkeys.PasskeyInfo),
    api("GET", "/api/v1/callback-secret", webhooks.callback_secret, MANAGE, None, webhooks.CallbackSecret),
    api("GET", "/api/v1/audit/keys", audit.keys, ANYBODY, None, audit.KeyList),
    api("GET", "/api/v1/audit/blocks", audit.blocks, CALLER, None, audit.BlockPage, parameters=audit.BLOCKS),
    api("GET", "/api/v1/audit/requests/{id}", audit.story, CALLER, None, Story),
    api("POST", "/api/v1/audit/export", audit.export, MANAGE, audit.Export, media="application/zip"),
    api("GET", "/api/v1/users", users.find, MANAGE, None, users.AccountList, parameters=TENANT),
    api("POST", "/api/v1/users", users.add, MANAGE, users.AccountDraft, users.Account, statuses=(201,)),
    api("GET", "/api/v1/users/{id}", users.get, MANAGE, None, users.Account),
    api("PATCH", "/api/v1/users/{id}", users.change, MANAGE, users.AccountChange, users.Account),
    api("POST", "/api/v1/users/{id}/password", users.set_password, PERSON, users.NewPassword, users.Account),
    api("GET", "/api/v1/groups", users.groups, MANAGE, None, users.GroupList),
    api("PUT", "/api/v1/groups/{name}/members/{id}", users.add_member, MANAGE, None, Group),
    api("DELETE", "/api/v1/groups/{name}/members/{id}", users.remove_member, MANAGE, None, Group),
    api("POST", "/api/v1/keys", keys.create, CALLER, KeyDraft, keys.KeyText, statuses=(201,)),
    api("GET", "/api/v1/keys", keys.find, CALLER, None, keys.KeyList, parameters=ALL),
    api("DELETE", "/api/v1/keys/{id}", keys.revoke, CALLER, None, keys.Key),
    api("POST", "/api/v1/keys/{id}/rotate", keys.rotate, CALLER, keys.Rotation, keys.KeyText, statuses=(201,)),
    api("GET", "/api/v1/logins", keys.logins, PERSON, None, keys.SignInList, parameters=ALL),
    api("DELETE", "/api/v1/logins", keys.end_logins, PERSON, None, keys.Ended, parameters=WHOSE),
    api("DELETE", "/api/v1/logins/{id}", keys.end_login, PERSON, None, keys.SignIn),
    api("GET", "/api/v1/names", users.names, READ, None, users.NameList, parameters=users.NAMES),
    api("GET", "/api/v1/me", users.me, CALLER, None, users.Caller),
    api("POST", "/api/auth/link", people.exchange_link, ANYBODY, people.LinkToken, people.Bearer),
    api("GET", "/api/auth/me", people.me, PERSON, None, people.Me),
    api("GET", "/health", meta.health, ANYBODY, None, meta.Health),
    api("GET", "/ready", meta.ready, ANYBODY, None, meta.Health),
    api("GET", "/openapi.json", meta.openapi, ANYBODY),

    hitl("POST", "/api/auth/register", accounts.register, ANYBODY, accounts.Credentials, accounts.NewUser, statuses=(201,)),
    hitl("POST", "/api/auth/login", accounts.login, ANYBODY, accounts.Credentials, accounts.Token),
    hitl("POST", "/api/user/apikeys", accounts.create_key, PERSON, accounts.KeyWish, accounts.RawKey, statuses=(201,)),
    hitl("GET", "/api/user/apikeys", accounts.list_keys, PERSON),
    hitl("DELETE", "/api/user/apikeys/{id}", accounts.revoke_key, PERSON, None, accounts.Message),
    hitl("POST", "/hitl/register", loopgate.register, SUBMIT, loopgate.Registration, loopgate.Registered),
    hitl("POST", "/sessions/register", loopgate.register, SUBMIT, loopgate.Registration, loopgate.Registered),
    hitl("POST", "/hitl/request", loopgate.submit, SUBMIT, loopgate.Submission, loopgate.Submitted),
    hitl("GET", "/hitl/poll", loopgate.poll, CALLER, None, loopgate.Poll, parameters=loopgate.REQUEST),
    hitl("GET", "/hitl/status", loopgate.status, CALLER, None, loopgate.SessionStatus, parameters=loopgate.SESSION),
    hitl("POST", "/hitl/deactivate", loopgate.deactivate, SUBMIT, loopgate.SessionName, loopgate.Success),
    hitl("GET", "/hitl/pending", loopgate.pending, CALLER, None, loopgate.PendingList),
    hitl("POST", "/hitl/cancel", loopgate.cancel, SUBMIT, loopgate.RequestName, loopgate.Success),

    page("GET", "/", pages.inbox),
    page("GET", "/requests/{id}", pages.show),
    page("POST", "/requests/{id}/decision", pages.decide, DECIDE),
    page("POST", "/requests/{id}/cancel", pages.cancel, SUBMIT),
    page("GET", "/requests/{id}/remember", remember.form),
    page("POST", "/requests/{id}/remember", remember.give),
    page("GET", "/history", pages.history),
    page("GET", "/settings", settings_pages.settings),
    page("GET", "/grants", settings_pages.grants),
    page("POST", "/grants/revoke", settings_pages.revoke),
    page("GET", "/rules", settings_pages.rules),
    page("POST", "/rules", settings_pages.put_rule),
    page("GET", "/rules/edit", settings_pages.edit_rule),
    page("POST", "/rules/remove", settings_pages.remove_rule),
    page("GET", "/policy", policy_pages.policy),
    page("POST", "/policy", policy_pages.put),
    page("GET", "/policy/edit", policy_pages.editor),
    page("POST", "/policy/edit", policy_pages.preview),
    page("POST", "/policy/activate", policy_pages.activate),
    page("POST", "/policy/remove", policy_pages.remove),
    page("GET", "/policy/suggestions", policy_pages.suggestions),
    page("GET", "/stops", settings_pages.stops),
    page("POST", "/stops", settings_pages.stop),
    page("POST", "/stops/lift", settings_pages.lift),
    page("GET", "/webhooks", webhook_pages.subscriptions),
    page("POST", "/webhooks", webhook_pages.subscribe),
    page("POST", "/webhooks/rotate", webhook_pages.rotate),
    page("POST", "/webhooks/enable", webhook_pages.enable),
    page("POST", "/webhooks/disable", webhook_pages.disable),
    page("POST", "/webhooks/test", webhook_pages.test),
    page("POST", "/webhooks/remove", webhook_pages.remove),
    page("GET", "/webhooks/deliveries", webhook_pages.sent),
    page("POST", "/webhooks/replay", webhook_pages.replay),
    page("GET", "/users", account_pages.users),
    page("POST", "/users", account_pages.add_user),
    page("POST", "/users/change", account_pages.change_user),
    page("POST", "/users/password", account_pages.set_password),
    page("GET", "/groups", account_pages.groups),
    page("POST", "/groups/add", account_pages.add_member),
    page("POST", "/groups/remove", account_pages.remove_member),
    page("GET", "/keys", account_pages.keys),
    page("POST", "/keys", account_pages.create_key),
    page("POST", "/keys/rotate", account_pages.rotate_key),
    page("POST", "/keys/revoke", account_pages.revoke_key),
    page("GET", "/sessions", account_pages.sessions),
    page("POST", "/sessions/end", account_pages.end_session),
    page("POST", "/sessions/end-others", account_pages.end_others),
    page("GET", "/audit", audit.page),
    page("POST", "/audit/export", audit.download, MANAGE),
    page("GET", "/passkeys", pages.passkeys),
    page("GET", "/login", pages.login, ANYBODY),
    page("POST", "/login", pages.sign_in, ANYBODY),
    page("GET", "/login/oidc", provider.begin, ANYBODY),
    page("GET", "/login/oidc/callback", provider.finish, ANYBODY),
    page("POST", "/logout", pages.logout, ANYBODY),
    page("GET", "/docs", pages.docs, ANYBODY),
)
# fmt: on
_GALLERY = page("GET", "/dev/gallery", pages.gallery, Access.ANYBODY)
_HOT = {"/api/v1/requests", "/api/v1/events", "/hitl/request", "/hitl/poll"}
_WITHOUT_HEAD = (pages.login, provider.begin, provider.finish, events.stream)
_HOT_PREFIX = "/api/v1/requests/"
_NO_PARTS: Mapping[str, str] = {}


class App:
    """The ASGI application: hot routes by one look-up, everything else through Starlette."""

    def __init__(self, server: Server) -> None:
        self._server = server
        server.operations = tuple(e.operation for e in ROUTES if e.operation is not None)
        server.page_paths = frozenset(e.path for e in ROUTES if e.surface is Surface.PAGE)
        entries = (*ROUTES, _GALLERY) if server.settings.dev else ROUTES
        roads = [(entry, Road(server, entry)) for entry in entries]
        self._roads = {(entry.method, entry.path): road for entry, road in roads}
        self._files = Files(inbox_pages.STATIC)
        self._starlette = _starlette(server, roads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one connection."""
        if scope["type"] == "http":
            path: str = scope["path"]
            method: str = scope["method"]
            found = self.find(method, path)
            if found is not None:
                road, params = found
                return await road.take(params, scope, receive, send)
            headers = joined(scope["headers"])
            try:
                self._server.auth.check_origin(method, headers)
            except SaysoError as error:
                return await problem_reply(error).send(send)
            if path.startswith(STATIC_PREFIX) and method in ("GET", "HEAD"):
                reply = self._files.reply(path, headers)
                if reply is not None:
                    return await reply.send(send)
        return await self._starlette(scope, receive, send)

    def find(self, method: str, path: str) -> "tuple[Road, Mapping[str, str]] | None":
        """The road of a hot route and the parts of its path; None for everything else."""
        if path in _HOT:
            road = self._roads.get((method, path))
            return None if road is None else (road, _NO_PARTS)
        if path.startswith(_HOT_PREFIX):
            request_id, slash, verb = path[len(_HOT_PREFIX) :].partition("/")
            road = self._roads.get((method, f"{_ID}/{verb}" if slash else _ID))
            if road is not None and request_id:
                return road, {"id": request_id}
        return None


class Road:
    """From a request of one route to its endpoint and back.

    Attributes:
        reads_body: the endpoint wants it.
        streams: the reply goes on and on, and is no `Reply`.
    """

    def __init__(self, server: Server, entry: Entry) -> None:
        self._server = server
        self._entry = entry
        self._problem_reply = loopgate_reply if entry.surface is Surface.LOOPGATE else problem_reply
        self.reads_body = entry.method in ("POST", "PATCH", "PUT")
        self.streams = entry.operation is not None and entry.operation.media == EVENT_STREAM

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same, as Starlette calls it."""
        await self.take(scope["path_params"], scope, receive, send)

    async def take(
        self, params: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request that came by ASGI."""
        peer: str = (scope.get("client") or ("",))[0]
        headers, query = joined(scope["headers"]), scope["query_string"]
        call = self.call(params, headers, query, receive, peer=peer)
        reply = await self.answer(call)
        if reply is None:
            return
        try:
            await reply.send(send)
        except SaysoError as error:  # a stream that was refused before it began
            await (await self._problem(error, call)).send(send)
        except asyncio.CancelledError:
            if not call.gone:
                raise

    def call(
        self,
        params: Mapping[str, str],
        headers: Mapping[bytes, bytes],
        query_string: bytes,
        receive: Receive | None = None,
        *,
        peer: str = "",
    ) -> Call:
        """A call of this route, by somebody who is not known yet."""
        return Call(
            self._server,
            LOCAL_AGENT,
            params=params,
            headers=headers,
            query_string=query_string,
            receive=receive,
            peer=peer,
        )

    async def answer(self, call: Call) -> Any:
        """What to reply, whatever happens; None if the caller hung up: nobody is left to hear."""
        try:
            auth, access = self._server.auth, self._entry.access
            auth.check_origin(self._entry.method, call.headers)
            if access is not Access.ANYBODY:
                principal = auth.peek(call.headers) or await self._look_up(call)
                call.principal = principal  # a page that refuses is theirs, too
                check(auth, access, principal, call.headers)
            if self.reads_body:
                await call.read_body(self._server.settings.max_body_bytes)
            return await self._entry.endpoint(call)
        except SaysoError as error:
            return await self._problem(error, call)
        except HungUpError:
            return None
        except asyncio.CancelledError:
            if call.ended is not None:
                return await self._problem(call.ended, call)
            if not call.gone:
                raise
            return None
        except Exception:
            log.exception("%s %s failed", self._entry.method, self._entry.path)
            return await self._problem(internal(), call)

    async def _look_up(self, call: Call) -> Principal:
        """Who is calling; credentials that are not good are counted."""
        auth = self._server.auth
        try:
            return await auth.principal(call.headers)
        except SignInRequiredError as error:
            if error.reason_code == "invalid_credential" and auth.is_bearer(call.headers):
                sent = call.headers.get(b"x-api-key") or call.headers.get(b"authorization", b"")
                shown = sent.rpartition(b" ")[2].decode("latin-1")
                self._server.throttle.refuse_key(call.address, shown)
            raise

    async def _problem(self, error: SaysoError, call: Call) -> Reply:
        if self._entry.surface is not Surface.PAGE:
            return self._problem_reply(error)
        if isinstance(error, SignInRequiredError):
            return pages.sign_in_first(self._server.auth)
        return await pages.refused(call, error)


def _starlette(server: Server, roads: list[tuple[Entry, Road]]) -> Starlette:
    by_path: dict[str, list[tuple[Entry, Road]]] = {}
    for entry, road in roads:
        by_path.setdefault(entry.path, []).append((entry, road))
    routes: list[Any] = [_route(e, road) for entries in by_path.values() for e, road in entries]
    routes.append(WebSocketRoute("/api/v1/stream", stream.stream))
    app = Starlette(
        routes=routes,
        # Event streams are left alone; nothing secret stands in a page beside what others chose.
        middleware=[Middleware(GZipMiddleware, minimum_size=1_024, compresslevel=6)],
        exception_handlers={404: _not_found, 405: _not_allowed},
    )
    app.router.redirect_slashes = False
    app.state.server = server
    return app


def _route(entry: Entry, road: Road) -> Route:
    # A stop is named by an id of somebody else's choice, which may hold a slash.
    path = f"{_STOPS}/{{name:path}}" if entry.path.startswith(_STOPS + "/") else entry.path
    route = Route(path, road, methods=[entry.method])
    if route.methods is not None and entry.endpoint in _WITHOUT_HEAD:
        route.methods.discard("HEAD")  # scanners look at links; and a stream has no end
    return route


async def _not_found(request: StarletteRequest, error: Exception) -> Response:
    missing = NotFoundError(
        f"There is nothing at {request.url.path[:200]!r}.",
        hint="All addresses are listed at /docs.",
    )
    is_page = "text/html" in request.headers.get("accept", "")
    return _response(pages.problem_page(missing) if is_page else problem_reply(missing))


async def _not_allowed(request: StarletteRequest, error: Exception) -> Response:
    headers = error.headers if isinstance(error, HTTPException) else None
    allowed = (headers or {}).get("Allow", "")
    refused = MethodNotAllowedError(
        f"{request.method} does not go with {request.url.path[:200]!r}.",
        hint=f"It takes: {allowed}." if allowed else "",
    )
    response = _response(problem_reply(refused))
    response.headers["allow"] = allowed
    return response


def _response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, {k.decode(): v.decode() for k, v in reply.headers})
