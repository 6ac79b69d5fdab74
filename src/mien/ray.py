"""Joining and leaving a Ray cluster.

Ray is the extra `cluster`; it is imported when `connect` is called.
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

LOCAL = "local"  # address that starts a new Ray on this machine
TIMEOUT = 5.0  # seconds to wait for the head of a cluster to accept a connection
OBJECT_STORE = 256 << 20  # bytes of a local Ray's object store; what mien puts there is small


def import_ray(purpose: str) -> Any:
    """Return the package `ray`.

    Args:
        purpose: What Ray is needed for, as the start of the error message.

    Raises:
        MissingExtra: Ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("cluster", purpose) from None
    return ray


@contextmanager
def connect(address: str, purpose: str) -> Iterator[Any]:
    """Join a Ray cluster for the duration of a `with` block, and leave it at the end.

    If this process is connected to a cluster already, that connection is used and stays open.

    Args:
        address: `HOST:PORT` of the head of a cluster; `auto` for a cluster that runs on this machine; or `local` to
            start a new one here with `mien.threads.threads()` cores, which ends with the block.
        purpose: What Ray is needed for, as in `import_ray`.

    Yields:
        The package `ray`.

    Raises:
        MissingExtra: Ray is not installed.
        MienError: The cluster does not answer, or it runs another version of Python or Ray.
    """
    ray = import_ray(purpose)
    if ray.is_initialized():
        with _silence():
            yield ray
        return
    local: dict[str, Any] = {
        "num_cpus": threads(), "include_dashboard": False, "object_store_memory": OBJECT_STORE
    }  # fmt: skip
    _check_reachable(address)
    with _silence():
        try:
            with _keep_sigterm_handler(), _ray_environment(address):
                ray.init(
                    **(local if address == LOCAL else {}), address=address, log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )  # fmt: skip
            yield ray
        except Exception as error:
            if ray.is_initialized():  # the error comes from the body of the `with` block
                raise
            if address == LOCAL:
                raise MienError(f"cannot start Ray on this machine: {first_line(error)}") from None
            if isinstance(error, RuntimeError):
                raise MienError(f"cannot join the Ray cluster at {address}: {first_line(error)}") from None
            raise _no_answer(address, error) from None
        finally:
            with _keep_sigterm_handler():
                ray.shutdown()


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error message; those of Ray go on with pages of tracebacks.

    >>> first_line(ValueError("out of memory\nTraceback ..."))
    'out of memory'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _check_reachable(address: str) -> None:
    """Raise `MienError` if nothing listens at HOST:PORT; Ray itself would wait for 15 minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise _no_answer(address, error) from None


def _no_answer(address: str, error: BaseException) -> MienError:
    return MienError(
        f"no Ray cluster answers at {address} ({first_line(error)}); start one with `ray start --head`, or use the "
        f"address {LOCAL}"
    )


@contextmanager
def _ray_environment(address: str) -> Iterator[None]:
    """Turn off Ray's usage statistics and its messages on stderr; variables that the user has set are kept.

    Ray prints a message about these variables to file descriptor 2, not through Python, so that is redirected.
    """
    variables = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    if address != LOCAL:
        variables["RAY_gcs_server_port_wait_time_s"] = "1"  # timeout where the server at the address is not Ray
    missing = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(missing)
    sys.stderr.flush()
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
        for name in missing:
            os.environ.pop(name, None)


@contextmanager
def _keep_sigterm_handler() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


@contextmanager
def _silence() -> Iterator[None]:
    """Suppress Ray's logs and warnings; its errors are raised as exceptions.

    When a node dies, Ray prints pages of logs to stdout, where our results go. There is no public switch for that, so
    the printing function is replaced.
    """
    worker = sys.modules.get("ray._private.worker")
    print_function = getattr(worker, "print_to_stdstream", None)
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            if print_function is not None:
                vars(worker)["print_to_stdstream"] = _print_nothing
            yield
        finally:
            if print_function is not None:
                vars(worker)["print_to_stdstream"] = print_function
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _print_nothing(*_: object, **__: object) -> None:
    """Replace Ray's printing function."""
