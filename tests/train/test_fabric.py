"""Device and precision: what `auto` means here, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.errors import MienError
from mien.train.fabric import machine, make_fabric

CPUINFO = Path("/proc/cpuinfo")


def test_auto_is_bf16_exactly_where_the_processor_says_so() -> None:
    flags = set(CPUINFO.read_text().split())
    expected = "bf16-mixed" if flags & {"avx512_bf16", "amx_bf16"} else "32-true"
    assert machine(make_fabric("cpu", "auto"))["precision"] == expected


@pytest.mark.parametrize(("asked", "dtype"), [("bf16", torch.bfloat16), ("float32", torch.float32)])
def test_precision_is_what_was_asked_for(asked: str, dtype: torch.dtype) -> None:
    fabric = make_fabric("cpu", asked)
    with fabric.autocast():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype


def test_what_is_not_here_is_refused() -> None:
    with pytest.raises(MienError, match=r"no device 'tpu' here; there is: .*cpu"):
        make_fabric("tpu")
    with pytest.raises(MienError, match="precision is one of auto, bf16, float32, not 'fp8'"):
        make_fabric("cpu", "fp8")


def test_the_machines_record_names_no_place_and_no_person() -> None:
    facts = machine(make_fabric("cpu"))
    assert facts["device"] == "cpu"
    assert facts["cores"] >= 1
    assert not [v for v in facts.values() if isinstance(v, str) and "/" in v]
