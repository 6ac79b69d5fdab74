"""`mien --version`: the version, and with `--verbose` what a bug report needs."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mien import __version__

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "torch", "ray", "av")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")


def version_details() -> Iterator[str]:
    """Yield a line on each thing that a bug report needs; torch, ray and av are not imported."""
    yield f"mien {__version__}"
    yield f"Python {platform.python_version()} ({platform.python_implementation()})"
    yield f"platform {platform.platform()}"
    for package in PACKAGES:
        try:
            installed = version(package)
        except PackageNotFoundError:
            installed = "not installed"
        yield f"{package} {installed}{_providers() if package == 'onnxruntime' else ''}"
    yield f"threads {_threads()}"
    yield f"CPU flags {_cpu_flags()}"


def _providers() -> str:
    try:
        import onnxruntime
    except ImportError as error:
        return f" (import failed: {error})"
    return f" ({', '.join(onnxruntime.get_available_providers())})"


def _threads() -> str:
    from mien.errors import MienError
    from mien.threads import threads

    try:
        return str(threads())
    except MienError as error:
        return f"unknown: {error}"


def _cpu_flags(file: Path = Path("/proc/cpuinfo")) -> str:
    """Return those of `CPU_FLAGS` that the CPU has; Linux lists them in /proc/cpuinfo."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return "unknown"
    line = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return ", ".join(flag for flag in CPU_FLAGS if flag in line.split()) or "none of " + ", ".join(CPU_FLAGS)
