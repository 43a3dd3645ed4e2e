"""Whether a review rule can be satisfied: ever, and by the people who are there today."""

from collections.abc import Collection, Mapping

from sayso.domain.rules import Rule
from sayso.errors import InvalidRequestError

_MOST_NAMED = 5


def check_possible(rule: Rule) -> None:
    """Refuse a rule that nobody could ever satisfy, whoever comes or goes.

    Raises:
        InvalidRequestError: it wants more people than it names, and asks no group.
    """
    named = len(set(rule.people))
    if named and not rule.groups and named < rule.approvals:
        at, people = "$.rule.approvals", "1 person" if named == 1 else f"{named} people"
        raise InvalidRequestError(
            f"It takes {rule.approvals} different people and asks {people}, so nothing could ever"
            f" be approved (at {at}).",
            hint="Ask more people or a group, or want fewer approvals.",
            errors=({"at": at, "message": f"at most {named} can approve"},),
        )


def shortcomings(
    rule: Rule,
    reviewers: Mapping[str, str],
    groups: Mapping[str, Collection[str]],
    names: Mapping[str, str],
) -> tuple[str, ...]:
    """Why people cannot satisfy the rule as they are today; empty if they can.

    Args:
        rule: what a decision needs.
        reviewers: the names, by their ids, of those who may decide and can be known well enough.
        groups: the ids of the members of each group, by its name.
        names: of all who have an account, by their ids.
    """
    told = [f"The group {name!r} has no members." for name in rule.groups if not groups.get(name)]
    idle = [each for each in rule.people if each not in reviewers]
    told += [
        f"{names[each]} may not decide." if each in names else f"Nobody has the id {each!r}."
        for each in idle[:_MOST_NAMED]
    ]
    if len(idle) > _MOST_NAMED:
        told.append(f"{len(idle) - _MOST_NAMED} more of the people may not decide.")
    asked = set(reviewers)
    if rule.people or rule.groups:
        members = {each for name in rule.groups for each in groups.get(name, ())}
        asked &= {*rule.people, *members}
    takes = f"It takes {rule.approvals} different people" if rule.approvals > 1 else "It takes one"
    if len(asked) < rule.approvals:
        can = ", ".join(sorted(reviewers[each] for each in asked)[:_MOST_NAMED])
        told.append(f"{takes}, and {len(asked)} can approve today{f' ({can})' if can else ''}.")
    elif rule.four_eyes and len(asked) == rule.approvals:
        told.append(
            f"{takes}, and {len(asked)} can approve today: too few for what an agent of one of"
            " them asks, since it takes four eyes."
        )
    return tuple(told)
