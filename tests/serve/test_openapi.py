"""Requests generated from the OpenAPI document get a status and a schema of that document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from served import RunningService, running

CHOSEN = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
EXAMPLES = 15  # of each
TOKEN = "correct-horse-battery"
WITH_OPTIONS = [("/v1/analyze", "post"), ("/v1/video", "post")]
PLAIN = [("/v1/models", "get"), ("/healthz", "get"), ("/readyz", "get"), ("/metrics", "get")]
# Routes without options and body have no invalid requests.
ASKED = [(*route, mode) for route in WITH_OPTIONS for mode in GenerationMode]
ASKED += [(*route, GenerationMode.POSITIVE) for route in PLAIN]


@pytest.fixture(scope="module")
def protected() -> Iterator[RunningService]:
    with running(token=TOKEN) as one:
        yield one


def ask(served: RunningService, path: str, method: str, mode: GenerationMode, headers: dict[str, str]) -> set[int]:
    """Return the statuses of the responses after checking each against the OpenAPI document."""
    api = schemathesis.openapi.from_url(f"{served.http.base_url}/openapi.json")
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        seen.add(case.call_and_validate(headers=headers, checks=CHECKS.get_by_names(CHOSEN)).status_code)

    one()
    return seen


@pytest.mark.parametrize(("path", "method", "mode"), ASKED)
def test_responses_match_openapi(served: RunningService, path: str, method: str, mode: GenerationMode) -> None:
    assert 401 not in ask(served, path, method, mode, {})


@pytest.mark.parametrize(("path", "method", "mode"), ASKED)
def test_responses_match_openapi_with_token(
    protected: RunningService, path: str, method: str, mode: GenerationMode
) -> None:
    seen = ask(protected, path, method, mode, {"Authorization": f"Bearer {TOKEN}"})
    assert 401 not in seen or mode is GenerationMode.NEGATIVE  # which generates tokens, too
    assert seen - {401}


@pytest.mark.parametrize(("path", "method", "mode"), ASKED)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}], ids=["none", "wrong"])
def test_v1_routes_get_401_without_token(
    protected: RunningService, path: str, method: str, mode: GenerationMode, headers: dict[str, str]
) -> None:
    assert ask(protected, path, method, mode, headers) == ({401} if path.startswith("/v1/") else {200})


def test_all_openapi_routes_are_tested(served: RunningService, protected: RunningService) -> None:
    open_paths, closed_paths = (one.http.get("/openapi.json").json()["paths"] for one in (served, protected))
    operations = {(path, method): what for path, methods in closed_paths.items() for method, what in methods.items()}
    assert set(operations) == {(path, method) for path, method, _ in ASKED}
    assert open_paths.keys() == closed_paths.keys()
    wanted = {path for (path, _), what in operations.items() if what.get("security") == [{"token": []}]}
    assert wanted == {path for path, _ in operations if path.startswith("/v1/")}
    assert not any("security" in what for methods in open_paths.values() for what in methods.values())
