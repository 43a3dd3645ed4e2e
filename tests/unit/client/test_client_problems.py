import pytest
from driven import problem

from sayso.client.problems import error_of
from sayso.client.steps import Reply
from sayso.errors import (
    HTTP_STATUS,
    ConflictError,
    InvalidTransitionError,
    NotPermittedError,
    RefusedError,
    SaysoError,
    ServerError,
)


def every_class(cls: type[SaysoError] = SaysoError) -> set[type[SaysoError]]:
    return {cls}.union(*(every_class(below) for below in cls.__subclasses__()))


def test_every_error_has_a_status_and_a_code_of_its_own() -> None:
    classes = {cls for cls in every_class() if cls.__module__ == "sayso.errors"}
    assert classes == HTTP_STATUS.keys()
    assert len({cls.code for cls in classes}) == len(classes)


@pytest.mark.parametrize("cls", HTTP_STATUS, ids=lambda cls: cls.__name__)
def test_every_code_maps_back_to_its_class(cls: type[SaysoError]) -> None:
    error = error_of(
        problem(
            HTTP_STATUS[cls],
            cls.code,
            title="Title",
            detail="What happened.",
            hint="The way out.",
            errors=[{"at": "$.message", "message": "too long"}],
            request={"id": "r1"},
            later="ignored",
        )
    )
    assert type(error) is cls
    assert error.detail == "What happened."
    assert error.hint == "The way out."
    assert error.reason_code == cls.code
    assert error.errors == ({"at": "$.message", "message": "too long"},)
    assert error.request == {"id": "r1"}
    assert str(error) == "What happened. The way out."


@pytest.mark.parametrize(
    ("status", "code", "cls"),
    [
        (409, "expired", InvalidTransitionError),
        (409, "cancelled", InvalidTransitionError),
        (409, "idempotency_conflict", ConflictError),
        (403, "a_word_of_a_later_server", NotPermittedError),
        (409, "a_word_of_a_later_server", RefusedError),
        (418, "teapot", RefusedError),
        (500, "oops", ServerError),
        (599, "", ServerError),
    ],
)
def test_a_more_precise_code_is_kept(status: int, code: str, cls: type[SaysoError]) -> None:
    error = error_of(problem(status, code))
    assert type(error) is cls
    assert error.reason_code == (code or cls.code)


@pytest.mark.parametrize("content", [b"", b"<html>Bad gateway", b"[]", b'{"code": 5}', b"\xff"])
def test_an_answer_without_a_problem_document_is_told_by_its_status(content: bytes) -> None:
    error = error_of(Reply(status=502, content=content))
    assert type(error) is ServerError
    assert error.detail == "The server answered with HTTP 502."
