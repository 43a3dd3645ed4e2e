"""What a gate remembers: verdicts by key, and what each run has shown so far."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from sayso.clock import Clock
from sayso.domain.actions import Action
from sayso.domain.decisions import Decision
from sayso.errors import InvalidTransitionError
from sayso.policies.base import Context, Policy, State, Verdict, handed

MAX_KEPT = 10_000
"""Keys, and runs, that are remembered at the most; the oldest are forgotten."""


log = logging.getLogger("sayso.gate")


class Fixed(Struct):
    """The verdict on a key, and what the run came to."""

    digest: str
    verdict: Verdict
    is_running: bool = False
    finished: bool = False
    result: Any = None


class Memory:
    """Keeps verdicts, results and the state of runs; for use by several threads."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now
        self._lock = threading.RLock()  # a policy may use the gate
        self._fixed: OrderedDict[str, Fixed] = OrderedDict()
        self._states: OrderedDict[str, State] = OrderedDict()
        self._told: OrderedDict[str, None] = OrderedDict()

    def verdict(self, key: str, action: Action) -> Verdict | None:
        """What the policy said under this key, if it was asked.

        Raises:
            InvalidTransitionError: it was about another action (`digest_mismatch`).
        """
        found = self._find(key, action)
        return None if found is None else found.verdict

    def done(self, key: str, action: Action) -> Fixed | None:
        """The run under this key, if it was finished: it does not run twice."""
        found = self._find(key, action)
        return found if found is not None and found.finished else None

    def fix(self, key: str, action: Action, verdict: Verdict) -> Verdict:
        """Keep the verdict, before anything waits; the first one stands, which is returned."""
        with self._lock:
            known = self._fixed.setdefault(key, Fixed(digest=action.digest, verdict=verdict))
            _trim(self._fixed)
            return known.verdict

    def begin(self, key: str) -> None:
        """Something that needs nobody's answer runs under this key.

        Raises:
            InvalidTransitionError: it is running already (`already_claimed`).
        """
        with self._lock:
            fixed = self._fixed.get(key)
            if fixed is None:
                return
            if fixed.is_running or fixed.finished:
                raise InvalidTransitionError(
                    f"The call {key!r} is running already.",
                    hint="Give each call a key of its own.",
                    code="already_claimed",
                )
            fixed.is_running = True

    def end(self, key: str) -> None:
        """It has come to an end, one way or the other."""
        fixed = self._fixed.get(key)
        if fixed is not None:
            fixed.is_running = False

    def finish(self, key: str, action: Action, result: Any) -> None:
        """Keep what the run came to."""
        found = self._find(key, action)
        if found is not None:
            found.finished, found.result = True, result

    def context(self, context: Context) -> Context:
        """`context`, with what its run has shown so far."""
        return msgspec.structs.replace(context, state=dict(self._states.get(context.run_id, {})))

    def is_news(self, request_id: str) -> bool:
        """Whether nobody was told yet how this request was decided; from now on they were."""
        with self._lock:
            if request_id in self._told:
                return False
            self._told[request_id] = None
            _trim(self._told)
            return True

    def decided(self, policy: Policy, context: Context, action: Action, decision: Decision) -> None:
        """Have the policy note a decision; if it cannot, nothing runs."""
        own = handed(policy, action)
        self._note(context.run_id, lambda state: policy.post_decision_update(state, own, decision))

    def executed(self, policy: Policy, context: Context, action: Action, *, success: bool) -> None:
        """Have the policy note how a run ended; it has run, so that it cannot is only logged."""
        result = {"success": success}
        try:
            self._note(
                context.run_id,
                lambda state: policy.post_execution_update(state, handed(policy, action), result),
            )
        except Exception:  # a policy of the user's
            log.exception("the policy could not note how %s ended", action.tool_name)

    def _note(self, run_id: str, update: Callable[[State], State]) -> None:
        """Update the state of a run."""
        with self._lock:
            updated = update(dict(self._states.get(run_id, {})))
            if updated:
                self._states[run_id] = updated
                self._states.move_to_end(run_id)
                _trim(self._states)

    def _find(self, key: str, action: Action) -> Fixed | None:
        found = self._fixed.get(key)
        if found is not None and found.digest != action.digest:
            raise InvalidTransitionError(
                f"The key {key!r} was used for another action.",
                hint="Give each call a key of its own.",
                code="digest_mismatch",
            )
        return found


def _trim(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
