"""`mien benchmark`: several models or prediction files on the same faces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mien.cli.options import Data, Device, EvaluatedSplit, Json, Page, Strict, Votes
from mien.cli.output import check_writable, print_written, write, write_json
from mien.cli.target import benchmark_entry
from mien.errors import MienError


def benchmark(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="Two or more models or files of predictions [N,K] in row order; the others are compared with the "
            "first.",
        ),
    ],
    data: Data,
    split: EvaluatedSplit,
    votes: Votes = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B,C",
            help="Class names of the columns of one file of predictions, or `fer7` or `ferplus8` (default: the classes "
            "of the data). May be repeated.",
        ),
    ] = None,
    device: Device = "auto",
    strict: Strict = False,
    json_file: Json = None,
    page: Page = None,
) -> None:
    """Evaluate several models or prediction files on the same faces and compare each with the first."""
    from mien import evaluation
    from mien.data import load
    from mien.evaluation.report.pages import benchmark_page
    from mien.evaluation.report.style import require_report_libraries
    from mien.evaluation.report.terminal import benchmark_tables

    named = [_split_name(argument) for argument in models]
    check_writable(json_file, page, read=[data, votes, *(model for _, model in named)])
    if page is not None:
        require_report_libraries()
    columns = dict(_split_columns(text, [name for name, _ in named]) for text in labels or [])
    dataset = load(data, votes=votes)
    if not dataset[split].labelled:
        raise MienError(f"split '{split}' has no labels, so models cannot be evaluated on it")
    entries = [
        benchmark_entry(model, dataset, split, name=name, device=device, columns=columns.get(name))
        for name, model in named
    ]
    result = evaluation.benchmark(entries, dataset, split, strict=strict)
    Console().print(*benchmark_tables(result), sep="\n")
    for sentence in result.contamination:
        typer.echo(f"warning: {sentence}")
    if json_file is not None:
        write_json(json_file, result.to_dict())
    if page is not None:
        write(page, benchmark_page(result).encode())
    print_written(json_file, page)


def _split_name(argument: str) -> tuple[str, str]:
    """Return name and model of `NAME=MODEL`; without a name, the stem of a file or the model itself.

    An existing path may contain a `=`.
    """
    name, separator, model = argument.partition("=")
    if separator and name and model and "/" not in name and not os.path.exists(argument):
        return name, model
    return (Path(argument).stem if argument.endswith(".npy") else argument), argument


def _split_columns(text: str, names: list[str]) -> tuple[str, str]:
    name, separator, classes = text.rpartition("=")
    if not separator or name not in names:
        raise MienError(f"--labels takes NAME=A,B,C, where NAME is one of {', '.join(names)}, got '{text}'")
    return name, classes
