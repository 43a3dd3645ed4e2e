"""Every error that Sayso raises.

    SaysoError
    ├── UsageError                the caller wired it wrong
    │   ├── ConfigurationError        a setting or a combination of settings cannot work
    │   ├── MissingExtraError         an optional dependency is not installed (also an ImportError)
    │   └── InvalidRequestError       what was sent cannot be read, or breaks a limit
    │       └── TooLargeError             it is larger than the server takes
    ├── RefusedError              the rules say no; nothing was changed
    │   ├── NotFoundError             no such request, session or page
    │   ├── MethodNotAllowedError     the address is there, but does not take this method
    │   ├── SignInRequiredError       nobody is signed in, or the credential is not valid
    │   ├── NotPermittedError         the caller is known, but may not do this
    │   │   └── PersonRequiredError       only a person decides; this is an agent's credential
    │   ├── InvalidTransitionError    the request is already decided, expired or cancelled
    │   ├── NotApprovedError          people said no, or nothing: the action does not run
    │   ├── InvalidAnswerError        the decision does not fit the question
    │   ├── ConflictError             two writers met, or an idempotency key was used twice
    │   └── BusyError                 a limit on work in progress is reached; try again
    │       └── RateLimitedError          the caller tries too often; try again later
    └── BackendError              something that Sayso depends on failed; the cause is attached
        ├── StoreError                the database
        ├── SignalError               the wake-up bus
        ├── LedgerError               the ledger cannot be signed, read or continued
        └── ServerError               the Sayso server, as seen by a client

Each class has a `code`, the word by which programs tell errors apart on every surface,
and each message says what happened, where, and the way out.
"""

from typing import Any, ClassVar


class SaysoError(Exception):
    """Something went wrong.

    Args:
        detail: one sentence: what happened, and where. Default: the first line of the docstring.
        hint: the way out, as a sentence.
        code: a more precise word than the class's own.
        errors: where in the input it is wrong: `{"at": "$.action.tool_name", "message": "..."}`.
        request: the request as it stands now, in its wire form, when the error is about one.
    """

    code: ClassVar[str] = "error"
    hint: str = ""

    def __init__(
        self,
        detail: str = "",
        *,
        hint: str = "",
        code: str = "",
        errors: tuple[dict[str, str], ...] = (),
        request: dict[str, Any] | None = None,
    ) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint or type(self).hint
        self.reason_code = code or type(self).code
        self.errors = errors
        self.request = request
        super().__init__(self.detail)

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}".strip()


class UsageError(SaysoError):
    """Sayso was called in a way that cannot work."""

    code = "usage"


class ConfigurationError(UsageError):
    """A setting cannot work as it is."""

    code = "configuration"


class MissingExtraError(UsageError, ImportError):
    """An optional part of Sayso is not installed."""

    code = "missing_extra"

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"This needs the package {package!r}, which is not installed.",
            hint=f"Install it with: pip install 'sayso[{extra}]'",
        )


class InvalidRequestError(UsageError):
    """What was sent cannot be read."""

    code = "invalid_request"


class TooLargeError(InvalidRequestError):
    """What was sent is larger than the server takes."""

    code = "too_large"


class RefusedError(SaysoError):
    """The rules say no; nothing was changed."""

    code = "refused"


class NotFoundError(RefusedError):
    """There is nothing here."""

    code = "not_found"


class MethodNotAllowedError(RefusedError):
    """This address does not take this method."""

    code = "method_not_allowed"
    hint = "All addresses are listed at /docs."


class SignInRequiredError(RefusedError):
    """Nobody is signed in."""

    code = "sign_in_required"
    hint = "Open the sign-in link that the server printed, or print another with: sayso login-link"


class NotPermittedError(RefusedError):
    """The caller may not do this."""

    code = "not_permitted"


class PersonRequiredError(NotPermittedError):
    """Only a person can decide."""

    code = "person_required"
    hint = "Sign in as a person; an agent's credential never decides."


class InvalidTransitionError(RefusedError):
    """The request is closed: the first decision stands."""

    code = "already_decided"


class NotApprovedError(RefusedError):
    """Nobody approved it, so it does not run."""

    code = "not_approved"


class InvalidAnswerError(RefusedError):
    """The decision does not fit the question."""

    code = "invalid_answer"


class ConflictError(RefusedError):
    """Somebody else wrote first."""

    code = "conflict"


class BusyError(RefusedError):
    """The server holds as much work as it is allowed to."""

    code = "busy"
    hint = "Try again in a moment."


class RateLimitedError(BusyError):
    """This was tried too often.

    Args:
        detail: what was.
        retry_after: in how many seconds it may be tried again.
    """

    code = "rate_limited"

    def __init__(self, detail: str = "", *, retry_after: int = 1) -> None:
        super().__init__(detail, hint=f"Try again in {retry_after} seconds.")
        self.retry_after = retry_after


class BackendError(SaysoError):
    """Something that Sayso depends on failed."""

    code = "backend"


class StoreError(BackendError):
    """The database failed; nothing was written."""

    code = "store"
    hint = "Nothing was written. Try again; if it goes on, read the server's log."


class SignalError(BackendError):
    """The wake-up bus failed; nothing was lost, waits take longer."""

    code = "signal"


class LedgerError(BackendError):
    """The ledger cannot be signed, read or continued; what was decided stands."""

    code = "ledger"
    hint = "Run `sayso audit verify` on the database."


class ServerError(BackendError):
    """The Sayso server could not be reached, or failed."""

    code = "server"


HTTP_STATUS: dict[type[SaysoError], int] = {
    SaysoError: 500,
    UsageError: 400,
    ConfigurationError: 500,
    MissingExtraError: 501,
    InvalidRequestError: 422,
    TooLargeError: 413,
    RefusedError: 409,
    NotFoundError: 404,
    MethodNotAllowedError: 405,
    SignInRequiredError: 401,
    NotPermittedError: 403,
    PersonRequiredError: 403,
    InvalidTransitionError: 409,
    NotApprovedError: 409,
    InvalidAnswerError: 422,
    ConflictError: 409,
    BusyError: 429,
    RateLimitedError: 429,
    BackendError: 503,
    StoreError: 503,
    SignalError: 503,
    LedgerError: 503,
    ServerError: 502,
}
"""Each error as an HTTP status; the client reads problem details back by `code`, then by status."""


PRECISE_CODES: dict[str, tuple[type[SaysoError], str]] = {
    "cancelled": (InvalidTransitionError, "The request was cancelled by the agent's side."),
    "expired": (InvalidTransitionError, "The request has expired: nobody answered in time."),
    "denied": (NotApprovedError, "A policy does not let it run."),
    "not_due": (InvalidTransitionError, "The request's deadline has not come."),
    "not_later": (InvalidTransitionError, "The request has more time than that already."),
    "already_reminded": (InvalidTransitionError, "People were reminded already."),
    "already_voted": (InvalidTransitionError, "The same person has said the same already."),
    "changed_meanwhile": (InvalidTransitionError, "Somebody changed the arguments meanwhile."),
    "nothing_granted": (InvalidTransitionError, "There is no action in the request."),
    "digest_mismatch": (InvalidTransitionError, "The grant is for something else."),
    "already_claimed": (InvalidTransitionError, "The grant was claimed; it is good for one run."),
    "grant_expired": (InvalidTransitionError, "The grant was good for a time that is over."),
    "facts_changed": (InvalidTransitionError, "What held when it was asked does not hold now."),
    "facts_required": (InvalidTransitionError, "Facts were told, and a claim has to tell them."),
    "not_claimed": (InvalidTransitionError, "Nobody has claimed the grant."),
    "already_reported": (InvalidTransitionError, "Another outcome was reported."),
    "not_reopenable": (InvalidTransitionError, "Only what expired is asked again."),
    "not_yours": (NotPermittedError, "Another agent asked for it, or holds it."),
    "not_asked": (NotPermittedError, "The rule asks other people."),
    "four_eyes": (NotPermittedError, "Whoever owns the agent may not approve what it asks."),
    "strength_required": (NotPermittedError, "The rule wants people identified more strongly."),
    "power_required": (NotPermittedError, "The role or the key does not go so far."),
    "operator_required": (NotPermittedError, "It is for whoever runs the server."),
    "key_bound": (NotPermittedError, "The key is for another client id or session."),
    "invalid_policy": (InvalidRequestError, "The text is no policy; `errors` tells the places."),
    "policy_changed": (ConflictError, "Another version of the policy is in force meanwhile."),
    "policy_denied": (RefusedError, "The policy denies the action as it was edited."),
    "stopped": (RefusedError, "The kill switch is set."),
    "not_rememberable": (RefusedError, "This cannot be remembered as a standing grant."),
    "too_many": (RefusedError, "There are as many as there may be."),
    "unreadable_record": (RefusedError, "A rule, stop, grant or user in the database is spoilt."),
    "expired_link": (SignInRequiredError, "The sign-in link has expired."),
    "invalid_link": (SignInRequiredError, "The sign-in link is not valid here."),
    "used_link": (SignInRequiredError, "The sign-in link was used already."),
    "invalid_credential": (SignInRequiredError, "The credential is not valid, or not any more."),
    "invalid_login": (SignInRequiredError, "The user name or the password is not right."),
    "sign_in_failed": (SignInRequiredError, "The provider's answer cannot be believed."),
    "no_account": (NotPermittedError, "The provider knows them, but they may not come in here."),
    "registration_off": (NotPermittedError, "People cannot register themselves here."),
    "weak_password": (InvalidRequestError, "The password is too short, too long, or too common."),
    "repeated_form": (ConflictError, "The form was sent before, or is too old."),
    "username_taken": (ConflictError, "The user name is taken."),
    "last_admin": (RefusedError, "Nobody would be left to manage users."),
    "key_ended": (RefusedError, "The key was revoked or has expired."),
    "too_many_keys": (RefusedError, "There are as many keys as there may be."),
    "too_many_groups": (RefusedError, "There are as many groups or members as there may be."),
    "foreign_origin": (NotPermittedError, "Another site's page may not call this server."),
    "invalid_signature": (NotPermittedError, "The webhook's signature does not fit, or is old."),
    "no_passkey": (RefusedError, "The person has no passkey."),
    "no_passkeys_here": (RefusedError, "Passkeys cannot be used at the server's address."),
    "too_many_passkeys": (RefusedError, "The person has as many passkeys as there may be."),
    "passkey_refused": (NotPermittedError, "What a passkey gave does not prove this."),
    "passkey_required": (NotPermittedError, "It has to be confirmed with one of the passkeys."),
    "stale_challenge": (NotPermittedError, "The challenge is too old, or was used."),
    "unknown_host": (NotPermittedError, "The server is not called by this name."),
    "idempotency_conflict": (ConflictError, "The key was used for another request."),
    "too_many_webhooks": (RefusedError, "There are as many subscriptions as there may be."),
    "session_inactive": (RefusedError, "The session is closed."),
    "unknown_session": (NotFoundError, "There is no such session."),
    "ledger_key": (LedgerError, "The signing key is not the one that the ledger goes on with."),
    "database_in_use": (ConfigurationError, "Another server holds the database for itself."),
    "database_away": (StoreError, "The database cannot be reached."),
    "not_json": (InvalidRequestError, "The body is not JSON."),
    "too_deep": (InvalidRequestError, "The JSON is nested too deep."),
    "duplicate_name": (InvalidRequestError, "An object in the JSON has the same name twice."),
    "too_many_values": (InvalidRequestError, "The JSON holds too many values."),
    "internal": (SaysoError, "The server made a mistake; it is in its log."),
}
"""Words more precise than a class's own: the class each belongs to, and what it means."""
