"""Test that a cluster analyzes every image once when a node dies; measure time and memory. Writes results/scale.json.

usage: python benchmarks/scale.py [--images 20000] [--partition 500] [--cores 2] [--note TEXT] [--out FILE]

The photos are generated in a temporary folder from the sample portrait of the package: cropped, mirrored, brightened,
side by side, from 160 to 480 pixels wide; one in 500 is cut off and one in 50 has no face. They are
read with `photo` by

- a plain loop: one process, `mien.recognition.analyze_sources` and a Parquet writer, with as many threads as `--cores`;
- as many such loops side by side as `--cores`, a thread and an equal share of the folders each, which is the best that
  these cores can do;
- a cluster of as many nodes as `--cores`, each a process of its own with one core (`ray.cluster_utils.Cluster`) beside
  a head without any, undisturbed: once all images, once a quarter of them;
- a cluster of one node more, of which one is killed, with all that runs on it, when a third of the images is done.

Each side is a fresh process, and its seconds run from the call to the last file, the model's and the actors' start
included; the start of the cluster's own processes is not, and stands beside. Processor seconds (of the cluster those
of driver and actors) feel less how busy the machine is. Memory is the most that the driver had,
and the most that one of the actors had, looked at twice a second. What is held: the killed cluster's rows are the
plain loop's, all of them, in the same order, each image once; the undisturbed one's rate is 0.8 at least of the plain
loop's; and four times the images take 50 MB more at most. Its rate is also compared with that of loops in parallel.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figures import machine

HERE = Path(__file__).resolve().parent
LEAST_RATE, MOST_GROWTH_MB = 0.8, 50
CUT, WALL = 500, 50  # one image in so many is cut off, or shows no face


def make(folder: Path, count: int) -> None:
    """Write `count` different photos."""
    from portraits import photos  # here, as all that it brings would count as the driver's memory

    for number, data in enumerate(photos(count, (160, 481), several=0.2, most=3, nobody_each=WALL)):
        file = folder / f"{number % 20:02}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data[: len(data) // 2] if number % CUT == CUT - 1 else data)


def plain(folders: list[Path], out: Path) -> dict[str, Any]:
    """Analyze all images of these folders in one process."""
    import cv2

    from mien.recognition import analyze_sources, find_sources, load, open_writer
    from mien.threads import threads

    cv2.setNumThreads(threads())
    began, began_cpu, faces = time.perf_counter(), time.process_time(), 0
    recognizer = load()
    with open_writer("parquet", recognizer.labels.names, out=out) as writer:
        for _, analysis in analyze_sources(recognizer, find_sources(folders)):
            writer.write(analysis)
            faces += len(analysis.faces)
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - began_cpu, "faces": faces}


def spread(folder: Path, out: Path, nodes: int, partition: int, kill: bool) -> dict[str, Any]:
    """Analyze on a cluster; with `kill`, kill one node when a third is done."""
    from ray.cluster_utils import Cluster

    from mien.recognition import analyze_on_cluster

    began = time.perf_counter()
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    there = [cluster.add_node(num_cpus=1, wait=False) for _ in range(nodes)]
    cluster.wait_for_nodes()
    up = time.perf_counter() - began
    result: dict[str, Any] = {"nodes": nodes, "seconds_until_the_cluster_is_up": round(up, 1), "killed_at": None}
    began_cpu = time.process_time()
    images = faces = unread = parts = 0
    memory = Memory()
    began = time.perf_counter()
    try:
        with memory:
            for plan, done in analyze_on_cluster(folder, out, address=str(cluster.address), size=partition):
                images, faces, unread = images + done.images, faces + done.faces, unread + done.unread
                parts += 1
                result.setdefault("seconds_until_the_first_partition", round(time.perf_counter() - began, 1))
                if kill and result["killed_at"] is None and images >= plan.images / 3:
                    cluster.remove_node(there.pop(), allow_graceful=False)
                    result["killed_at"] = images
        result["seconds"] = time.perf_counter() - began
        result["cpu"] = round(time.process_time() - began_cpu + sum(memory.seconds.values()), 1)
    finally:
        cluster.shutdown()
    most = {"driver_mb": round(memory.driver), "actor_mb": round(memory.actor)}
    return {**result, "images": images, "faces": faces, "unread": unread, "partitions": parts, **most}


class Memory:
    """The most resident memory in MB of this process, and of the largest actor, while it is open; Linux only.

    `seconds` has each actor's processor time, by its process.
    """

    def __init__(self) -> None:
        self.driver = self.actor = 0.0
        self.seconds: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.driver = max(self.driver, _resident_mb(os.getpid()))
            for pid in filter(_is_actor, map(int, filter(str.isdecimal, os.listdir("/proc")))):
                self.actor = max(self.actor, _resident_mb(pid))
                self.seconds[pid] = max(self.seconds.get(pid, 0.0), _cpu_seconds(pid))


def _is_actor(pid: int) -> bool:
    try:
        return b"MapWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()[:200]
    except OSError:
        return False


def _resident_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has just ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def _cpu_seconds(pid: int) -> float:
    """Return the processor seconds of a process and its finished children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def compared(alone: Path, folder: Path) -> dict[str, Any]:
    """Compare the rows of the cluster with those of the plain loop."""
    import pyarrow
    from pyarrow import parquet

    ours = pyarrow.concat_tables([parquet.read_table(file) for file in sorted(folder.glob("part-*.parquet"))])
    ours, theirs = ours.replace_schema_metadata(None), parquet.read_table(alone).replace_schema_metadata(None)
    firsts = [
        s for s, face in zip(ours["source"].to_pylist(), ours["face"].to_pylist(), strict=True) if face in (None, 1)
    ]
    times = Counter(Counter(firsts).values())
    return {
        "rows": ours.num_rows,
        "images_by_count": {str(often): count for often, count in sorted(times.items())},
        "missing": len(set(theirs["source"].to_pylist()) - set(firsts)),
        "equal": bool(ours.equals(theirs)),
    }


def begun(side: str, *words: str, threads: int) -> subprocess.Popen[str]:
    """Start a fresh process of this script."""
    ways = {**os.environ, "MIEN_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    ways["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # for the cluster's processes too
    command = [sys.executable, __file__, "--child", side, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ways)


def run_child(side: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return its output."""
    out, errors = process.communicate()
    if process.returncode:
        sys.exit(errors)
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    print(side, json.dumps(result), file=sys.stderr)
    return result


def child(side: str, *words: str, threads: int) -> dict[str, Any]:
    """Return the output of a fresh process of this script."""
    return run_child(side, begun(side, *words, threads=threads))


def side_by_side(folder: Path, out: Path, cores: int) -> dict[str, Any]:
    """A plain loop a core, of one thread each, on equal shares of the folders; the slowest one's seconds."""
    shares = [sorted(folder.iterdir())[core::cores] for core in range(cores)]
    loops = [
        begun("plain", str(out / f"{core}.parquet"), *map(str, share), threads=1) for core, share in enumerate(shares)
    ]
    result = [run_child("loop", loop) for loop in loops]
    return {"seconds": max(t["seconds"] for t in result), **{k: sum(t[k] for t in result) for k in ("cpu", "faces")}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--partition", type=int, default=500, help="images to a partition")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--note", default="", help="what to keep in mind of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scale.json")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.child:
        side, out, *rest = wanted.child
        if side == "plain":
            print(json.dumps(plain([*map(Path, rest)], Path(out))))
        else:
            folder, nodes, partition = rest
            print(json.dumps(spread(Path(folder), Path(out), int(nodes), int(partition), side == "killed")))
        return
    record: dict[str, Any] = {
        "question": "whether a cluster reads every image once, at what cost and in what memory",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "images": wanted.images,
        "partition": wanted.partition,
        "cores": wanted.cores,
        "note": wanted.note,
        "machine": machine("ray"),
    }
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        make(root / "photos", wanted.images)
        make(root / "quarter", wanted.images // 4)
        photos, part, cores = str(root / "photos"), str(wanted.partition), str(wanted.cores)
        alone = child("plain", str(root / "alone.parquet"), photos, threads=wanted.cores)
        loops = side_by_side(root / "photos", root, wanted.cores)
        quarter = child("spread", str(root / "q"), str(root / "quarter"), cores, part, threads=1)
        whole = child("spread", str(root / "w"), photos, cores, part, threads=1)
        killed = child("killed", str(root / "k"), photos, str(wanted.cores + 1), part, threads=1)
        record["undisturbed"] = {**whole, **compared(root / "alone.parquet", root / "w")}
        record["one_node_killed"] = {**killed, **compared(root / "alone.parquet", root / "k")}
    record["plain"], record["side_by_side"], record["a_quarter"] = alone, loops, quarter
    ratios = {"plain": alone["seconds"] / whole["seconds"], "side_by_side": loops["seconds"] / whole["seconds"]}
    growth = {name: whole[name] - quarter[name] for name in ("driver_mb", "actor_mb")}
    record["rate_beside"] = {**{name: round(ratio, 3) for name, ratio in ratios.items()}, "plain_at_least": LEAST_RATE}
    record["growth_of_four_times"] = {**growth, "at_most": MOST_GROWTH_MB}
    exact = all(
        record[side]["equal"] and not record[side]["missing"] and list(record[side]["images_by_count"]) == ["1"]
        for side in ("undisturbed", "one_node_killed")
    )
    record["every_image_once_and_equal"] = exact
    record["held"] = exact and ratios["plain"] >= LEAST_RATE and max(growth.values()) <= MOST_GROWTH_MB
    print(json.dumps(record, indent=1))
    wanted.out.parent.mkdir(parents=True, exist_ok=True)
    wanted.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
