"""Device and precision: the meaning of `auto`, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mien.errors import MienError
from mien.train.fabric import machine, make_fabric

CPUINFO = Path("/proc/cpuinfo")


def test_auto_is_bf16_if_the_processor_supports_it() -> None:
    flags = set(CPUINFO.read_text().split())
    expected = "bf16-mixed" if flags & {"avx512_bf16", "amx_bf16"} else "32-true"
    assert machine(make_fabric("cpu", "auto"))["precision"] == expected


@pytest.mark.parametrize(("asked", "dtype"), [("bf16", torch.bfloat16), ("float32", torch.float32)])
def test_precision_is_what_was_asked_for(asked: str, dtype: torch.dtype) -> None:
    fabric = make_fabric("cpu", asked)
    with fabric.autocast():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype


def test_unknown_device_and_precision_are_refused() -> None:
    with pytest.raises(MienError, match=r"device 'tpu' is not available .*cpu"):
        make_fabric("tpu")
    with pytest.raises(MienError, match="unknown precision 'fp8'; available: auto, bf16, float32"):
        make_fabric("cpu", "fp8")


def test_machine_record_contains_no_paths() -> None:
    facts = machine(make_fabric("cpu"))
    assert facts["device"] == "cpu"
    assert facts["cores"] >= 1
    assert not [v for v in facts.values() if isinstance(v, str) and "/" in v]
