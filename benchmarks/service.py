"""Measure latency, memory and processor time of the service under many clients. Writes results/service.json.

usage: python benchmarks/service.py [--clients 64] [--seconds 60] [--requests 10000] [--note TEXT]
                                    [--out benchmarks/results/service.json]

The images are 50 photos of about 640x480 with different sizes and qualities, generated from the sample portrait of the
package. `mien serve` runs in a separate process with its default model; the clients are threads of this process, each
with a persistent connection. Four measurements, in this order:

- load: all clients post images in sequence for `--seconds`. No error is allowed, and the 99th percentile of the
  response time is at most 2 s. The processor time of the service per image is at most 1.25 times that of the library,
  which analyzes the same images in sequence in fresh processes before and after, with one thread as in the service.
- memory: after `--requests` requests, the process has at most 50 MB more memory than after the first tenth of them.
- stream: 4 webcams send 15 frames per second for 10 s; the median delay of a result is less than 0.1 s, and at most 1
  frame in 20 has no result.
- harm: 2,000 hostile requests (tests/hostile.py) in sequence to a service with a token; each gets a status 4xx within
  2 s.

The exit code is 1 if a bound is exceeded.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import resource
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from figures import machine
from websockets.sync.client import connect

import mien
from mien.imaging.load import read_image
from mien.recognition import sample

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
import hostile  # noqa: E402

PHOTOS, MAX_P99, MAX_CPU, MAX_GROWTH_MB, MAX_DELAY, MAX_HOSTILE = 50, 2.0, 1.25, 50, 0.1, 2.0
MAX_SKIPPED = 0.05  # share of the frames of the webcams
WEBCAMS, FRAMES_PER_SECOND, WEBCAM_SECONDS = 4, 15, 10


def photos() -> list[bytes]:
    """Return JPEGs of about 640x480, each with another size and quality."""
    portrait_HW3, rng, jpegs = read_image(sample()), np.random.default_rng(0), []
    for number in range(PHOTOS):
        width = 590 + 2 * number
        corner = int(rng.integers(0, 100))
        part_HW3 = portrait_HW3[corner // 2 : corner // 2 + 320, corner : corner + 400]
        image_HW3 = cv2.resize(part_HW3, (width, width * 3 // 4))
        jpegs.append(cv2.imencode(".jpg", image_HW3, [cv2.IMWRITE_JPEG_QUALITY, 50 + number])[1].tobytes())
    return jpegs


class Service:
    """A running service: its port, processor time and memory."""

    def __init__(self, number: int, port: int) -> None:
        self._number, self.port = number, port

    def cpu(self) -> float:
        """Return the processor seconds since its start."""
        fields = Path(f"/proc/{self._number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mb(self) -> float:
        """Return the resident memory in MB."""
        pages = int(Path(f"/proc/{self._number}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


@contextmanager
def service(token: str = "") -> Iterator[Service]:
    """Run `mien serve` on a free port without its log."""
    command, environment = [sys.executable, "-m", "mien", "serve", "--port", "0"], {**os.environ, "MIEN_TOKEN": token}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            found = re.search(r":(\d+) ", process.stderr.readline())
            if found is None:
                sys.exit("mien serve did not start")
            threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
            yield Service(process.pid, int(found[1]))
            process.terminate()
            if process.wait(60):
                sys.exit(f"mien serve ended with {process.returncode}")
        finally:
            process.kill()  # after an error, so that nothing waits for it


def send_requests(
    running: Service, images: list[bytes], clients: int, proceed: Callable[[int], bool]
) -> dict[str, Any]:
    """Send requests from concurrent clients while `proceed` of the number of finished requests is true."""
    seconds: list[float] = []
    errors: list[str] = []
    lock = threading.Lock()

    def client(number: int) -> None:
        with closing(running.connect()) as connection:
            for index in range(number, 1 << 30, 7):
                with lock:
                    if not proceed(len(seconds)):
                        return
                start = time.perf_counter()
                try:
                    connection.request("POST", "/v1/analyze", images[index % PHOTOS], {"Content-Type": "image/jpeg"})
                    response = connection.getresponse()
                    body = response.read()
                    error = "" if response.status == 200 else f"{response.status} {body[:200]!r}"
                except (OSError, http.client.HTTPException) as exc:
                    error = repr(exc)
                    connection.close()  # the next request reconnects
                with lock:
                    seconds.append(time.perf_counter() - start)
                    errors.extend([error] if error else [])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": seconds, "errors": errors}


def measure_load(running: Service, images: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Measure latency and processor time under all clients at once."""
    send_requests(running, images, 4, lambda finished: finished < PHOTOS)  # warm-up
    cpu, start = running.cpu(), time.perf_counter()
    result = send_requests(running, images, clients, lambda finished: time.perf_counter() - start < seconds)
    elapsed, latency = time.perf_counter() - start, np.array(result["seconds"])
    return {
        "clients": clients,
        "images": len(latency),
        "images_per_second": round(len(latency) / elapsed, 1),
        "errors": result["errors"][:5],
        "seconds": {f"p{p}": round(float(np.percentile(latency, p)), 4) for p in (50, 95, 99, 100)},
        "cpu_ms_per_image": round(1000 * (running.cpu() - cpu) / len(latency), 3),
    }


def measure_memory(running: Service, images: list[bytes], requests: int) -> dict[str, Any]:
    """Measure the memory in MB after a tenth of the requests and after all."""
    result = {}
    for name, count in (("early", requests // 10), ("late", requests - requests // 10)):
        errors = send_requests(running, images, 8, lambda finished, count=count: finished < count)["errors"]
        result[name] = round(running.mb(), 1)
        if errors:
            sys.exit(errors[0])
    return {"requests": requests, "early_mb": result["early"], "late_mb": result["late"]}


def measure_webcams(running: Service, images: list[bytes]) -> dict[str, Any]:
    """Measure the delay between frames and results with several webcams at once."""
    delays: list[float] = []
    errors: list[str] = []

    def webcam(number: int) -> None:
        sent: dict[int, float] = {}
        total = FRAMES_PER_SECOND * WEBCAM_SECONDS

        def send() -> None:
            start = time.perf_counter()
            for frame in range(total):
                time.sleep(max(0.0, start + frame / FRAMES_PER_SECOND - time.perf_counter()))
                sent[frame] = time.perf_counter()
                socket.send(struct.pack(">I", frame) + images[number])

        with connect(f"ws://127.0.0.1:{running.port}/v1/stream") as socket:
            socket.send('{"token": null}')
            socket.recv()
            sender = threading.Thread(target=send)
            sender.start()
            frame = -1
            while frame < total - 1:  # the newest frame always gets a result
                answer = json.loads(socket.recv(timeout=60))
                frame = answer["frame"]
                if "analysis" in answer:
                    delays.append(time.perf_counter() - sent[frame])
            sender.join()

    def run_webcam(number: int) -> None:
        try:
            webcam(number)
        except Exception as error:  # recorded; the other webcams continue
            errors.append(repr(error))

    threads = [threading.Thread(target=run_webcam, args=(number,)) for number in range(WEBCAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "webcams": WEBCAMS,
        "errors": errors,
        "frames": WEBCAMS * FRAMES_PER_SECOND * WEBCAM_SECONDS,
        "answers": len(delays),
        "behind_seconds": {f"p{p}": round(float(np.percentile(delays, p)), 4) for p in (50, 95, 100)},
    }


def measure_hostile_requests(running: Service, requests: int = 2000) -> dict[str, Any]:
    """Measure the time and status of hostile requests."""
    seconds, other_statuses = [], []
    with closing(running.connect()) as connection:
        for one in hostile.requests(requests):
            start = time.perf_counter()
            status, _ = hostile.send(connection, one)
            seconds.append(time.perf_counter() - start)
            if not 400 <= status < 500:
                other_statuses.append([one.kind, status])
    return {"requests": len(seconds), "not_4xx": other_statuses, "most_seconds": round(max(seconds), 4)}


def measure_library() -> float:
    """Measure the processor milliseconds per image of the library in this process."""
    images, recognizer = photos(), mien.load(threads=1)
    cv2.setNumThreads(1)
    for image in images[:10]:
        recognizer.analyze(image)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for image in images * 4:
        recognizer.analyze(image)
    after = resource.getrusage(resource.RUSAGE_SELF)
    elapsed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * elapsed / (4 * PHOTOS)


def main() -> None:
    """Run all measurements and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--note", default="", help="note on the circumstances of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "service.json")
    parser.add_argument("--library", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.library:
        print(measure_library())
        return

    def run_library() -> float:
        """Return the processor milliseconds per image of the library in a fresh process."""
        process = subprocess.run([sys.executable, __file__, "--library"], capture_output=True, text=True, check=True)
        return float(process.stdout)

    record: dict[str, Any] = {
        "question": "does the service handle many clients in constant memory, and how much time does it add",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": args.note,
        "machine": machine("onnxruntime", "uvicorn"),
    }
    images, before = photos(), run_library()
    with service() as running:
        record["load"] = measure_load(running, images, args.clients, args.seconds)
        after = run_library()  # before and after, as the load on the machine may change
        record["memory"] = measure_memory(running, images, args.requests)
        record["stream"] = measure_webcams(running, images)
    with service(hostile.TOKEN) as running:
        record["harm"] = measure_hostile_requests(running)
    library_ms = statistics.mean([before, after])
    ratio = record["load"]["cpu_ms_per_image"] / library_ms
    record["library_cpu_ms_per_image"] = [round(before, 3), round(after, 3)]
    record["cpu_beside_the_library"] = round(ratio, 3)
    growth = record["memory"]["late_mb"] - record["memory"]["early_mb"]
    record["held"] = {
        "no error": not record["load"]["errors"],
        f"p99 at most {MAX_P99:g} s": record["load"]["seconds"]["p99"] <= MAX_P99,
        f"processor time at most {MAX_CPU:g} times the library's": ratio <= MAX_CPU,
        f"growth at most {MAX_GROWTH_MB} MB": growth <= MAX_GROWTH_MB,
        f"webcams' median at most {MAX_DELAY:g} s behind": record["stream"]["behind_seconds"]["p50"] < MAX_DELAY,
        f"webcams' frames without an answer at most {100 * MAX_SKIPPED:g} %": (
            record["stream"]["answers"] >= (1 - MAX_SKIPPED) * record["stream"]["frames"]
        ),
        "no webcam broke off": not record["stream"]["errors"],
        f"harm answered within {MAX_HOSTILE:g} s": record["harm"]["most_seconds"] <= MAX_HOSTILE,
        "harm answered with 4xx": not record["harm"]["not_4xx"],
    }
    print(json.dumps(record, indent=1))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(not all(record["held"].values()))


if __name__ == "__main__":
    main()
