"""Measure the coverage of the verdict's interval by simulation. Writes results/verdict_coverage.json.

Run:   python experiments/verdict_coverage.py            (about 12 minutes on one core)

Each simulated study has two arms with S seeds that predict the same N faces. Model a of seed s is correct on face i if

    m_a + face_i + taste_ai + seed_as + class_as,c(i) + noise_asi > 0

where all terms are normal: the difficulty of the face (`hardness`), the interaction of arm and face (`taste`), the
effect of the seed (`seed_points`, in points of accuracy), the interaction of seed and class (`favour`), and noise of
standard deviation 1. The true difference in accuracy over all seeds and faces is known exactly, as the accuracy of arm
a is Phi(m_a / sd of the sum). Each replicate draws 10 seeds and N faces; the intervals are computed from the first 3, 5
and 10 seeds. There are four kinds of 95 % intervals: ours (`mien.evaluation.statistics.intervals.two_way_interval`),
the sum of both variances with Satterthwaite's degrees of freedom, Student's t over seeds only, and over faces only.

Scenarios named `stress` violate the assumptions of the interval; they show its limits.
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
    """A population of seeds and faces; see the module docstring for the terms."""

    name: str
    faces: int
    difference_points: float = 0.0
    hardness: float = 2.0
    taste: float = 0.4
    seed_points: tuple[float, float] = (0.5, 0.5)
    favour: float = 0.0
    seed_tail: str = "normal"  # or `t3` (heavy tails) or `collapse` (one in ten runs of the second arm loses 20 points)


def scenarios() -> list[Scenario]:
    """Return all combinations of the main terms, and single cases."""
    grid = itertools.product((500, 3589), (0.0, 2.0), (0.5, 3.0), (0.0, 0.8), (0.3, 1.5))
    factorial = [
        Scenario(f"N={n}, diff={d:g}, hardness={h:g}, taste={t:g}, seeds={p:g}", n, d, h, t, (p, p))
        for n, d, h, t, p in grid
    ]
    return [
        *factorial,
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
    """Yield the true difference and correct_B - correct_A, [10,N], for each replicate."""
    n, max_seeds, unit = scenario.faces, max(SEEDS), NormalDist()
    accuracies = (BASE, BASE + scenario.difference_points / 100)
    variance = scenario.hardness**2 + scenario.taste**2 + scenario.favour**2 + 1
    seed_sds, shifts, truths = [], [], []
    for p, points in zip(accuracies, scenario.seed_points, strict=True):
        slope = unit.pdf(unit.inv_cdf(p)) / math.sqrt(variance)  # accuracy per unit of the latent scale
        seed_sds.append(points / 100 / slope)
        shifts.append(unit.inv_cdf(p) * math.sqrt(variance + seed_sds[-1] ** 2))
        truths.append(p)
    drop = 0.20 / (unit.pdf(unit.inv_cdf(accuracies[1])) / math.sqrt(variance))
    if scenario.seed_tail == "collapse":
        collapsed = unit.cdf((shifts[1] - drop) / math.sqrt(variance + seed_sds[1] ** 2))
        truths[1] = 0.9 * truths[1] + 0.1 * collapsed
    if scenario.seed_tail == "t3":
        truths = [_truth_t3(m, variance, sd) for m, sd in zip(shifts, seed_sds, strict=True)]
    for _ in range(replicates):
        face_N = scenario.hardness * rng.standard_normal(n, dtype=np.float32)
        class_N = rng.choice(len(CLASSES_P), n, p=CLASSES_P)
        correct = []
        for arm in (0, 1):
            seed_S = seed_sds[arm] * _seed_terms(scenario.seed_tail, max_seeds, rng)
            if scenario.seed_tail == "collapse" and arm == 1:
                seed_S -= drop * (rng.random(max_seeds) < 0.1)
            favour_SK = scenario.favour * rng.standard_normal((max_seeds, len(CLASSES_P)))
            score_N = face_N + scenario.taste * rng.standard_normal(n, dtype=np.float32) + np.float32(shifts[arm])
            score_SN = score_N + (seed_S[:, None] + favour_SK).astype(np.float32)[:, class_N]
            correct.append(rng.standard_normal((max_seeds, n), dtype=np.float32) + score_SN > 0)
        yield truths[1] - truths[0], correct[1].astype(np.int8) - correct[0].astype(np.int8)


def _seed_terms(tail: str, seeds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return seed effects of standard deviation 1."""
    return rng.standard_t(3, seeds) / math.sqrt(3) if tail == "t3" else rng.standard_normal(seeds)


def _truth_t3(shift: float, variance: float, sd: float) -> float:
    """Return E Phi((shift + sd T/sqrt 3)/sqrt variance), T distributed as Student's t with 3 degrees of freedom."""
    ps = (np.arange(4000) + 0.5) / 4000
    return float(
        np.mean([NormalDist().cdf((shift + sd * t_quantile(p, 3) / math.sqrt(3)) / math.sqrt(variance)) for p in ps])
    )


def satterthwaite(values_SN: NDArray[np.int8]) -> Interval:
    """Return the interval with variance s²(D)/S + s²(d)/N and Satterthwaite's degrees of freedom."""
    s, n = values_SN.shape
    a, f = float(values_SN.mean(1).var(ddof=1)) / s, float(values_SN.mean(0).var(ddof=1)) / n
    df = (a + f) ** 2 / (a * a / (s - 1) + f * f / (n - 1))
    half, mean = t_quantile(0.975, df) * math.sqrt(a + f), float(values_SN.mean())
    return Interval(mean, mean - half, mean + half, "seeds and faces", math.sqrt(a), math.sqrt(f))


def evaluate_intervals(scenario: Scenario, replicates: int, seed: int) -> list[dict[str, object]]:
    """Return the coverage in percent and the mean width in points of each method and number of seeds."""
    methods = dict(zip(METHODS, (two_way_interval, satterthwaite, seeds_interval, faces_interval), strict=True))
    totals = {(s, m): [0, 0.0] for s in SEEDS for m in METHODS}
    for truth, values_SN in studies(scenario, replicates, np.random.default_rng(seed)):
        for s, (name, method) in itertools.product(SEEDS, methods.items()):
            interval = method(values_SN[:s])
            totals[s, name][0] += truth in interval
            totals[s, name][1] += 100 * (interval.high - interval.low)
    return [
        {
            "scenario": asdict(scenario),
            "seeds": s,
            "coverage_percent": {m: round(100 * totals[s, m][0] / replicates, 2) for m in METHODS},
            "mean_width_points": {m: round(totals[s, m][1] / replicates, 3) for m in METHODS},
        }
        for s in SEEDS
    ]


def table(rows: list[dict[str, object]]) -> str:
    """Return a Markdown table of the worst, median and best coverage and the median width of each method."""
    lines = ["| seeds | method | coverage: worst | median | best | median width, points |", "|--:|---|--:|--:|--:|--:|"]
    for s, m in itertools.product(SEEDS, METHODS):
        selected = [r for r in rows if r["seeds"] == s and not str(r["scenario"]["name"]).startswith("stress")]  # type: ignore[index]
        coverages = sorted(float(r["coverage_percent"][m]) for r in selected)  # type: ignore[index]
        width = float(np.median([r["mean_width_points"][m] for r in selected]))  # type: ignore[index]
        lines.append(
            f"| {s} | {m} | {coverages[0]:.1f} % | {np.median(coverages):.1f} % | {coverages[-1]:.1f} % | {width:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Simulate all scenarios, write the record and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "verdict_coverage.json")
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    for number, scenario in enumerate(scenarios()):
        rows += evaluate_intervals(scenario, args.replicates, seed=number)
        summary = "  ".join(f"S={r['seeds']}: {r['coverage_percent']['ours']} %" for r in rows[-3:])  # type: ignore[index]
        print(f"{scenario.name}: {summary}", flush=True)
    record = {"level": 0.95, "replicates": args.replicates, "numpy": np.__version__, "rows": rows}
    args.out.write_text(json.dumps(record, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
