"""The routes as the OpenAPI document describes them, called by schemathesis with what it makes up.

The examples are the same each time. No reply is an error of the server, and each is as described:
its status, its content type and its body.
"""

from collections.abc import Generator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from support.credentials import Everybody
from support.server import RunningServer

from sayso.server.app import ROUTES

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
STREAMS = {"/api/v1/events"}
OPERATIONS = [
    f"{entry.method} {entry.path}"
    for entry in ROUTES
    if entry.operation is not None and entry.path not in STREAMS
]
EXAMPLES = 2


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Generator[Everybody]:
    server = RunningServer(tmp_path_factory.mktemp("server")).start()
    all_ = Everybody(server)
    yield all_
    assert "Traceback" not in server.log
    all_.close()
    server.stop()


@pytest.fixture(scope="module")
def document(everybody: Everybody) -> Any:
    return schemathesis.openapi.from_dict(everybody.http.get("/openapi.json").json())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "mode"), [("admin", GenerationMode.POSITIVE), ("agent", GenerationMode.NEGATIVE)]
)
@pytest.mark.parametrize("route", OPERATIONS)
def test_a_route_answers_as_described(
    everybody: Everybody, document: Any, route: str, who: str, mode: GenerationMode
) -> None:
    """To what fits the description, and to what does not."""
    method, _, path = route.partition(" ")
    operation = document[path][method]

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), is_real=st.booleans())
    def tried(case: Case, is_real: bool) -> None:
        if is_real and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = everybody.ask()["id"]
        if "wait" in (case.query or {}):
            case.query["wait"] = 0.01
        case.call_and_validate(
            base_url=everybody.server.url, headers=everybody.headers[who], checks=CHECKS
        )

    try:
        tried()
    except Unsatisfiable:
        assert not operation.body
        return  # it takes nothing that could be wrong
