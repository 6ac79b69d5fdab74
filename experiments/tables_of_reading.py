"""Markdown tables of speed and of crop rules, one function for each kind of record."""

from __future__ import annotations

from typing import Any

BILLION, MACHINES, CORES, PRICE = (
    1_000_000_000,
    100,
    16,
    0.04,
)  # images; the example of docs/scale.md; price per core-hour


def speeds(result: dict[str, Any]) -> str:
    """Return a table with one row per model and number of threads: time per face, one at a time and in batches."""
    rows = [
        f"| model | threads | one face, ms | in batches of {result['batch']}, ms per face | speedup over `fer`, "
        "one face | in batches |",
        "|---|---|---|---|---|---|",
    ]
    for threads, outcome in result["threads"].items():
        figures, ratios = outcome["figures"], outcome["ratios"]
        for model in dict.fromkeys(name.partition(",")[0] for name in figures):
            if model == "convolution":
                continue
            one, many = (figures.get(f"{model}, {how}", {}).get("milliseconds_per_face") for how in ("one", "batch"))
            times = [ratios.get(f"{model}, {how}: times fer's rate") for how in ("one", "batch")]
            rows.append(
                f"| {model} | {threads} | {_milliseconds(one)} | {_milliseconds(many)} | "
                + " | ".join("" if value is None else f"{value:.2f}" for value in times)
                + " |"
            )
    return "\n".join(rows) + "\n"


def _milliseconds(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    low, high = figure["quartiles"]
    return f"{figure['median']:.3f} ({low:.3f} to {high:.3f})"


def crop_rule(result: dict[str, Any]) -> str:
    """Return a table with one row per crop rule: loss of accuracy of each model against the original crops."""
    models = list(result["models"])
    rule = {k: v for k, v in result["rule"].items() if k not in ("provisional", "upright") and v}
    outcome = ", ".join(f"{k} {v}" for k, v in rule.items()) or "the box alone"
    rows = [
        "| crop rule | " + " | ".join(f"loss of `{model}`, points" for model in models) + " |",
        "|---" * (1 + len(models)) + "|",
    ]
    for what, lost in (
        ("at the detector's box", result["lost_by_the_box_alone"]),
        (outcome, result["lost_when_not_upright"]),
        (f"{outcome}, upright", result["lost_when_upright"]),
        ("at the true position and rotation", result["lost_by_the_true_place"]),
    ):
        if what != "the box alone":  # the first row
            rows.append(f"| {what} | " + " | ".join(_loss(lost[model]) for model in models) + " |")
    steps = "; ".join(
        f"{s['part']} {s['value']}: {_gain(s['gain'])}, {'kept' if s['kept'] else 'not kept'}".replace("-", "−")
        for s in result["steps"]
    )
    upright = result["upright"]
    return (
        "\n".join(rows)
        + f"\n\n± is one standard error. Of {result['faces']:,} faces, rotated by up to 15 degrees, the detector finds "
        f"{result['found']['turned']:,}. What each part gains, points: {steps}; upright: {_gain(upright['turned'])} on "
        f"these, {_gain(upright['level'])} on the same faces not rotated, {_gain(upright['both'])} on both, "
        f"{'kept' if upright['kept'] else 'not kept'}. At the border of an image, replication instead of black: "
        f"{_gain(result['at_the_rim']['repeated_minus_black'])}.\n"
    )


def stages(result: dict[str, Any]) -> str:
    """Return a table with one row per size of photo: time per stage, and the cost of a billion."""
    rows = [
        "| photo | decode, ms | detect, ms | crop and predict, ms | fraction of time in decoding, % "
        f"| images per core-second | core-hours per billion | hours on {MACHINES} machines of {CORES} cores "
        "| MB/s per machine | TB in total | "
        f"cost at {PRICE} per core-hour |",
        "|---" * 11 + "|",
    ]
    for one in result["stages"]:
        ms = one["milliseconds"]
        total_ms = sum(ms.values())
        core_hours = BILLION * total_ms / 1000 / 3600
        rows.append(
            f"| {one['photo']}, {one['width']} x {one['height']} | {ms['decode']:.1f} | {ms['find']:.1f} | "
            f"{ms['cut'] + ms['tell']:.1f} | {100 * ms['decode'] / total_ms:.0f} | {1000 / total_ms:.0f} | "
            f"{core_hours:,.0f} | {core_hours / MACHINES / CORES:.1f} | "
            f"{CORES * 1000 / total_ms * one['bytes'] / 1e6:.0f} | "
            f"{BILLION * one['bytes'] / 1e12:.0f} | {core_hours * PRICE:,.0f} |"
        )
    return "\n".join(rows) + f"\n\nOne face per photo, model `{result['model']}`, one thread.{_noted(result)}\n"


def cluster(result: dict[str, Any]) -> str:
    """Return a table with one row per side of `benchmarks/scale.py`."""
    rows = [
        "| side | images | seconds | images per second | faces per core-second | CPU seconds | driver, MB | "
        "actor, MB | rows equal to the loop's, each image once |",
        "|---" * 9 + "|",
    ]
    names = {
        "plain": "a plain loop, all cores", "side_by_side": "one plain loop per core, in parallel",
        "undisturbed": "a cluster", "a_quarter": "a cluster, a quarter of the images",
        "one_node_killed": "a cluster with one more node, one killed",
    }  # fmt: skip
    for side, name in names.items():
        one = {"images": result["images"], "nodes": result["cores"], **result[side]}
        memory = [f"{one[key]}" if key in one else "" for key in ("driver_mb", "actor_mb")]
        same = "" if "equal" not in one else "yes" if one["equal"] and not one["missing"] else "no"
        cores = f"{one['faces'] / one['seconds'] / one['nodes']:.2f}" if side != "one_node_killed" else ""
        rows.append(
            f"| {name} | {one['images']:,} | {one['seconds']:.0f} | {one['images'] / one['seconds']:.1f} | "
            f"{cores} | {one['cpu']:.0f} | {' | '.join(memory)} | {same} |"
        )
    rates, growth = result["rate_beside"], result["growth_of_four_times"]
    driver, actor = (f"{growth[of]:+}".replace("-", "−") for of in ("driver_mb", "actor_mb"))
    return (
        "\n".join(rows) + f"\n\nThe rate of the cluster is {rates['plain']:.2f} times that of the plain loop on "
        f"the same {result['cores']} cores (target: at least {rates['plain_at_least']}) and "
        f"{rates['side_by_side']:.2f} times that of the parallel loops; its first partition is done after "
        f"{result['undisturbed']['seconds_until_the_first_partition']:.0f} s. With "
        f"four times the images, memory changes by {driver} MB in the driver and {actor} MB in an actor "
        f"(limit: +{growth['at_most']}).{_noted(result)}\n"
    )


def service(result: dict[str, Any]) -> str:
    """Return a table with one row per bound of `benchmarks/service.py`."""
    load, memory, stream, harm = (result[part] for part in ("load", "memory", "stream", "harm"))
    growth = memory["late_mb"] - memory["early_mb"]
    rows = [
        "| what | measured | bound |",
        "|---|---|---|",
        f"| {load['clients']} clients, {load['images']:,} photos in a minute | {load['images_per_second']:.0f} a "
        f"second, {len(load['errors'])} errors | no error |",
        f"| response time | {load['seconds']['p50']:.2f} s median, "
        f"{load['seconds']['p99']:.2f} s at the 99th percentile | 2 s |",
        f"| CPU time per photo | {load['cpu_ms_per_image']:.0f} ms, {result['cpu_beside_the_library']:.2f} "
        "times the library's | 1.25 |",
        f"| memory after {memory['requests']:,} requests | {memory['late_mb']:.0f} MB, {growth:+.0f} MB since the "
        "first tenth of them | +50 MB |",
        f"| {stream['webcams']} webcams of 15 frames a second | {stream['answers']} of {stream['frames']} frames "
        f"answered, median delay {1000 * stream['behind_seconds']['p50']:.0f} ms | 100 ms |",
        f"| {harm['requests']:,} malicious requests | {len(harm['not_4xx'])} not rejected, the slowest took "
        f"{harm['most_seconds']:.1f} s | 2 s |",
    ]
    return "\n".join(rows) + f"\n\nOn {result['machine']['cores']} cores, shared with the clients.{_noted(result)}\n"


def face_quality(result: dict[str, Any]) -> str:
    """Return a table with one row per strength of each degradation, and the limits."""
    models = list(result["models"])
    units = {"reduced": "reduced to {} px", "blurred": "blurred, sigma {} px", "moved": "moved by {} px",
             "exposed": "{} times the brightness"}  # fmt: skip
    rows = [
        "| faces | median of what is measured | " + " | ".join(f"accuracy of `{model}`, %" for model in models)
        + " | `uncertain`, % |",
        "|---" * (3 + len(models)) + "|",
        "| original | | " + " | ".join(f"{100 * result['accuracy'][model]:.1f}" for model in models)
        + f" | {100 * sum(result['original_faces_outside'].values()):.1f} |",
    ]  # fmt: skip
    for name, strengths in result["strengths"].items():
        for row in strengths:
            what, median = next((key[7:], value) for key, value in row.items() if key.startswith("median_"))
            accuracy = " | ".join(f"{100 * row['accuracy'][model]:.1f}" for model in models)
            faces = units[name].format(f"{row['strength']:g}")
            rows.append(f"| {faces} | {what} {median:.3g} | {accuracy} | {100 * row['uncertain']:.0f} |")
    computed = "; ".join(
        f"{name.replace('_', ' ')} {result['limits'][name]:g} ("
        + ", ".join(f"`{model}` {limits[model]:.3g}" for model in models) + ")"
        for name, limits in result["computed"].items()
    )  # fmt: skip
    photos = result.get("photos")
    check = (
        f" Of {photos['faces']:,} faces in photos of another source, {photos['uncertain']} "
        f"({100 * photos['share']:.1f} %) are uncertain."
        if photos
        else ""
    )
    if "pose" in result:
        roll, yaw = result["pose"]["rotated"], result["pose"]["yaw"]
        changes = ", ".join(f"{row['change_of_roll_quartiles'][1]:g} at {row['degrees']}" for row in roll)
        check += (
            f"\n\nPose, {result['pose']['faces']} faces in larger images: median change of roll when a face is rotated "
            f"(degrees): {changes}. The yaw of a face is {yaw['median_of_absolute_yaw']:g} degrees to a side (median); "
            f"it differs by {yaw['median_of_absolute_sum_with_mirror_image']:g} degrees from that of the mirror image."
        )
    return (
        "\n".join(rows)
        + f"\n\n{result['faces']:,} faces of PublicTest, majority vote. Limits, and where each model keeps "
        f"{100 * result['kept_at_the_limit']:.0f} % of its accuracy: {computed}.{check}\n"
    )


def _noted(result: dict[str, Any]) -> str:
    return f" Note: {result['note']}." if result.get("note") else ""


def _gain(figure: dict[str, float]) -> str:
    return f"{figure['points']:+.2f} ± {figure['standard_error']:.2f}".replace("-", "−")


def _loss(figure: dict[str, float]) -> str:
    return f"{figure['points']:.2f} ± {figure['standard_error']:.2f}"
