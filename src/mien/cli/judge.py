"""`mien judge`: several models or prediction files on the same faces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.options import Data, Device, Json, Page, Strict, Votes
from mien.cli.output import check_writable, print_written, write, write_json
from mien.cli.target import benchmark_entry
from mien.errors import MienError


def judge(
    packages: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]FILE.npy|NET...",
            help="Predictions [N,K] in row order, or models; the first is the one compared with.",
        ),
    ],
    data: Data,
    split: Annotated[str, typer.Option(help="train, val or test.")],
    votes: Votes = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B,C",
            help="The columns' classes of one package's predictions, or fer7 or ferplus8; default the data's.",
        ),
    ] = None,
    device: Device = "auto",
    strict: Strict = False,
    json_file: Json = None,
    page: Page = None,
) -> None:
    """Judge the predictions of several packages on the same faces, each against the first."""
    from mien import evaluation as room
    from mien.data import load
    from mien.evaluation.report.pages import benchmark_page
    from mien.evaluation.report.style import require_report_libraries
    from mien.evaluation.report.terminal import benchmark_tables

    named = [_named(word) for word in packages]
    check_writable(json_file, page, read=[data, votes, *(model for _, model in named)])
    if page is not None:
        require_report_libraries()
    columns = dict(_columns(word, [name for name, _ in named]) for word in labels or [])
    dataset = load(data, votes=votes)
    if not dataset[split].labelled:
        raise MienError(f"{split} has no labels, so nothing can be judged on it")
    entries = [
        benchmark_entry(model, dataset, split, name=name, device=device, columns=columns.get(name))
        for name, model in named
    ]
    found = room.benchmark(entries, dataset, split, strict=strict)
    Console().print(*benchmark_tables(found), sep="\n")
    for sentence in found.contamination:
        typer.echo(f"implausible: {sentence}")
    if json_file is not None:
        write_json(json_file, found.to_dict())
    if page is not None:
        write(page, benchmark_page(found).encode())
    print_written(json_file, page)


def _named(word: str) -> tuple[str, str]:
    """`NAME=FILE` as name and file; without a name, a file's stem and a model's own. A path may have a `=` of its
    own.
    """
    name, given, model = word.partition("=")
    if given and name and model and "/" not in name and not os.path.exists(word):
        return name, model
    return (Path(word).stem if word.endswith(".npy") else word), word


def _columns(word: str, names: list[str]) -> tuple[str, str]:
    name, given, classes = word.rpartition("=")
    if not given or name not in names:
        raise MienError(f"--labels is NAME=A,B,C with NAME one of {', '.join(names)}, got '{word}'")
    return name, classes
