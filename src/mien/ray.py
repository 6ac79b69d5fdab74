"""Joining and leaving a Ray cluster.

Ray is the extra `cluster` and is not imported before `connected` is called.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mien.errors import MienError, MissingExtra
from mien.threads import threads

LOCAL = "local"  # the address of a Ray of one's own, on this machine alone
WAIT = 5.0  # seconds for a machine to answer at all
STORE = 256 << 20  # bytes that such a one may hold of what goes between its processes; ours is small


def import_ray(purpose: str) -> Any:
    """The package Ray.

    Args:
        purpose: what it is needed for, the beginning of a sentence.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("cluster", purpose) from None
    return ray


@contextmanager
def connected(address: str, purpose: str) -> Iterator[Any]:
    """Within it this process is part of the Ray cluster at `address`; gives the package Ray.

    A process that is connected already stays so, before and after.

    Args:
        address: `HOST:PORT` of the cluster's head, `auto` for the one that runs on this machine, or `local` for one
            that is started here, with `mien.threads.threads()` cores, and ends with the context.
        purpose: as `import_ray` has it.

    Raises:
        MissingExtra: Ray is not installed.
        MienError: no cluster answers, or it runs another Python or Ray.
    """
    ray = import_ray(purpose)
    if ray.is_initialized():
        with _quiet():
            yield ray
        return
    here: dict[str, Any] = {"num_cpus": threads(), "include_dashboard": False, "object_store_memory": STORE}
    _check_answering(address)
    with _quiet():
        try:
            with _own_signals(), _settings(address):
                ray.init(
                    **(here if address == LOCAL else {}), address=address, log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )  # fmt: skip
            yield ray
        except Exception as error:
            if ray.is_initialized():  # so it is not the joining that failed
                raise
            if address == LOCAL:
                raise MienError(f"Ray cannot be started here: {first_line(error)}") from None
            if isinstance(error, RuntimeError):
                raise MienError(f"the Ray cluster at {address} cannot be joined: {first_line(error)}") from None
            raise _nobody_at(address, error) from None
        finally:
            with _own_signals():
                ray.shutdown()


def _check_answering(address: str) -> None:
    """`MienError` where nothing listens at HOST:PORT, for which Ray would wait a quarter of an hour."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), WAIT).close()
    except (OSError, OverflowError) as error:
        raise _nobody_at(address, error) from None


def _nobody_at(address: str, error: BaseException) -> MienError:
    return MienError(
        f"no Ray cluster answers at {address} ({first_line(error)}); start one with `ray start --head`, or say {LOCAL}"
    )


@contextmanager
def _settings(address: str) -> Iterator[None]:
    """Ray would tell its makers what runs here, and speak on stderr; whoever sets these variables has their way.

    What it says of being told to be silent it says on stderr, past Python.
    """
    ours = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    if address != LOCAL:
        ours["RAY_gcs_server_port_wait_time_s"] = "1"  # tries to speak with something that is no cluster
    missing = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(missing)
    sys.stderr.flush()
    stderr, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nothing)
        for name in missing:
            os.environ.pop(name, None)


@contextmanager
def _own_signals() -> Iterator[None]:
    """What SIGTERM means here is not Ray's affair."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within it Ray logs and warns of nothing: what goes wrong for good, its exceptions tell.

    Of a node that dies it prints pages of logs to stdout, where results go, and has no public switch for that.
    """
    inside = sys.modules.get("ray._private.worker")
    printing = getattr(inside, "print_to_stdstream", None)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    usual = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            if printing is not None:
                vars(inside)["print_to_stdstream"] = _say_nothing
            yield
        finally:
            if printing is not None:
                vars(inside)["print_to_stdstream"] = printing
            for logger, level in zip(loggers, usual, strict=True):
                logger.setLevel(level)


def _say_nothing(*_: object, **__: object) -> None:
    """In the place of what would print."""


def first_line(error: BaseException) -> str:
    """What an error of Ray's says, without its pages of tracebacks."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
