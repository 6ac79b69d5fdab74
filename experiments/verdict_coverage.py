"""Measure the coverage of the verdict's interval by simulation. Writes results/verdict_coverage.json.

Run:   python experiments/verdict_coverage.py            (about 12 minutes on one core)

A study is simulated: S seeds train two arms that judge the same N faces. Model a of seed s is right on face i when

    m_a + face_i + taste_ai + seed_as + class_as,c(i) + noise_asi > 0

with all terms normal: how hard the face is (`hardness`), how differently the arms take it (`taste`), how good this
seed's run came out (`seed_points`, in points of accuracy), the classes that it favours (`favour`), and what only this
model does on this face (standard deviation 1). The truth is the difference in accuracy over all seeds and all faces,
which is known exactly: arm a's accuracy is Phi(m_a / sd of the sum). A replicate draws 10 new seeds and N new faces;
the first 3, 5 and 10 of the seeds are judged. Each interval says 95 %: ours
(`mien.evaluation.statistics.intervals.two_way_interval`), the sum of both variances with Satterthwaite's degrees of
freedom, Student's t over the seeds alone, and over the faces alone.

Scenarios named `stress` are outside what the interval promises, and are here to show where it ends.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mien.evaluation.statistics.intervals import Interval, faces_interval, seeds_interval, two_way_interval
from mien.evaluation.statistics.student_t import t_quantile

SEEDS = (3, 5, 10)
METHODS = ("ours", "satterthwaite", "seeds_only", "faces_only")
CLASSES_P = (0.140, 0.015, 0.143, 0.251, 0.168, 0.110, 0.173)  # about FER2013's
BASE = 0.60  # accuracy of the first arm


@dataclass(frozen=True)
class Scenario:
    """One population of seeds and faces; see the header for the terms."""

    name: str
    faces: int
    difference_points: float = 0.0
    hardness: float = 2.0
    taste: float = 0.4
    seed_points: tuple[float, float] = (0.5, 0.5)
    favour: float = 0.0
    seed_tail: str = (
        "normal"  # or `t3`, heavy on both sides, or `collapse`, one run of the second arm in ten is 20 points worse
    )


def scenarios() -> list[Scenario]:
    """Every combination of the main terms, then single cases beside them."""
    grid = itertools.product((500, 3589), (0.0, 2.0), (0.5, 3.0), (0.0, 0.8), (0.3, 1.5))
    crossed = [
        Scenario(f"N={n}, diff={d:g}, hardness={h:g}, taste={t:g}, seeds={p:g}", n, d, h, t, (p, p))
        for n, d, h, t, p in grid
    ]
    return [
        *crossed,
        Scenario("typical of FER2013 at 9 epochs", 3589, 1.0, 2.0, 0.5, (0.6, 0.6), 0.1),
        Scenario("no seed variance at all", 3589, 0.0, 2.0, 0.0, (0.0, 0.0)),
        Scenario("seed variance only, large", 3589, 2.0, 4.0, 0.0, (4.0, 4.0)),
        Scenario("arms of unequal seed variance", 3589, 4.0, 2.0, 0.4, (0.4, 2.0)),
        Scenario("seeds favour classes", 3589, 0.0, 2.0, 0.4, (0.5, 0.5), 0.5),
        Scenario("heavy-tailed seeds", 3589, 1.0, 2.0, 0.4, (1.0, 1.0), 0.0, "t3"),
        Scenario(
            "stress: one run in ten of the second arm collapses", 3589, 0.0, 2.0, 0.4, (0.5, 0.5), 0.0, "collapse"
        ),
    ]


def studies(scenario: Scenario, replicates: int, rng: np.random.Generator) -> Iterator[tuple[float, NDArray[np.int8]]]:
    """Per replicate the true difference and right_B - right_A, [10,N]."""
    n, most, unit = scenario.faces, max(SEEDS), NormalDist()
    bases = (BASE, BASE + scenario.difference_points / 100)
    own = scenario.hardness**2 + scenario.taste**2 + scenario.favour**2 + 1
    seed_sds, shifts, truths = [], [], []
    for p, points in zip(bases, scenario.seed_points, strict=True):
        slope = unit.pdf(unit.inv_cdf(p)) / math.sqrt(own)  # points of accuracy per unit on the inner scale
        seed_sds.append(points / 100 / slope)
        shifts.append(unit.inv_cdf(p) * math.sqrt(own + seed_sds[-1] ** 2))
        truths.append(p)
    drop = 0.20 / (unit.pdf(unit.inv_cdf(bases[1])) / math.sqrt(own))
    if scenario.seed_tail == "collapse":
        fallen = unit.cdf((shifts[1] - drop) / math.sqrt(own + seed_sds[1] ** 2))
        truths[1] = 0.9 * truths[1] + 0.1 * fallen
    if scenario.seed_tail == "t3":
        truths = [_truth_t3(m, own, sd) for m, sd in zip(shifts, seed_sds, strict=True)]
    for _ in range(replicates):
        face_N = scenario.hardness * rng.standard_normal(n, dtype=np.float32)
        class_N = rng.choice(len(CLASSES_P), n, p=CLASSES_P)
        right = []
        for arm in (0, 1):
            seed_S = seed_sds[arm] * _seed_terms(scenario.seed_tail, most, rng)
            if scenario.seed_tail == "collapse" and arm == 1:
                seed_S -= drop * (rng.random(most) < 0.1)
            favour_SK = scenario.favour * rng.standard_normal((most, len(CLASSES_P)))
            at_N = face_N + scenario.taste * rng.standard_normal(n, dtype=np.float32) + np.float32(shifts[arm])
            at_SN = at_N + (seed_S[:, None] + favour_SK).astype(np.float32)[:, class_N]
            right.append(rng.standard_normal((most, n), dtype=np.float32) + at_SN > 0)
        yield truths[1] - truths[0], right[1].astype(np.int8) - right[0].astype(np.int8)


def _seed_terms(tail: str, seeds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Standard deviation 1 whatever the tail."""
    return rng.standard_t(3, seeds) / math.sqrt(3) if tail == "t3" else rng.standard_normal(seeds)


def _truth_t3(shift: float, own: float, sd: float) -> float:
    """E Phi((shift + sd T/sqrt 3)/sqrt own) over the quantiles of Student's t with 3 degrees of freedom."""
    ps = (np.arange(4000) + 0.5) / 4000
    return float(
        np.mean([NormalDist().cdf((shift + sd * t_quantile(p, 3) / math.sqrt(3)) / math.sqrt(own)) for p in ps])
    )


def satterthwaite(values_SN: NDArray[np.int8]) -> Interval:
    """The rival: s²(D)/S + s²(d)/N, Satterthwaite's degrees of freedom, Student's t."""
    s, n = values_SN.shape
    a, f = float(values_SN.mean(1).var(ddof=1)) / s, float(values_SN.mean(0).var(ddof=1)) / n
    df = (a + f) ** 2 / (a * a / (s - 1) + f * f / (n - 1))
    half, mean = t_quantile(0.975, df) * math.sqrt(a + f), float(values_SN.mean())
    return Interval(mean, mean - half, mean + half, "seeds and faces", math.sqrt(a), math.sqrt(f))


def judge(scenario: Scenario, replicates: int, seed: int) -> list[dict[str, object]]:
    """Coverage in percent and mean width in points of each method at each number of seeds."""
    methods = dict(zip(METHODS, (two_way_interval, satterthwaite, seeds_interval, faces_interval), strict=True))
    held = {(s, m): [0, 0.0] for s in SEEDS for m in METHODS}
    for truth, values_SN in studies(scenario, replicates, np.random.default_rng(seed)):
        for s, (name, method) in itertools.product(SEEDS, methods.items()):
            interval = method(values_SN[:s])
            held[s, name][0] += truth in interval
            held[s, name][1] += 100 * (interval.high - interval.low)
    return [
        {
            "scenario": asdict(scenario),
            "seeds": s,
            "coverage_percent": {m: round(100 * held[s, m][0] / replicates, 2) for m in METHODS},
            "mean_width_points": {m: round(held[s, m][1] / replicates, 3) for m in METHODS},
        }
        for s in SEEDS
    ]


def table(rows: list[dict[str, object]]) -> str:
    """Markdown: per number of seeds the worst, median and best coverage of each method, and its median width."""
    lines = ["| seeds | method | coverage: worst | median | best | median width, points |", "|--:|---|--:|--:|--:|--:|"]
    for s, m in itertools.product(SEEDS, METHODS):
        mine = [r for r in rows if r["seeds"] == s and not str(r["scenario"]["name"]).startswith("stress")]  # type: ignore[index]
        covers = sorted(float(r["coverage_percent"][m]) for r in mine)  # type: ignore[index]
        width = float(np.median([r["mean_width_points"][m] for r in mine]))  # type: ignore[index]
        lines.append(
            f"| {s} | {m} | {covers[0]:.1f} % | {np.median(covers):.1f} % | {covers[-1]:.1f} % | {width:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--replicates", type=int, default=4000)
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "verdict_coverage.json")
    asked = options.parse_args()
    rows: list[dict[str, object]] = []
    for number, scenario in enumerate(scenarios()):
        rows += judge(scenario, asked.replicates, seed=number)
        ours = "  ".join(f"S={r['seeds']}: {r['coverage_percent']['ours']} %" for r in rows[-3:])  # type: ignore[index]
        print(f"{scenario.name}: {ours}", flush=True)
    record = {"level": 0.95, "replicates": asked.replicates, "numpy": np.__version__, "rows": rows}
    asked.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
