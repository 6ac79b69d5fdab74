"""`mien analyze --ray`: images analyzed on a Ray cluster."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import typer

from mien.cli.output import print_skipped, print_unreadable, stoppable
from mien.cli.progress import ImageProgressBar
from mien.errors import MienError
from mien.recognition.skipped import SkippedFiles


def on_cluster(
    paths: list[str],
    out: str | None,
    address: str,
    size: int | None,
    resume: bool,
    local_options: list[str],
    options: dict[str, Any],
) -> None:
    """Analyze a source on the cluster at `address`; exit as `mien analyze` does.

    Args:
        paths: Paths of the command line; there must be one.
        out: Path or address of the output folder.
        address: Address of the cluster.
        size: Images per partition; None for the default.
        resume: Whether to continue in `out`.
        local_options: Options of the command line that have no meaning on a cluster; there must be none.
        options: Options of `mien.load`.
    """
    from mien.recognition.cluster.run import SIZE, analyze_on_cluster

    if local_options:
        raise MienError(f"{local_options[0]} cannot be used with --ray, which writes one parquet file per partition")
    if len(paths) != 1 or out is None:
        raise MienError("--ray needs one folder, pattern or Parquet file: mien analyze SOURCE --ray ADDRESS --out DEST")
    command = "the same command" if resume else "the same command with --resume"
    unread = images = 0
    skipped = SkippedFiles()
    results = analyze_on_cluster(
        paths[0], out, address=address, size=size or SIZE, resume=resume, on_skip=skipped.add, **options
    )
    message = f"finished partitions are in {out}; run {command} to continue"
    with stoppable(message), closing(results), ImageProgressBar(0) as bar:
        for plan, result in results:
            images, unread = plan.images, unread + result.unread
            bar.step(result.faces, images=result.images, of=plan.images)
    print_skipped(skipped)
    if unread:
        print_unreadable(unread, images)
        raise typer.Exit(1)
