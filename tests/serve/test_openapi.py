"""Requests made up from the service's own OpenAPI are answered with a status and a shape that it names."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from served import Served

CHOSEN = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
EXAMPLES = 15  # of each


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    ("path", "method"),
    [("/v1/analyze", "POST"), ("/v1/video", "POST"), ("/v1/models", "GET"), ("/readyz", "GET"), ("/metrics", "GET")],
)
def test_answers_are_those_that_are_told(served: Served, path: str, method: str, mode: GenerationMode) -> None:
    api = schemathesis.openapi.from_url(f"{served.http.base_url}/openapi.json")
    if mode is GenerationMode.NEGATIVE and method == "GET":
        pytest.skip("there is nothing in it that could be wrong")

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    @given(case=api[path][method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS.get_by_names(CHOSEN))

    ask()
