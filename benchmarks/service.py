"""Measure latency, memory and processor time of the service under many clients. Writes results/service.json.

usage: python benchmarks/service.py [--clients 64] [--seconds 60] [--requests 10000] [--note TEXT]
                                    [--out benchmarks/results/service.json]

The images are 50 photos of about 640x480, no two of one size and quality, made on the spot from the portrait that
comes with the package. `mien serve` is a process of its own, as people start it, with its usual model; the clients are
threads of this one, each on a connection that it keeps. Four questions, in this order:

- load: all clients post one image after another for so many seconds. No error is allowed; 99 in 100 answers come
  within 2 s. The service's processor seconds an image are at most 1.25 times those of the library, which reads the
  same images one after another in a fresh process before, with one thread a forward, as the service does.
- memory: what the process holds after so many requests may be 50 MB more than after the first tenth of them.
- stream: 4 webcams send 15 frames a second for 10 s; the median answer is less than 0.1 s behind its frame, and at most
  1 frame in 20 is left without an answer.
- harm: 2,000 hostile requests (tests/hostile.py), one after another, to a service with a token; each is
  answered, with 4xx, within 2 s.

The exit code is 1 if one of these bounds is not held.
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

PHOTOS, MOST_P99, MOST_CPU, MOST_GROWTH_MB, MOST_BEHIND, MOST_HARM = 50, 2.0, 1.25, 50, 0.1, 2.0
MOST_SKIPPED = 0.05  # of the webcams' frames
WEBCAMS, FRAMES_PER_SECOND, WEBCAM_SECONDS = 4, 15, 10


def photos() -> list[bytes]:
    """Return JPEGs of about 640x480, each with another size and quality."""
    portrait_HW3, rng, made = read_image(sample()), np.random.default_rng(0), []
    for number in range(PHOTOS):
        wide = 590 + 2 * number
        corner = int(rng.integers(0, 100))
        part_HW3 = portrait_HW3[corner // 2 : corner // 2 + 320, corner : corner + 400]
        image_HW3 = cv2.resize(part_HW3, (wide, wide * 3 // 4))
        made.append(cv2.imencode(".jpg", image_HW3, [cv2.IMWRITE_JPEG_QUALITY, 50 + number])[1].tobytes())
    return made


class Process:
    """The running service, seen from outside."""

    def __init__(self, number: int, port: int) -> None:
        self._number, self.port = number, port

    def cpu(self) -> float:
        """Processor seconds so far."""
        fields = Path(f"/proc/{self._number}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def mb(self) -> float:
        """Megabytes in memory."""
        pages = int(Path(f"/proc/{self._number}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def line(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)


@contextmanager
def service(token: str = "") -> Iterator[Process]:
    """Run `mien serve` on a free port without its log."""
    command, environment = [sys.executable, "-m", "mien", "serve", "--port", "0"], {**os.environ, "MIEN_TOKEN": token}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            found = re.search(r":(\d+) ", process.stderr.readline())
            if found is None:
                sys.exit("mien serve did not start")
            threading.Thread(target=lambda: [None for _ in process.stderr or ()], daemon=True).start()
            yield Process(process.pid, int(found[1]))
            process.terminate()
            if process.wait(60):
                sys.exit(f"mien serve ended with {process.returncode}")
        finally:
            process.kill()  # else a client that disconnected would wait for it


def ask_all(running: Process, images: list[bytes], clients: int, append: Callable[[int], bool]) -> dict[str, Any]:
    """Many clients at a time, each one request after another, while `append` of the number of requests so far."""
    seconds: list[float] = []
    errors: list[str] = []
    lock = threading.Lock()

    def client(number: int) -> None:
        with closing(running.line()) as line:
            for turn in range(number, 1 << 30, 7):
                with lock:
                    if not append(len(seconds)):
                        return
                began = time.perf_counter()
                try:
                    line.request("POST", "/v1/analyze", images[turn % PHOTOS], {"Content-Type": "image/jpeg"})
                    got = line.getresponse()
                    body = got.read()
                    error = "" if got.status == 200 else f"{got.status} {body[:200]!r}"
                except (OSError, http.client.HTTPException) as exc:
                    error = repr(exc)
                    line.close()  # the next request opens it again
                with lock:
                    seconds.append(time.perf_counter() - began)
                    errors.extend([error] if error else [])

    crew = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return {"seconds": seconds, "errors": errors}


def load(running: Process, images: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Measure latency and processor time under all clients at once."""
    ask_all(running, images, 4, lambda done: done < PHOTOS)  # warm-up
    cpu, began = running.cpu(), time.perf_counter()
    result = ask_all(running, images, clients, lambda done: time.perf_counter() - began < seconds)
    passed, latency = time.perf_counter() - began, np.array(result["seconds"])
    return {
        "clients": clients,
        "images": len(latency),
        "images_per_second": round(len(latency) / passed, 1),
        "errors": result["errors"][:5],
        "seconds": {f"p{p}": round(float(np.percentile(latency, p)), 4) for p in (50, 95, 99, 100)},
        "cpu_ms_per_image": round(1000 * (running.cpu() - cpu) / len(latency), 3),
    }


def memory(running: Process, images: list[bytes], requests: int) -> dict[str, Any]:
    """Measure the memory in MB after a tenth of the requests and after all."""
    result = {}
    for name, count in (("early", requests // 10), ("late", requests - requests // 10)):
        errors = ask_all(running, images, 8, lambda done, count=count: done < count)["errors"]
        result[name] = round(running.mb(), 1)
        if errors:
            sys.exit(errors[0])
    return {"requests": requests, "early_mb": result["early"], "late_mb": result["late"]}


def webcams(running: Process, images: list[bytes]) -> dict[str, Any]:
    """Measure the delay between frames and results with several webcams at once."""
    behind: list[float] = []
    errors: list[str] = []

    def webcam(number: int) -> None:
        sent: dict[int, float] = {}
        total = FRAMES_PER_SECOND * WEBCAM_SECONDS

        def send() -> None:
            begin = time.perf_counter()
            for frame in range(total):
                time.sleep(max(0.0, begin + frame / FRAMES_PER_SECOND - time.perf_counter()))
                sent[frame] = time.perf_counter()
                socket.send(struct.pack(">I", frame) + images[number])

        with connect(f"ws://127.0.0.1:{running.port}/v1/stream") as socket:
            socket.send('{"token": null}')
            socket.recv()
            sender = threading.Thread(target=send)
            sender.start()
            frame = -1
            while frame < total - 1:  # the newest is always answered
                answer = json.loads(socket.recv(timeout=60))
                frame = answer["frame"]
                if "analysis" in answer:
                    behind.append(time.perf_counter() - sent[frame])
            sender.join()

    def watched(number: int) -> None:
        try:
            webcam(number)
        except Exception as error:  # whatever it is, the others go on and the record tells it
            errors.append(repr(error))

    crew = [threading.Thread(target=watched, args=(number,)) for number in range(WEBCAMS)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    return {
        "webcams": WEBCAMS,
        "errors": errors,
        "frames": WEBCAMS * FRAMES_PER_SECOND * WEBCAM_SECONDS,
        "answers": len(behind),
        "behind_seconds": {f"p{p}": round(float(np.percentile(behind, p)), 4) for p in (50, 95, 100)},
    }


def harm(running: Process, requests: int = 2000) -> dict[str, Any]:
    """Measure the time and status of hostile requests."""
    seconds, others = [], []
    with closing(running.line()) as line:
        for one in hostile.requests(requests):
            began = time.perf_counter()
            status, _ = hostile.send(line, one)
            seconds.append(time.perf_counter() - began)
            if not 400 <= status < 500:
                others.append([one.kind, status])
    return {"requests": len(seconds), "not_4xx": others, "most_seconds": round(max(seconds), 4)}


def library() -> float:
    """Measure the processor milliseconds per image of the library in this process."""
    images, recognizer = photos(), mien.load(threads=1)
    cv2.setNumThreads(1)
    for image in images[:10]:
        recognizer.analyze(image)
    before = resource.getrusage(resource.RUSAGE_SELF)
    for image in images * 4:
        recognizer.analyze(image)
    after = resource.getrusage(resource.RUSAGE_SELF)
    passed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * passed / (4 * PHOTOS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--note", default="", help="what to keep in mind of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "service.json")
    parser.add_argument("--library", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.library:
        print(library())
        return

    def alone() -> float:
        done = subprocess.run([sys.executable, __file__, "--library"], capture_output=True, text=True, check=True)
        return float(done.stdout)

    record: dict[str, Any] = {
        "question": "whether the service bears many clients in flat memory, and what it adds to an image",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": wanted.note,
        "machine": machine("onnxruntime", "uvicorn"),
    }
    images, before = photos(), alone()
    with service() as running:
        record["load"] = load(running, images, wanted.clients, wanted.seconds)
        after = alone()  # on both sides, as others may use the machine too
        record["memory"] = memory(running, images, wanted.requests)
        record["stream"] = webcams(running, images)
    with service(hostile.TOKEN) as running:
        record["harm"] = harm(running)
    library_ms = statistics.mean([before, after])
    ratio = record["load"]["cpu_ms_per_image"] / library_ms
    record["library_cpu_ms_per_image"] = [round(before, 3), round(after, 3)]
    record["cpu_beside_the_library"] = round(ratio, 3)
    growth = record["memory"]["late_mb"] - record["memory"]["early_mb"]
    record["held"] = {
        "no error": not record["load"]["errors"],
        f"p99 at most {MOST_P99:g} s": record["load"]["seconds"]["p99"] <= MOST_P99,
        f"processor time at most {MOST_CPU:g} times the library's": ratio <= MOST_CPU,
        f"growth at most {MOST_GROWTH_MB} MB": growth <= MOST_GROWTH_MB,
        f"webcams' median at most {MOST_BEHIND:g} s behind": record["stream"]["behind_seconds"]["p50"] < MOST_BEHIND,
        f"webcams' frames without an answer at most {100 * MOST_SKIPPED:g} %": (
            record["stream"]["answers"] >= (1 - MOST_SKIPPED) * record["stream"]["frames"]
        ),
        "no webcam broke off": not record["stream"]["errors"],
        f"harm answered within {MOST_HARM:g} s": record["harm"]["most_seconds"] <= MOST_HARM,
        "harm answered with 4xx": not record["harm"]["not_4xx"],
    }
    print(json.dumps(record, indent=1))
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(not all(record["held"].values()))


if __name__ == "__main__":
    main()
