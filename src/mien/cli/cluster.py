"""`mien analyze --ray`: the same on a Ray cluster."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import typer

from mien.cli.output import print_unreadable, stoppable
from mien.cli.progress import ImageProgressBar
from mien.errors import MienError


def on_cluster(
    paths: list[str],
    out: str | None,
    address: str,
    size: int | None,
    resume: bool,
    only_here: list[str],
    options: dict[str, Any],
) -> None:
    """Read what one word means on the cluster at `address`; ends as `mien analyze` does.

    Args:
        size: Images in a partition; None for the default.
        only_here: options that were given and have no meaning there.
        options: those of `mien.load`.
    """
    from mien.recognition.cluster.run import SIZE, analyze_on_cluster

    if only_here:
        raise MienError(f"{only_here[0]} and --ray do not go together: a cluster writes parquet, a file a partition")
    if len(paths) != 1 or out is None:
        raise MienError(
            "--ray reads one folder, pattern or table into a folder: mien analyze SOURCE --ray ADDRESS --out DEST"
        )
    again = "the same command goes on" if resume else "the same command with --resume goes on"
    unread = images = 0
    going = analyze_on_cluster(paths[0], out, address=address, size=size or SIZE, resume=resume, **options)
    kept = f"the partitions that were done are kept in {out}; {again}"
    with stoppable(kept), closing(going), ImageProgressBar(0, None, shown=True) as bar:
        for plan, done in going:
            images, unread = plan.images, unread + done.unread
            bar.step(done.faces, images=done.images, of=plan.images)
    if unread:
        print_unreadable(unread, images)
        raise typer.Exit(1)
