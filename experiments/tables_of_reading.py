"""Markdown tables of speed and of crop rules, one function for each kind of record."""

from __future__ import annotations

from typing import Any

BILLION, MACHINES, CORES, PRICE = 1_000_000_000, 100, 16, 0.04  # images; of docs/scale.md's example; a core-hour


def speeds(result: dict[str, Any]) -> str:
    """Return a table with one row per model: how long a face takes, alone and among many, on one thread and two."""
    rows = [
        f"| model | threads | one face, ms | in batches of {result['batch']}, ms a face | times `fer`'s rate, one | "
        "in batches | share of a convolution's rate, in batches |",
        "|---|---|---|---|---|---|---|",
    ]
    for threads, outcome in result["threads"].items():
        figures, ratios = outcome["figures"], outcome["ratios"]
        for model in dict.fromkeys(name.partition(",")[0] for name in figures):
            if model == "convolution":
                continue
            one, many = (figures.get(f"{model}, {how}", {}).get("milliseconds_per_face") for how in ("one", "batch"))
            times = [ratios.get(f"{model}, {how}: times fer's rate") for how in ("one", "batch")]
            share = ratios.get(f"{model}, batch: share of the convolution's rate")
            rows.append(
                f"| {model} | {threads} | {_milliseconds(one)} | {_milliseconds(many)} | "
                + " | ".join("" if value is None else f"{value:.2f}" for value in (*times, share))
                + " |"
            )
    return "\n".join(rows) + "\n"


def _milliseconds(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    low, high = figure["quartiles"]
    return f"{figure['median']:.3f} ({low:.3f} to {high:.3f})"


def crop_rule(result: dict[str, Any]) -> str:
    """Return a table with one row per crop rule: what each model loses by it, against the original crops."""
    models = list(result["models"])
    rule = {k: v for k, v in result["rule"].items() if k not in ("provisional", "upright") and v}
    outcome = ", ".join(f"{k} {v}" for k, v in rule.items()) or "the box alone"
    rows = [
        "| how a face is cut out | " + " | ".join(f"`{model}` loses, points" for model in models) + " |",
        "|---" * (1 + len(models)) + "|",
    ]
    for what, lost in (
        ("at the detector's box", result["lost_by_the_box_alone"]),
        (outcome, result["lost_when_not_upright"]),
        (f"{outcome}, upright", result["lost_when_upright"]),
        ("by true place and turn", result["lost_by_the_true_place"]),
    ):
        if what != "the box alone":  # which the first row is
            rows.append(f"| {what} | " + " | ".join(_loss(lost[model]) for model in models) + " |")
    steps = "; ".join(
        f"{s['part']} {s['value']}: {_gain(s['gain'])}, {'kept' if s['kept'] else 'not kept'}".replace("-", "−")
        for s in result["steps"]
    )
    upright = result["upright"]
    return (
        "\n".join(rows)
        + f"\n\n± is one standard error. Of {result['faces']:,} faces, turned by up to 15 degrees, the detector finds "
        f"{result['found']['turned']:,}. What each part gains, points: {steps}; upright: {_gain(upright['turned'])} on "
        f"these, {_gain(upright['level'])} on the same not turned, {_gain(upright['both'])} on both, "
        f"{'kept' if upright['kept'] else 'not kept'}. At an image's rim, the rim repeated instead of black: "
        f"{_gain(result['at_the_rim']['repeated_minus_black'])}.\n"
    )


def stages(result: dict[str, Any]) -> str:
    """Return a table with one row per size of photo: where its time goes, and what a billion of them take."""
    rows = [
        "| photo | decode, ms | find, ms | cut and tell, ms | decode's share, % | images a core-second | "
        f"core-hours of a billion | hours on {MACHINES} machines of {CORES} cores | MB/s to each | TB in all | "
        f"at {PRICE} a core-hour |",
        "|---" * 11 + "|",
    ]
    for one in result["stages"]:
        took = one["milliseconds"]
        whole = sum(took.values())
        core_hours = BILLION * whole / 1000 / 3600
        rows.append(
            f"| {one['photo']}, {one['width']} x {one['height']} | {took['decode']:.1f} | {took['find']:.1f} | "
            f"{took['cut'] + took['tell']:.1f} | {100 * took['decode'] / whole:.0f} | {1000 / whole:.0f} | "
            f"{core_hours:,.0f} | {core_hours / MACHINES / CORES:.1f} | "
            f"{CORES * 1000 / whole * one['bytes'] / 1e6:.0f} | "
            f"{BILLION * one['bytes'] / 1e12:.0f} | {core_hours * PRICE:,.0f} |"
        )
    return "\n".join(rows) + f"\n\nOne face a photo, the model `{result['model']}`, one thread.{_noted(result)}\n"


def cluster(result: dict[str, Any]) -> str:
    """Return a table with one row per side of `benchmarks/scale.py`."""
    rows = [
        "| side | images | seconds | images a second | faces a core-second | processor seconds | driver, MB | "
        "actor, MB | rows as the loop's, each image once |",
        "|---" * 9 + "|",
    ]
    names = {
        "plain": "a plain loop, all cores", "side_by_side": "a plain loop a core, side by side",
        "undisturbed": "a cluster", "a_quarter": "a cluster, a quarter of the images",
        "one_node_killed": "a cluster of one node more, one killed",
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
    beside, growth = result["rate_beside"], result["growth_of_four_times"]
    driver, actor = (f"{growth[of]:+}".replace("-", "−") for of in ("driver_mb", "actor_mb"))
    return (
        "\n".join(rows) + f"\n\nThe cluster's rate is {beside['plain']:.2f} of the plain loop's on the same "
        f"{result['cores']} cores ({beside['plain_at_least']} is wanted) and {beside['side_by_side']:.2f} of that of "
        "the loops side by side; its first partition is done after "
        f"{result['undisturbed']['seconds_until_the_first_partition']:.0f} s. Four "
        f"times the images take {driver} MB in the driver and {actor} MB in an actor "
        f"(+{growth['at_most']} at most).{_noted(result)}\n"
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
        f"| their answers | half within {load['seconds']['p50']:.2f} s, 99 in 100 within "
        f"{load['seconds']['p99']:.2f} s | 2 s |",
        f"| processor time of a photo | {load['cpu_ms_per_image']:.0f} ms, {result['cpu_beside_the_library']:.2f} "
        "times the library's | 1.25 |",
        f"| memory after {memory['requests']:,} requests | {memory['late_mb']:.0f} MB, {growth:+.0f} MB since a tenth "
        "of them | +50 MB |",
        f"| {stream['webcams']} webcams of 15 frames a second | {stream['answers']} of {stream['frames']} frames "
        f"answered, the median {1000 * stream['behind_seconds']['p50']:.0f} ms behind | 100 ms |",
        f"| {harm['requests']:,} requests that mean harm | {len(harm['not_4xx'])} not refused, none took longer than "
        f"{harm['most_seconds']:.1f} s | 2 s |",
    ]
    return "\n".join(rows) + f"\n\nOn {result['machine']['cores']} cores, which the clients use too.{_noted(result)}\n"


def _noted(result: dict[str, Any]) -> str:
    return f" Of this run: {result['note']}." if result.get("note") else ""


def _gain(figure: dict[str, float]) -> str:
    return f"{figure['points']:+.2f} ± {figure['standard_error']:.2f}".replace("-", "−")


def _loss(figure: dict[str, float]) -> str:
    return f"{figure['points']:.2f} ± {figure['standard_error']:.2f}"
