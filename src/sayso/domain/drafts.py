"""What was submitted: what it means, and whether it can be asked at all."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import chain

from sayso.domain.quorum import check_possible
from sayso.domain.requests import ASKERS_CHOICES, Draft, Kind, Option, OptionDraft
from sayso.errors import InvalidRequestError

# fmt: off
REFUSING_WORDS = frozenset({
    "no", "cancel", "reject", "deny", "decline", "hold", "stop", "abort", "wait", "ignore",
    "block", "skip", "dismiss", "disagree", "disallow", "disapprove", "don't", "dont", "forbid",
    "nein", "never", "nope", "not", "refuse",
})
# fmt: on
"""A plain option that begins with one of these words, or with "do not", lets nobody go on."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_EFFECTS, _OPTIONS = "$.action.side_effects", "$.options"
_LISTS = frozenset({_EFFECTS, _OPTIONS})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def kind_of(draft: Draft) -> Kind:
    """The kind that was named, or that the rest of the draft means."""
    if draft.kind is not None:
        return draft.kind
    if draft.action is not None:
        return Kind.APPROVAL
    if draft.options:
        return Kind.CHOICE
    return Kind.APPROVAL if draft.schema is None else Kind.INPUT


def options_of(draft: Draft) -> tuple[Option, ...]:
    """The options, each with its value and whether it approves.

    Raises:
        InvalidRequestError: two have the same value.
    """
    if not draft.options:
        return ()
    options = tuple(
        Option(
            label=o.label,
            value=o.value if o.value is not None else o.label,
            approves=approves_by_label(o.label) if o.approves is None else o.approves,
        )
        for o in (OptionDraft(label=d) if isinstance(d, str) else d for d in draft.options)
    )
    if len({option.value for option in options}) != len(options):
        raise _invalid("$.options", "Two options have the same value.", "Give each its own value.")
    return options


def approves_by_label(label: str) -> bool:
    """Whether a plain option lets the agent go on: its first word is not a refusing one.

    Case, emoji and punctuation do not count; a label without any word (only emoji) does not
    approve, since nobody can tell what it says.
    """
    plain = unicodedata.normalize("NFKC", label).replace("\u2019", "'")
    shown = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    words = [word.casefold() for word in _WORD.findall(shown)[:2]]
    return bool(words) and words[0] not in REFUSING_WORDS and words != ["do", "not"]


def check(draft: Draft, kind: Kind) -> None:
    """Refuse what contradicts itself, cannot be shown, or could never be approved.

    Raises:
        InvalidRequestError: it says where, and what to do instead.
    """
    if kind is Kind.PLAN:
        raise _invalid("$.kind", "Plans are not taken yet.", "Use 'approval', 'choice' or 'input'.")
    if draft.action is not None and kind is not Kind.APPROVAL:
        raise _invalid(
            "$.action",
            "Only an approval has an action.",
            "Use the kind 'approval'; it may have options.",
        )
    if kind is Kind.CHOICE and not draft.options:
        raise _invalid("$.options", "A choice needs options.", "Name at least one.")
    if kind is Kind.INPUT and draft.options:
        raise _invalid("$.options", "An input has no options.", "Use the kind 'choice'.")
    if draft.schema is not None and kind is not Kind.INPUT:
        raise _invalid("$.schema", "Only an input has a form.", "Use the kind 'input'.")
    if draft.on_timeout not in ASKERS_CHOICES:
        raise _invalid(
            "$.on_timeout",
            f"What asks does not choose {draft.on_timeout.value!r} for when nobody answers.",
            "Use 'expire', 'reject' or 'park'; a rule of the server's policy can say more.",
        )
    if draft.rule is not None:
        check_possible(draft.rule)
    texts = _shown_texts(draft)
    if not "".join(chain.from_iterable(texts.values())).isprintable():  # most are, and this is fast
        refuse_control_characters(
            (f"{at}[{place}]" if at in _LISTS else at, text)
            for at, told in texts.items()
            for place, text in enumerate(told)
        )


def refuse_control_characters(texts: Iterable[tuple[str, str]]) -> None:
    """Refuse them in texts, each of which stands at a place in the input.

    Raises:
        InvalidRequestError: it says where.
    """
    for at, text in texts:
        found = _CONTROL.search(text)
        if found is not None:
            raise _invalid(
                at,
                f"It has the control character U+{ord(found.group()):04X} "
                f"at position {found.start()}.",
                "Take control characters out; tab and line breaks are fine.",
            )


def _shown_texts(draft: Draft) -> dict[str, Sequence[str]]:
    """What people are shown as it was written, by where it stands."""
    texts: dict[str, Sequence[str]] = {
        "$.message": (draft.message,),
        "$.session_id": (draft.session_id or "",),
        "$.client_id": (draft.client_id or "",),
    }
    if draft.action is not None:
        texts["$.action.tool_name"] = (draft.action.tool_name,)
        texts["$.action.rationale"] = (draft.action.rationale,)
        texts[_EFFECTS] = draft.action.side_effects
    if draft.options:
        texts[_OPTIONS] = [
            each if isinstance(each, str) else f"{each.label}{each.value or ''}"
            for each in draft.options
        ]
    return texts


def _invalid(at: str, message: str, hint: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{message} (at {at})", hint=hint, errors=({"at": at, "message": message},)
    )
