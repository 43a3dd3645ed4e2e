"""What a decision takes and how far it is, in plain words. The same rules as `review.js`."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sayso.domain.plain import may_be_taken_for

Wire = Mapping[str, Any]

KNOWN_BY = {
    "chat": "known by a chat, or more strongly",
    "login": "signed in with a password, or more strongly",
    "passkey": "sign with a passkey",
}
"""What a least strength takes of whoever approves."""
_STRENGTH = {
    "link": "by a one-time link",
    "chat": "known by a chat",
    "login": "signed in",
    "passkey": "with a passkey",
}
_THROUGH = {
    "web": "in the inbox",
    "api": "through the API",
    "link": "by a link",
    "standing": "by a remembered decision",
    "policy": "by a rule",
    "console": "at a terminal",
    "webhook": "through a webhook",
    "program": "by a program",
}


def demands(rule: Wire | None, names: Mapping[str, str], me: str = "") -> list[str]:
    """What a rule takes, a sentence each; empty for one reviewer, whoever it is.

    Args:
        rule: the rule, as it is sent.
        names: the people's names by their ids, as far as they are known.
        me: the id of whoever reads this.
    """
    if rule is None:
        return []
    told: list[str] = []
    several = rule["approvals"] > 1
    if several:
        told.append(f"It takes {rule['approvals']} different people.")
    if rule["people"] or rule["groups"]:
        told.append(f"Only {_whom(rule, names, me)} may decide.")
    if rule["four_eyes"]:
        told.append("Four eyes: whoever the agent works for may not approve it.")
    if rule["min_strength"] in KNOWN_BY:
        who = "Whoever approves has to be" if rule["min_strength"] != "passkey" else "Approvers"
        told.append(f"{who} {KNOWN_BY[rule['min_strength']]}.")
    if several:
        many = "One rejection ends it." if rule["veto"] else "So many rejections end it, too."
        told.append(many)
    if rule["grant_seconds"] is not None:
        told.append(f"An approval can be used for {span(rule['grant_seconds'])}.")
    return told


def silence(request: Wire, names: Mapping[str, str], me: str = "") -> str:
    """What comes about if nobody answers in time, as the end of a sentence."""
    further = request["escalate_to"]
    match request["on_timeout"]:
        case "reject":
            return "it is rejected and the agent is told no"
        case "approve":
            return "it is approved, as the policy says, and the agent goes on"
        case "escalate" if further is not None and request["escalated_at"] is None:
            named = bool(further["people"] or further["groups"])
            whom = _whom(further, names, me) if named else "further people"
            return f"{whom} will be asked, too"
        case "park":
            return "it goes on waiting, without a deadline"
        case _:
            return "the request expires and the agent is told no"


def counted(request: Wire) -> tuple[int, int] | None:
    """How many have approved the same, of how many; None where one is enough."""
    rule = request["rule"]
    if rule is None or rule["approvals"] < 2:
        return None
    said: dict[str, int] = {}
    for vote in request["votes"]:
        if vote["approves"]:
            key = json.dumps([vote["digest"], vote["option"], vote["content"]], sort_keys=True)
            said[key] = said.get(key, 0) + 1
    return max(said.values(), default=0), rule["approvals"]


def shown(request: Wire) -> Wire | None:
    """The action as it was approved, or as it would be now: with whose arguments, what digest."""
    action, decision = request["action"], request["decision"]
    if action is None:
        return None
    if decision is not None:
        if decision["args"] is None:
            return action
        digest = decision["digest"] or action["digest"]
        return {**action, "tool_args": decision["args"], "digest": digest}
    if request["proposed_args"] is None:
        return action
    return {
        **action,
        "tool_args": request["proposed_args"],
        "digest": request["proposed_digest"] or action["digest"],
    }


BARRED = {
    "not_asked": "Others are asked for this, so you cannot decide it.",
    "four_eyes": "The agent works for you, so somebody else has to approve it. You can reject it.",
    "strength": "To approve this, sign in with your user name and password. You can reject it.",
}
"""What somebody reads in place of buttons that the server would refuse them."""
_STRENGTHS = ("link", "chat", "login", "passkey")


def barred(request: Wire, person: Wire | None) -> str:
    """Why this person cannot approve it, a key of `BARRED`; empty if they can.

    A passkey is asked for when they press, so a rule that wants one bars nobody.
    """
    rule = request.get("rule")
    groups = None if person is None else person.get("groups")
    if rule is None or person is None or groups is None:
        return ""
    me, by = person["id"], request["requested_by"]
    is_named = me in rule["people"] or bool(set(rule["groups"]).intersection(groups))
    if (rule["people"] or rule["groups"]) and not is_named:
        return "not_asked"
    if rule["four_eyes"] and me in (by["id"], by["owner"]):
        return "four_eyes"
    wanted = rule["min_strength"]
    known = _STRENGTHS.index(person.get("strength") or "link")
    return "strength" if wanted != "passkey" and known < _STRENGTHS.index(wanted) else ""


def offers(request: Wire, person: Wire | None, *, script: bool = True) -> list[str]:
    """What the card of a pending request offers somebody: what the server takes from them.

    Returns:
        `approve`, `edit`, `respond`, `option:VALUE`, `reject`, `ignore`, `remember`, `cancel` and
        `stop`, as far as there are.

    Args:
        request: what is asked.
        person: who looks.
        script: there is JavaScript, without which no passkey signs.
    """
    if request["status"] != "pending":
        return []
    powers = None if person is None else person.get("powers")
    bar, rule = barred(request, person), request.get("rule")
    is_yes_open = not bar and (script or rule is None or rule["min_strength"] != "passkey")
    found: list[str] = []
    if (powers is None or "decide" in powers) and bar != "not_asked":
        found += [name for name, is_yes in _answers(request) if is_yes_open or not is_yes]
        if is_yes_open and may_remember(request):
            found.append("remember")
    if powers is None or "submit" in powers:
        found.append("cancel")
    if powers is None or "decide" in powers or "manage" in powers:
        found.append("stop")
    return found


def _answers(request: Wire) -> list[tuple[str, bool]]:
    """The answers to a request, each with whether it is a yes."""
    found: list[tuple[str, bool]] = [
        (f"option:{option['value']}", option["approves"]) for option in request["options"]
    ]
    if request["kind"] == "approval":
        if not request["options"]:
            found += [("approve", True), ("respond", False)]
        if request["action"] is not None:
            found.append(("edit", True))
    elif request["kind"] == "input":
        found.append(("respond", True))
    return [*found, ("reject", False), ("ignore", False)]


def may_remember(request: Wire) -> bool:
    """Whether its approval can be remembered: what the engine would refuse is not offered."""
    action, rule = request["action"], request["rule"]
    if (
        action is None
        or request["status"] != "pending"
        or request["kind"] != "approval"
        or request["options"]
        or request["proposed_args"] is not None
        or action["risk_class"] == "high"
    ):
        return False
    if rule is None:
        return True
    groups_alone = bool(rule["groups"]) and not rule["people"]
    return (
        rule["approvals"] < 2
        and not rule["four_eyes"]
        and rule["min_strength"] != "passkey"
        and not groups_alone
    )


def changer(request: Wire) -> Wire | None:
    """Whoever changed the arguments that are voted on."""
    for vote in reversed(request["votes"]):
        if vote["type"] == "edit" and vote["digest"] == request["proposed_digest"]:
            return vote["by"]
    return None


def phase(request: Wire) -> str:
    """Where the permission to run stands: `waiting`, `claimed`, `unclaimed`, or nothing."""
    grant = request["grant"]
    if grant is None:
        return ""
    if grant["claimed_at"]:
        return "claimed"
    over = dt.datetime.fromisoformat(grant["expires_at"]) <= dt.datetime.now(dt.UTC)
    return "unclaimed" if over else "waiting"


def asker(request: Wire) -> str:
    """Who asks: the name of the key, else what it calls itself."""
    by = request["requested_by"]
    if by["id"] != "local":
        return by["name"] or by["id"]
    return request["client_id"] or "An agent"


def claimer(request: Wire) -> str:
    """Who holds the grant: by name, if it is whoever asked."""
    by, holder = request["requested_by"], request["grant"]["claimed_by"]
    if holder == f"{by['plane']}:{by['id']}":
        return by["name"] or by["id"]
    return holder.removeprefix("agent:")


def through(channel: str) -> str:
    """By which way a decision came."""
    return _THROUGH.get(channel, f"through {channel}")


def strength(word: str) -> str:
    """How strongly a person was identified."""
    return _STRENGTH.get(word, word)


def stop_of(request: Wire, stops: Sequence[Wire]) -> Wire | None:
    """The stop that covers a request."""
    return next((stop for stop in stops if _covers(stop, request)), None)


def stop_name(stop: Wire) -> str:
    """What is stopped."""
    return "Everything" if stop["kind"] == "everything" else f"The {stop['kind']}"


def stopped_name(stop: Wire) -> str:
    """Which agent, client or session; an agent by its name, if it has one."""
    return stop.get("label") or stop["value"]


def _covers(stop: Wire, request: Wire) -> bool:
    match stop["kind"]:
        case "everything":
            return True
        case "agent":  # by its name, too, as the server has it
            by = request["requested_by"]
            return any(may_be_taken_for(stop["value"], each) for each in (by["id"], by["name"]))
        case kind:
            return request[f"{kind}_id"] == stop["value"]


def pattern(limits: Wire) -> str:
    """What an argument may be, in words."""
    told: list[str] = []
    if "equals" in limits:
        told.append(f"exactly {_plain(limits['equals'])}")
    if limits.get("glob") is not None:
        told.append(f"matches {limits['glob']}")
    low, high = limits.get("min"), limits.get("max")
    if low is not None and high is not None:
        told.append(f"from {_plain(low)} to {_plain(high)}")
    elif low is not None:
        told.append(f"{_plain(low)} or more")
    elif high is not None:
        told.append(f"{_plain(high)} or less")
    return ", ".join(told) or "anything"


def span(seconds: float) -> str:
    """A stretch of time: `45 s`, `10 min`, `2 h 5 min`, `3 d`."""
    left = max(0, round(seconds))
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min"
    if left < 86_400:
        return f"{left // 3600} h" + (f" {left % 3600 // 60} min" if left % 3600 >= 60 else "")
    return f"{left // 86_400} d" + (f" {left % 86_400 // 3600} h" if left % 86_400 >= 3600 else "")


def _whom(rule: Wire, names: Mapping[str, str], me: str) -> str:
    known = ["you" if each == me else names[each] for each in rule["people"] if each in names]
    known += ["you" for each in rule["people"] if each == me and each not in names]
    unknown = len(rule["people"]) - len(known)
    if unknown:
        more = "more " if known else ""
        known.append(f"{unknown} {more}{'person' if unknown == 1 else 'people'} by name")
    if rule["groups"]:
        plural = "s" if len(rule["groups"]) > 1 else ""
        known.append(f"the group{plural} {' and '.join(rule['groups'])}")
    return known[0] if len(known) == 1 else f"{', '.join(known[:-1])} and {known[-1]}"


def browser(agent: str) -> str:
    """A program's own long name, as people know it: `Firefox on Linux`."""
    name = next((word for mark, word in _BROWSERS if mark in agent), "")
    system = next((word for mark, word in _SYSTEMS if mark in agent), "")
    if not name:
        return agent[:60]
    return f"{name} on {system}" if system else name


_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrom", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def _plain(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, ensure_ascii=False)
