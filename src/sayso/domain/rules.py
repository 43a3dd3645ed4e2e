"""How a request is to be reviewed: by how many, by whom, how strongly identified.

A rule is fixed when the request is made, and kept with it: what is changed later holds for later
requests.
"""

from fnmatch import fnmatchcase
from functools import reduce
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sayso.domain.accounts import Principal, Requester, Strength
from sayso.domain.actions import Action, RiskClass
from sayso.domain.plain import plain, readings

_Names = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=64)
]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a decision needs. The default is one reviewer, whoever it is."""

    approvals: Annotated[
        int, Meta(ge=1, le=20, description="How many different people have to approve.")
    ] = 1
    people: Annotated[_Names, Meta(description="Ids of those who may decide; empty: anybody.")] = ()
    groups: Annotated[_Names, Meta(description="Groups whose members may decide, too.")] = ()
    four_eyes: Annotated[
        bool, Meta(description="Whoever owns the agent that asks may not decide.")
    ] = False
    veto: Annotated[
        bool,
        Meta(description="One rejection ends it. Else it takes as many as approvals do."),
    ] = True
    min_strength: Annotated[
        Strength, Meta(description="How strongly a person has to be identified to decide.")
    ] = Strength.LINK
    grant_seconds: Annotated[
        Annotated[float, Meta(gt=0, le=31_622_400)] | None,
        Meta(description="How long an approval can be claimed. Null: as the server is set."),
    ] = None
    names: tuple[str, ...] = ()
    """The review rules that it was made of; `policy/NAME` is one of a policy."""

    def asks(self, person: Principal) -> bool:
        """Whether this person is among those who may decide."""
        if not self.people and not self.groups:
            return True
        return person.id in self.people or bool(person.groups.intersection(self.groups))

    def excludes(self, person: Principal, requester: Requester) -> bool:
        """Whether four eyes are wanted, and these are the same two."""
        return self.four_eyes and person.id in (requester.id, requester.owner)

    def stricter(self, other: "Rule") -> "Rule":
        """A rule that demands what either of the two does.

        Whom to ask is taken from the other where both name somebody.
        """
        named = other if other.people or other.groups else self
        seconds = [s for s in (self.grant_seconds, other.grant_seconds) if s is not None]
        return Rule(
            approvals=max(self.approvals, other.approvals),
            people=named.people,
            groups=named.groups,
            four_eyes=self.four_eyes or other.four_eyes,
            veto=self.veto or other.veto,
            min_strength=max((self.min_strength, other.min_strength), key=list(Strength).index),
            grant_seconds=min(seconds, default=None),
            names=(*self.names, *other.names),
        )


ONE_REVIEWER = Rule()
ASKED_NAME = "agent/asked"
"""Among the names of a rule of a policy: the asking side wanted a rule, too."""
GRANT_SECONDS = 3_600.0
"""How long an approval can be claimed, unless a rule says otherwise."""
_Globs = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=64)
]


class ReviewRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule of a tenant, and which requests it is for; those that match all count."""

    name: Annotated[
        str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")
    ]
    tools: Annotated[_Globs, Meta(description="Globs of tool names; empty: every request.")] = ()
    risks: Annotated[
        frozenset[RiskClass], Meta(description="Risk classes; empty: any, and none.")
    ] = frozenset()
    rule: Rule

    def matches(self, action: Action | None) -> bool:
        """Whether it is for a request of this action."""
        if not self.tools and not self.risks:
            return True
        if action is None:
            return False
        # Doubt blocks: an action that does not tell its risk counts as of any.
        if self.risks and action.risk_class is not None and action.risk_class not in self.risks:
            return False
        # In any spelling, and whatever it looks like: a rule is not got round by a character.
        return not self.tools or any(
            fnmatchcase(tool, plain(glob))
            for tool in readings(action.tool_name)
            for glob in self.tools
        )


class KeptRule(ReviewRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A review rule as it was kept."""

    warnings: tuple[str, ...] = ()
    """Why people cannot satisfy it as they are today; told to those who may manage."""
    names: dict[str, str] = {}
    """The names of the people whom it asks, by their ids, as far as they are known."""


def rule_for(
    action: Action | None,
    rules: tuple[ReviewRule, ...],
    asked: Rule | None,
    policy: Rule | None = None,
) -> Rule:
    """What a request needs: all rules that match it, and what its own side asks for, together.

    Whether one rejection ends it is for the rules that match to say; without any it does.

    Args:
        action: what is asked for.
        rules: all review rules of the tenant.
        asked: what the asking side wants.
        policy: what the tenant's policy wants; whom to ask is rather for the review rules to say.
    """
    own = ONE_REVIEWER if asked is None else _no_weaker(asked)
    matching = [] if policy is None else [policy]
    matching += [
        msgspec.structs.replace(each.rule, names=(each.name,))
        for each in rules
        if each.matches(action)
    ]
    if not matching:
        return own
    theirs = reduce(Rule.stricter, matching)
    return msgspec.structs.replace(own.stricter(theirs), veto=theirs.veto)


def _no_weaker(asked: Rule) -> Rule:
    """What the asking side wants, where that is more than what holds without it."""
    seconds = asked.grant_seconds
    return msgspec.structs.replace(
        asked,
        veto=True,
        grant_seconds=None if seconds is None else min(seconds, GRANT_SECONDS),
        names=(),
    )
