"""Whether a person must be asked: the verdict, what it is made from, and the port of policies."""

from abc import ABC, abstractmethod
from copy import deepcopy
from enum import StrEnum
from typing import Any, ClassVar, Final, cast

import msgspec
from msgspec import UNSET, Struct, UnsetType

from sayso.domain.actions import Action
from sayso.domain.decisions import Decision
from sayso.domain.rules import Rule
from sayso.errors import SaysoError
from sayso.policies import history

State = dict[str, Any]
"""What a run has shown so far: JSON values by name. Belongs to whoever runs the policy."""


class Effect(StrEnum):
    """What a policy says, mildest first."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Verdict(Struct, frozen=True, kw_only=True):
    """What a policy says of an action, and why."""

    effect: Effect
    reason: str = ""
    """A sentence that names what decided."""
    policy: str = ""
    """The policy's name,"""
    rule: str = ""
    """and the rule's, if it has rules."""
    review: Rule | None = None
    """With `ask`: what the decision needs."""
    timeout_seconds: float | UnsetType | None = UNSET
    """With `ask`: how long people have. None: for ever. Unset: as usual."""
    on_timeout: str | None = None
    """With `ask`: what silence means: `expire`, `reject`, `approve`, `escalate` or `park`.

    None: as usual, which is `expire`. `approve` stands only where a policy for actions of low risk
    wrote it out.
    """
    escalate_to: Rule | None = None
    """With `escalate`: what the decision needs once the time is over."""
    is_default: bool = False
    """Whether the policy has nothing on such an action: this is what it says of all others."""
    is_doubtful: bool = False
    """Whether something could not be evaluated, so that this might have been a `deny`.

    A person answers then, and no remembered decision in their stead.
    """
    because: tuple["Verdict", ...] = ()
    """Of a combination: what each of its policies said, in order."""


class Context(Struct, frozen=True, kw_only=True):
    """Who acts, where, and what the run has shown so far."""

    run_id: str = ""
    client_id: str | None = None
    session_id: str | None = None
    tenant: str = "default"
    asked_by: str = ""
    """The actor that asks, as authentication knows it, on a server: `agent:ID`."""
    session_pattern: str | None = None
    """The sessions that its key is good for, as a glob; None: any, so that it chooses its own."""
    state: State = {}


class _Nothing(State):
    """A state in which nothing is, and nothing can be put: all share the one of `NO_CONTEXT`."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError("A policy was asked without a state, and cannot keep anything in it.")

    __setitem__ = __ior__ = _refuse
    setdefault = update = _refuse  # pyright: ignore[reportAssignmentType]


NO_CONTEXT = Context(state=_Nothing())


class Policy(ABC):
    """Says whether an action may run, needs a person, or may not run. Pure, and quick."""

    _is_ours: ClassVar[bool] = False
    """Whether it is one of this package's, which leave what they are handed as it is."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._is_ours = cls.__module__.startswith("sayso.")

    @property
    @abstractmethod
    def name(self) -> str:
        """What verdicts and logs call it."""

    @abstractmethod
    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """What it says of `action`. It changes nothing, so that asked twice it says the same."""

    def post_decision_update(self, state: State, action: Action, decision: Decision) -> State:
        """The state of the run after a decision: a new one; `state` itself is left as it is.

        To be called once for each call of a tool, whoever decided: a person, a remembered
        decision, or the policy, whose `allow` comes as `Decision(approved=True,
        channel=Channel.POLICY)` and whose `deny` as `approved=False`. So each proposal counts in
        streaks, of whatever risk it was. What is kept is bounded and plain JSON (`history`).
        """
        return history.after_decision(state, action, decision)

    def post_execution_update(self, state: State, action: Action, result: State) -> State:
        """The state after a run, of which `result` tells at least `success`: a new one."""
        return history.after_run(state, action, result)

    def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
        """Whether the action must not run by itself, and why: `evaluate` as hitloop has it."""
        context = Context(run_id=str(state.get("run_id", "")), state=state)
        verdict = judge(self, action, context)
        return verdict.effect is not Effect.ALLOW, verdict.reason


class HITLPolicy(Policy):
    """A policy of one's own, written as for hitloop: a name, and `should_request_approval`.

    Asked through `evaluate`, as gates and combinations do, it is handed a copy of the state: what
    it writes there reaches nobody, no more than what it writes into the action. To keep something,
    return it from `post_decision_update`.
    """

    @abstractmethod
    def should_request_approval(self, action: Action, state: State) -> tuple[bool, str]:
        """Whether a person must be asked, and why."""

    def evaluate(self, action: Action, context: Context = NO_CONTEXT) -> Verdict:
        """What `should_request_approval` says of a copy of the state."""
        needed, reason = self.should_request_approval(action, _copied(context.state))
        effect = Effect.ASK if needed else Effect.ALLOW
        return Verdict(effect=effect, reason=reason, policy=self.name, is_default=not needed)


_UNCHANGING: Final[frozenset[object]] = frozenset({str, int, float, bool, type(None)})


def judge(policy: Policy, action: Action, context: Context = NO_CONTEXT) -> Verdict:
    """What `policy` says; one that fails, is in doubt or says nothing has a person asked."""
    try:
        verdict: Any = policy.evaluate(handed(policy, action), context)
        if isinstance(verdict, Verdict):
            if verdict.is_doubtful and verdict.effect is Effect.ALLOW:
                return msgspec.structs.replace(verdict, effect=Effect.ASK)
            return verdict
        why = f"it said {type(verdict).__name__} instead of a Verdict"
    except Exception as error:  # noqa: BLE001  whatever it is, the action does not run by itself
        why = str(error) if isinstance(error, SaysoError) else f"{type(error).__name__}: {error}"
    name = _name(policy)
    reason = f"The policy {name!r} failed: {why}"
    return Verdict(effect=Effect.ASK, reason=reason, policy=name, is_doubtful=True)


def handed(policy: Policy, action: Action) -> Action:
    """The action as `policy` is told of it.

    A policy of somebody else's gets a copy: what it writes into arguments neither runs nor hides
    anything from the next policy. This package's own write nowhere, and a copy takes time.
    """
    if getattr(policy, "_is_ours", False):
        return action
    return msgspec.structs.replace(
        action, tool_args=_copied(action.tool_args), args_schema=_copied(action.args_schema)
    )


def _copied(value: Any) -> Any:
    """`value` with nothing in it that can be changed elsewhere, at any depth."""
    if value.__class__ in _UNCHANGING:
        return value
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in cast("State", value).items()}
    if isinstance(value, list):
        return [_copied(each) for each in cast("list[Any]", value)]
    return deepcopy(value)


def _name(policy: Policy) -> str:
    try:
        return str(policy.name)
    except Exception:  # noqa: BLE001  the name is only told
        return type(policy).__name__
