"""The HTML pages, rendered from wire-shaped dicts by pure functions."""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sayso import cards, visible
from sayso.broker.ceremonies import RelyingParty
from sayso.server.inbox import headline, review, samples

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
"""The folder to be served at `/static/`."""

_STATUSES = ("approved", "rejected", "answered", "expired", "cancelled")
_DEFAULT_PORT = 8080
"""The one that `sayso login-link` takes when none is given."""
_OF_PERSON = ("id", "name", "powers", "groups", "strength")
"""What scripts know of whoever is signed in."""
_METHODS = ("get", "post", "put", "patch", "delete")

Wire = Mapping[str, Any]


def queue(
    requests: Sequence[Wire],
    *,
    person: Wire,
    next: str | None,  # noqa: A002  # the name it has on the wire
    version: str,
    selected: Wire | None = None,
    problem: Wire | None = None,
    parked: bool = False,
) -> str:
    """The inbox: what waits and, when one is `selected`, its card. Works without script.

    Args:
        requests: the first of those that wait.
        person: who looks.
        next: where the list goes on.
        version: of the server.
        selected: the one whose card is open.
        problem: why it was not decided.
        parked: only those are listed that wait though their deadline is over.
    """
    data = {
        "requests": requests,
        "selected": selected,
        "next": next,
        "problem": problem,
        "person": {name: person[name] for name in _OF_PERSON},
        "names": person["names"],
        "stops": person["stops"],
    }
    return _render(
        "queue.html",
        requests=requests,
        person=person,
        next=next,
        version=version,
        selected=selected,
        problem=problem,
        parked=parked,
        data=data,
    )


def history(page: Wire, *, person: Wire, query: Wire, version: str) -> str:
    """What was decided, newest first; `query` is what was searched for: `q`, `status`, `after`."""
    asked = {"q": query.get("q") or "", "status": query.get("status") or ""}
    return _render(
        "history.html",
        items=page["items"],
        more=_link("/history", {**asked, "after": page["next"]}) if page["next"] else None,
        newest=_link("/history", asked),
        tabs=[("", "All", _link("/history", {"q": asked["q"]}))]
        + [
            (s, s.capitalize(), _link("/history", {"q": asked["q"], "status": s}))
            for s in _STATUSES
        ],
        asked=asked,
        paged=bool(query.get("after")),
        person=person,
        version=version,
    )


def audit(
    ledger: Wire, *, person: Wire, version: str, story: Wire | None = None, problem: Wire | None
) -> str:
    """The signed log: how far it goes, who signs it, one request's `story`, and evidence."""
    return _render(
        "audit.html",
        ledger=ledger,
        story=story,
        problem=problem,
        person=person,
        version=version,
    )


def passkeys(items: Sequence[Wire], *, party: RelyingParty, person: Wire, version: str) -> str:
    """A person's passkeys, and how to add one at this address."""
    return _render(
        "passkeys.html", items=items, party=party, person=person, version=version, problem=None
    )


def login(
    *,
    problem: str | None,
    version: str,
    hint: str = "",
    port: int | None = None,
    username: str = "",
    provider: str | None = None,
) -> str:
    """How to sign in, and what went wrong.

    Args:
        problem: what went wrong, if something did.
        version: of the server.
        hint: the way out.
        port: where this server listens.
        username: what was typed before.
        provider: the host of the OpenID provider at which people may sign in, if there is one.
    """
    return _render(
        "login.html",
        problem=problem,
        hint=hint,
        person=None,
        version=version,
        port=None if port == _DEFAULT_PORT else port,
        username=username,
        provider=provider,
    )


def error(problem: Wire, *, person: Wire | None, version: str) -> str:
    """A problem in words, with the way out."""
    return _render("error.html", problem=problem, person=person, version=version)


def settings(
    name: str, *, person: Wire, problem: Wire | None, version: str, **values: object
) -> str:
    """A page of the settings, by its name; `values` are what its template shows."""
    return _render(f"{name}.html", person=person, problem=problem, version=version, **values)


def docs(openapi: Wire, *, version: str) -> str:
    """The API reference, from the OpenAPI 3.1 document."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in openapi.get("paths", {}).items():
        for method in (m for m in _METHODS if m in item):
            operation = _operation(openapi, path, method, item)
            groups.setdefault(operation["group"], []).append(operation)
    schemas = openapi.get("components", {}).get("schemas", {})
    return _render(
        "docs.html", api=openapi, groups=groups, schemas=schemas, person=None, version=version
    )


def gallery(*, version: str) -> str:
    """Every component in every state, with built-in sample data. For development."""
    states = samples.states()
    return _render(
        "gallery.html",
        states=states,
        data={"states": states, "person": samples.PERSON, "names": samples.PERSON["names"]},
        person=samples.PERSON,
        version=version,
    )


def _operation(api: Wire, path: str, method: str, item: Wire) -> dict[str, Any]:
    operation = item[method]
    tags = operation.get("tags") or [path.strip("/").split("/")[0] or "root"]
    parameters = [
        _resolve(api, p) for p in [*item.get("parameters", []), *operation.get("parameters", [])]
    ]
    body = _resolve(api, operation.get("requestBody") or {})
    answers = {
        code: _resolve(api, answer) for code, answer in operation.get("responses", {}).items()
    }
    return {
        "id": operation.get("operationId") or f"{method}-{path.strip('/').replace('/', '-')}",
        "group": tags[0],
        "method": method,
        "path": path,
        "summary": operation.get("summary") or "",
        "description": operation.get("description") or "",
        "parameters": parameters,
        "body": body,
        "answers": answers,
    }


def _resolve(api: Wire, node: Wire) -> Wire:
    """Follow a local `$ref`."""
    for _ in range(8):
        reference = str(node.get("$ref", ""))
        if not reference.startswith("#/"):
            return node
        target: Any = api
        for part in reference[2:].split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~"), {})
        node = target
    return node


def _schema_name(schema: Wire | bool) -> dict[str, str]:
    """A schema as words, and the anchor of the schema it names."""
    if isinstance(schema, bool) or not schema:
        return {"text": "any", "anchor": ""}
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        return {"text": name, "anchor": f"schema-{name}"}
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            named = [_schema_name(inner) for inner in schema[key]]
            anchor = next((n["anchor"] for n in named if n["anchor"]), "")
            return {"text": " | ".join(dict.fromkeys(n["text"] for n in named)), "anchor": anchor}
    if "enum" in schema or "const" in schema:
        values: list[Any] = schema.get("enum", [schema.get("const")])
        return {"text": " | ".join(json.dumps(value) for value in values), "anchor": ""}
    kind: Any = schema.get("type", "any")
    if kind == "array":
        inner = _schema_name(schema.get("items", {}))
        return {"text": f"list of {inner['text']}", "anchor": inner["anchor"]}
    text = str(kind) if isinstance(kind, str) else " | ".join(kind)
    return {"text": f"{text} ({schema['format']})" if "format" in schema else text, "anchor": ""}


def _link(path: str, query: Mapping[str, str | None]) -> str:
    text = urlencode({key: value for key, value in query.items() if value})
    return f"{path}?{text}" if text else path


def _moment(text: str) -> str:
    """An instant as people write it; script makes it relative."""
    return dt.datetime.fromisoformat(text).strftime("%-d %b %Y, %H:%M:%S UTC")


def _grouped(digits: str) -> str:
    """A hash in groups of eight, to be compared by eye."""
    return " ".join(digits[at : at + 8] for at in range(0, len(digits), 8))


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _pieces(text: object) -> list[visible.Piece]:
    return visible.pieces(str(text))


def _shown(text: object, *, one_line: bool = False) -> Markup:
    """What an agent wrote, escaped by `visible.html`."""
    return Markup(visible.html(str(text), one_line=one_line))  # noqa: S704


def _escaped_json(value: object) -> str:
    """JSON to be edited in a plain field, which cannot hold marks."""
    return visible.json_text(value, indent=2)


def _short_digest(digest: str) -> str:
    code = digest.rpartition(":")[2]
    return " ".join(code[at : at + 4] for at in range(0, 16, 4))


def _said(request: Wire) -> str:
    """What a person said to a request, in one line: an answer, a reason, or both."""
    decision = request["decision"]
    if not decision:
        return ""
    answer = decision["content"]
    if decision["option"] is not None:
        labels = [o["label"] for o in request["options"] if o["value"] == decision["option"]]
        answer = labels[0] if labels else decision["option"]
    elif isinstance(answer, Mapping):
        fields = cast("Mapping[str, Any]", answer).items()
        answer = ", ".join(f"{name}: {_plain(value)}" for name, value in fields)
    return " · ".join(text for text in (_plain(answer), decision["reason"]) if text)[:400]


def _plain(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _choices(schema: Wire) -> list[tuple[Any, str]]:
    """The values a property may take, with their names; empty when it is free."""
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return [
                (c["const"], str(c.get("title", c["const"]))) for c in schema[key] if "const" in c
            ]
    values = schema.get("enum", [])
    names = schema.get("enumNames", values)
    return [(value, str(name)) for value, name in zip(values, names, strict=False)]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    filters: dict[str, Callable[..., Any]] = {
        "pieces": _pieces,
        "shown": _shown,
        "spelled": visible.spelled,
        "escaped_json": _escaped_json,
        "moment": _moment,
        "pretty": _pretty,
        "words": headline.label,
        "short_digest": _short_digest,
        "grouped": _grouped,
        "said": _said,
        "choices": _choices,
        "schema_name": _schema_name,
    }
    environment.filters.update(filters)  # pyright: ignore[reportUnknownMemberType]  # Jinja's are untyped
    words: dict[str, Callable[..., Any]] = {
        "headline": headline.headline,
        "facts": headline.facts,
        "summary": headline.summary,
        "phrase": headline.phrase,
        "gists": headline.gists,
        "demands": review.demands,
        "silence": review.silence,
        "counted": review.counted,
        "shown": review.shown,
        "may_remember": review.may_remember,
        "changer": review.changer,
        "phase": review.phase,
        "asker": review.asker,
        "claimer": review.claimer,
        "through": review.through,
        "strength": review.strength,
        "stop_of": review.stop_of,
        "stop_name": review.stop_name,
        "barred": review.barred,
        "offers": review.offers,
        "why_barred": review.BARRED.__getitem__,
        "stopped_name": review.stopped_name,
        "pattern": review.pattern,
        "remembers": cards.standing_text,
        "browser": review.browser,
        "span": review.span,
    }
    environment.globals.update(words)  # pyright: ignore[reportUnknownMemberType]  # the same
    return environment


_ENVIRONMENT = _environment()


def _render(template: str, **values: object) -> str:
    return _ENVIRONMENT.get_template(template).render(**values)
