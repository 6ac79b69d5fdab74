"""A service that tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from served import RunningService, running


@pytest.fixture(scope="session")
def served() -> Iterator[RunningService]:
    with running() as service:
        yield service
