"""The digest is RFC 8785, whichever way it is computed."""

import hashlib

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from sayso.domain.actions import Action, canonical_json, digest_of
from sayso.errors import InvalidRequestError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(texts, values, max_size=5))
@example({"a": 1.0, "b": 1e21, "c": 1e-7, "d": -0.0, "e": 0.1})
@example({'\x1f\x7f\b\f\n\r\t"\\/': "\u2028\u0000"})
@example({"\ue000": 1, "\U0001f600": 2, "z": 3})
@example({"s": ":1.5 [2e3 ,123456789012345678"})
@example({"n": [9007199254740991, -9007199254740991]})
def test_the_short_way_gives_the_same_bytes_as_the_rfc(value: dict[str, object]) -> None:
    assert canonical_json(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


def test_the_digest_is_sha_256_over_name_and_arguments() -> None:
    expected = hashlib.sha256(b'{"tool_args":{"a":1,"b":[true]},"tool_name":"t"}').hexdigest()
    assert digest_of("t", {"b": [True], "a": 1}) == f"sha256:{expected}"
    assert Action(tool_name="t", tool_args={"b": [True], "a": 1}).digest == f"sha256:{expected}"


@pytest.mark.parametrize("value", [2**53, -(2**53), 10**30, float("nan"), float("inf"), "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequestError, match="no canonical form"):
        Action(tool_name="t", tool_args={"a": value})


def test_a_record_keeps_its_digest_and_other_arguments_get_another() -> None:
    action = Action(tool_name="t", tool_args={"a": 1})
    assert action.with_args({"a": 1}) == action
    assert action.with_args({"a": 2}).digest != action.digest
