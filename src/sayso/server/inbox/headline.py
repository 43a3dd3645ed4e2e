"""What a request would do, read from its action and never from the agent's words.

The same rules as `static/headline.js`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

# fmt: off
_VERBS = frozenset((
    "add", "apply", "approve", "archive", "assign", "book", "build", "buy", "call", "cancel",
    "charge", "close", "commit", "copy", "create", "delete", "deploy", "destroy", "disable",
    "drop", "edit", "enable", "execute", "export", "fetch", "fork", "generate", "get", "grant",
    "import", "insert", "install", "invite", "invoke", "issue", "kill", "launch", "list", "merge",
    "modify", "move", "notify", "open", "order", "pay", "post", "promote", "publish", "purchase",
    "purge", "push", "put", "read", "reboot", "refund", "reject", "release", "remove", "rename",
    "reset", "restart", "restore", "resume", "revert", "revoke", "roll", "rollback", "rotate",
    "run", "save", "scale", "schedule", "send", "set", "share", "sign", "start", "stop", "submit",
    "sync", "terminate", "transfer", "trigger", "truncate", "uninstall", "update", "upgrade",
    "upload", "withdraw", "write",
))
# fmt: on
# fmt: off
_UPPER = frozenset((
    "ai", "api", "aws", "cpu", "csv", "db", "dns", "gpu", "html", "http", "https", "iam", "id",
    "ip", "json", "k8s", "mr", "pdf", "pr", "s3", "sms", "sql", "ssh", "url", "vm",
))
# fmt: on
_MONEY = {"amount", "total", "sum", "price", "cost", "fee", "budget"}
_COUNT = {"quantity", "count", "replicas"}
_AMOUNT = _MONEY | _COUNT
_CURRENCY = {"currency", "currency_code", "ccy"}
_RECIPIENT = re.compile(
    "to|cc|bcc|recipients?|beneficiary|payee|iban|account|account_number|destination|email|phone|channel|user|username"
    "|customer|to_account"
)
_TARGET = re.compile(
    "environment|env|target|host|hostname|service|repo|repository|branch|cluster|namespace|database|db|table|path|file"
    "|filename|url|bucket|project|region|domain|version|resource|instance|command|subject"
)
_ORDER = {"amount": 0, "recipient": 1, "target": 2, "count": 3}


class Fact(NamedTuple):
    """An amount, a recipient or a target that stands in the arguments."""

    role: str
    key: str
    text: str


def phrase(tool: str) -> str:
    """Read `stripe.transfers.create` as "Create transfers", `deploy_app` as "Deploy app"."""
    if not re.fullmatch(r"[\x20-\x7e]+", tool):
        return tool
    parts = [words for part in re.split(r"\.|/|::|:|__", tool) if (words := _words(part))]
    if not parts:
        return tool
    last = parts[-1]
    if len(last) == 1 and len(parts) > 1 and last[0].lower() in _VERBS:
        last = [last[0], *parts[-2]]
    text = _nice(last)
    return text[:1].upper() + text[1:]


def label(key: str) -> str:
    """An argument's name as words."""
    return _nice(_words(key)) if len(key) < 40 and re.fullmatch(r"[A-Za-z0-9_\-]+", key) else key


def facts(action: Mapping[str, Any] | None) -> list[Fact]:
    """The amounts, recipients and targets among the arguments; nothing is derived."""
    args: dict[str, Any] = (action or {}).get("tool_args") or {}
    currency = next(
        (v for k, v in args.items() if k in _CURRENCY and isinstance(v, str) and len(v) <= 8), ""
    )
    found: list[Fact] = []
    for key, value in args.items():
        name = key.lower()
        if name in _AMOUNT:
            if (text := _amount(value)) is not None:
                money = name in _MONEY
                found.append(
                    Fact(
                        "amount" if money else "count",
                        key,
                        f"{text} {currency}".strip() if money else text,
                    )
                )
        elif (recipient := _RECIPIENT.fullmatch(name)) or _TARGET.fullmatch(name):
            values: list[Any] = [value]
            if isinstance(value, list) and 0 < len(cast("list[Any]", value)) <= 8:
                values = cast("list[Any]", value)
            if all(_short(v) for v in values):
                text = ", ".join(v if isinstance(v, str) else json.dumps(v) for v in values)
                found.append(Fact("recipient" if recipient else "target", key, text))
    return sorted(found, key=lambda fact: _ORDER[fact.role])[:6]


def headline(request: Mapping[str, Any]) -> str:
    """The card's first line."""
    if request["action"]:
        return phrase(request["action"]["tool_name"])
    match request["kind"]:
        case "choice":
            return f"Choose one of {len(request['options'])}"
        case "input" if request["schema"]:
            count = len(request["schema"].get("properties") or {})
            return f"Fill in {count} {'field' if count == 1 else 'fields'}"
        case "input":
            return "Answer a question"
        case "plan":
            return "Approve a plan"
        case _:
            return "Say yes or no"


def gists(action: Mapping[str, Any]) -> list[str]:
    """What a line in a list says after the phrase."""
    return [fact.text for fact in facts(action) if fact.key.lower() not in _COUNT][:3]


def summary(request: Mapping[str, Any]) -> str:
    """One line for a list."""
    action = request["action"]
    if not action:
        return str(request["message"])
    return " · ".join(text for text in (phrase(action["tool_name"]), *gists(action)) if text)


def _words(text: str) -> list[str]:
    return [
        word for word in re.split(r"[\s_\-]+", re.sub("([a-z0-9])([A-Z])", r"\1 \2", text)) if word
    ]


def _nice(words: list[str]) -> str:
    return " ".join(word.upper() if word.lower() in _UPPER else word.lower() for word in words)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(value: object) -> bool:
    return (isinstance(value, str) and 0 < len(value) <= 120 and "\n" not in value) or _number(
        value
    )


def _amount(value: object) -> str | None:
    if isinstance(value, str):
        return value if re.fullmatch(r"-?[\d., ]{1,24}", value) else None
    if not _number(value):
        return None
    whole, rest = re.fullmatch(r"(-?\d+)(.*)", json.dumps(value)).groups()  # type: ignore[union-attr]
    return f"{int(whole):,}{rest}"
