"""Test that a cluster analyzes every image once when a node dies; measure time and memory. Writes results/scale.json.

usage: python benchmarks/scale.py [--images 20000] [--partition 500] [--cores 2] [--note TEXT] [--out FILE]

The photos are generated in a temporary folder from the sample portrait of the package: cropped, mirrored, brightened,
repeated side by side, 160 to 480 pixels wide; one in 500 is truncated and one in 50 has no face. They are analyzed with
`photo` by

- a plain loop: one process, `mien.recognition.analyze_sources` and a Parquet writer, with as many threads as `--cores`;
- as many parallel loops as `--cores`, each with one thread and an equal share of the folders: the upper bound for these
  cores;
- a cluster of as many nodes as `--cores`, each a process with one core (`ray.cluster_utils.Cluster`), and a head
  without cores: once with all images, once with a quarter of them;
- a cluster with one more node, of which one is killed with all its processes after a third of the images.

Each side runs in a fresh process. Its time is from the call to the last file, including the start of the model and the
actors, but not the start of the cluster, which is recorded separately. Processor time (of the cluster: of driver and
actors) depends less on other load on the machine. Memory is the maximum of the driver and of the largest actor, sampled
twice a second. Bounds: the cluster with a killed node has the same rows as the plain loop, in the same order, each
image once; the rate of the undisturbed cluster is at least 0.8 times that of the plain loop; four times the images take
at most 50 MB more. Its rate is also compared with that of the parallel loops.
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
MIN_RATE, MAX_GROWTH_MB = 0.8, 50
TRUNCATED, WITHOUT_FACE = 500, 50  # periods of truncated images and of images without a face


def write_photos(folder: Path, count: int) -> None:
    """Write `count` different photos."""
    from portraits import photos  # imported here, as its imports would count as memory of the driver

    for number, data in enumerate(photos(count, (160, 481), several=0.2, most=3, nobody_each=WITHOUT_FACE)):
        file = folder / f"{number % 20:02}" / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data[: len(data) // 2] if number % TRUNCATED == TRUNCATED - 1 else data)


def run_loop(folders: list[Path], out: Path) -> dict[str, Any]:
    """Analyze all images of these folders in one process."""
    import cv2

    from mien.recognition import analyze_sources, find_sources, load, open_writer
    from mien.threads import threads

    cv2.setNumThreads(threads())
    start, start_cpu, faces = time.perf_counter(), time.process_time(), 0
    recognizer = load()
    with open_writer("parquet", recognizer.labels.names, out=out) as writer:
        for _, analysis in analyze_sources(recognizer, find_sources(folders)):
            writer.write(analysis)
            faces += len(analysis.faces)
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - start_cpu, "faces": faces}


def run_cluster(folder: Path, out: Path, nodes: int, partition: int, kill: bool) -> dict[str, Any]:
    """Analyze on a cluster; with `kill`, kill one node after a third of the images."""
    from ray.cluster_utils import Cluster

    from mien.recognition import analyze_on_cluster

    start = time.perf_counter()
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster_nodes = [cluster.add_node(num_cpus=1, wait=False) for _ in range(nodes)]
    cluster.wait_for_nodes()
    start_seconds = time.perf_counter() - start
    result: dict[str, Any] = {
        "nodes": nodes,
        "seconds_until_the_cluster_is_up": round(start_seconds, 1),
        "killed_at": None,
    }
    start_cpu = time.process_time()
    images = faces = unread = parts = 0
    memory = Memory()
    start = time.perf_counter()
    try:
        with memory:
            for plan, done in analyze_on_cluster(folder, out, address=str(cluster.address), size=partition):
                images, faces, unread = images + done.images, faces + done.faces, unread + done.unread
                parts += 1
                result.setdefault("seconds_until_the_first_partition", round(time.perf_counter() - start, 1))
                if kill and result["killed_at"] is None and images >= plan.images / 3:
                    cluster.remove_node(cluster_nodes.pop(), allow_graceful=False)
                    result["killed_at"] = images
        result["seconds"] = time.perf_counter() - start
        result["cpu"] = round(time.process_time() - start_cpu + sum(memory.seconds.values()), 1)
    finally:
        cluster.shutdown()
    maxima = {"driver_mb": round(memory.driver), "actor_mb": round(memory.actor)}
    return {**result, "images": images, "faces": faces, "unread": unread, "partitions": parts, **maxima}


class Memory:
    """Maximum resident memory in MB of this process and of the largest actor while it is open; Linux only.

    `seconds` has the processor time of each actor by process id.
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
    """Return whether a process is an actor of Ray Data."""
    try:
        return b"MapWorker" in Path(f"/proc/{pid}/cmdline").read_bytes()[:200]
    except OSError:
        return False


def _resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB, 0 if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # the process has ended
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def _cpu_seconds(pid: int) -> float:
    """Return the processor seconds of a process and its finished children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def compare_rows(alone: Path, folder: Path) -> dict[str, Any]:
    """Compare the rows of the cluster with those of the plain loop."""
    import pyarrow
    from pyarrow import parquet

    parts = [parquet.read_table(file) for file in sorted(folder.glob("part-*.parquet"))]
    cluster_table = pyarrow.concat_tables(parts).replace_schema_metadata(None)
    loop_table = parquet.read_table(alone).replace_schema_metadata(None)
    rows = zip(cluster_table["source"].to_pylist(), cluster_table["face"].to_pylist(), strict=True)
    sources = [source for source, face in rows if face in (None, 1)]
    times = Counter(Counter(sources).values())
    return {
        "rows": cluster_table.num_rows,
        "images_by_count": {str(often): count for often, count in sorted(times.items())},
        "missing": len(set(loop_table["source"].to_pylist()) - set(sources)),
        "equal": bool(cluster_table.equals(loop_table)),
    }


def start_child(side: str, *arguments: str, threads: int) -> subprocess.Popen[str]:
    """Start this script in a new process."""
    environment = {**os.environ, "MIEN_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # inherited by the processes of the cluster
    command = [sys.executable, __file__, "--child", side, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_child(side: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a process and return its output."""
    out, errors = process.communicate()
    if process.returncode:
        sys.exit(errors)
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    print(side, json.dumps(result), file=sys.stderr)
    return result


def child(side: str, *arguments: str, threads: int) -> dict[str, Any]:
    """Run this script in a new process and return its output."""
    return wait_for_child(side, start_child(side, *arguments, threads=threads))


def run_parallel_loops(folder: Path, out: Path, cores: int) -> dict[str, Any]:
    """Run one plain loop per core on equal shares of the folders; return the time of the slowest."""
    shares = [sorted(folder.iterdir())[core::cores] for core in range(cores)]
    loops = [
        start_child("plain", str(out / f"{core}.parquet"), *map(str, share), threads=1)
        for core, share in enumerate(shares)
    ]
    result = [wait_for_child("loop", loop) for loop in loops]
    return {"seconds": max(t["seconds"] for t in result), **{k: sum(t[k] for t in result) for k in ("cpu", "faces")}}


def main() -> None:
    """Run all sides and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--partition", type=int, default=500, help="images per partition")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--note", default="", help="note on the circumstances of this run")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "scale.json")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        side, out, *rest = args.child
        if side == "plain":
            print(json.dumps(run_loop([*map(Path, rest)], Path(out))))
        else:
            folder, nodes, partition = rest
            print(json.dumps(run_cluster(Path(folder), Path(out), int(nodes), int(partition), side == "killed")))
        return
    record: dict[str, Any] = {
        "question": "does a cluster analyze every image once, in how much time and memory",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "images": args.images,
        "partition": args.partition,
        "cores": args.cores,
        "note": args.note,
        "machine": machine("ray"),
    }
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_photos(root / "photos", args.images)
        write_photos(root / "quarter", args.images // 4)
        photos, part, cores = str(root / "photos"), str(args.partition), str(args.cores)
        alone = child("plain", str(root / "alone.parquet"), photos, threads=args.cores)
        loops = run_parallel_loops(root / "photos", root, args.cores)
        quarter = child("spread", str(root / "q"), str(root / "quarter"), cores, part, threads=1)
        whole = child("spread", str(root / "w"), photos, cores, part, threads=1)
        killed = child("killed", str(root / "k"), photos, str(args.cores + 1), part, threads=1)
        record["undisturbed"] = {**whole, **compare_rows(root / "alone.parquet", root / "w")}
        record["one_node_killed"] = {**killed, **compare_rows(root / "alone.parquet", root / "k")}
    record["plain"], record["side_by_side"], record["a_quarter"] = alone, loops, quarter
    ratios = {"plain": alone["seconds"] / whole["seconds"], "side_by_side": loops["seconds"] / whole["seconds"]}
    growth = {name: whole[name] - quarter[name] for name in ("driver_mb", "actor_mb")}
    record["rate_beside"] = {**{name: round(ratio, 3) for name, ratio in ratios.items()}, "plain_at_least": MIN_RATE}
    record["growth_of_four_times"] = {**growth, "at_most": MAX_GROWTH_MB}
    rows_equal = all(
        record[side]["equal"] and not record[side]["missing"] and list(record[side]["images_by_count"]) == ["1"]
        for side in ("undisturbed", "one_node_killed")
    )
    record["every_image_once_and_equal"] = rows_equal
    record["held"] = rows_equal and ratios["plain"] >= MIN_RATE and max(growth.values()) <= MAX_GROWTH_MB
    print(json.dumps(record, indent=1))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
