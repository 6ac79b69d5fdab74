"""Every format against its golden files, and what becomes of a file when its writer is stopped, killed or hindered.

After a change that is meant: python tests/recognition/output/test_registry.py, and look at the diff of golden/.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from found import CASES, ERROR, LABELS, MANY, NONE, ONE, analysis
from mien.errors import MienError
from mien.recognition import Analysis, open_writer
from mien.recognition.output.base import format_of
from mien.recognition.output.formats import ParquetWriter, columns, rows
from mien.recognition.output.registry import WRITERS, format_for
from mien.recognition.output.resume import RecordedOptions

GOLDEN = Path(__file__).with_name("golden")
TEXTS = {"table": ".txt", "json": ".json", "jsonl": ".jsonl", "csv": ".csv"}
RESUMABLE = ("jsonl", "csv", "parquet")
ALL = [ONE, NONE, MANY, ERROR]


def written(form: str, analyses: Iterable[Analysis], out: Path, **options: bool) -> Path:
    with open_writer(form, LABELS, out=out, **options) as writer:
        for one in analyses:
            writer.write(one)
    return out


def read_back(file: Path) -> list[dict[str, object]]:
    """The rows of a csv or parquet file, as numbers and None."""
    if file.suffix == ".parquet":
        from pyarrow import parquet

        return [
            {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
            for row in parquet.read_table(file).to_pylist()
        ]
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("form", sorted(TEXTS))
@pytest.mark.parametrize("case", sorted(CASES))
def test_a_file_is_the_golden_one(form: str, case: str, tmp_path: Path) -> None:
    file = written(form, CASES[case], tmp_path / f"x{TEXTS[form]}")
    assert file.read_bytes() == (GOLDEN / f"{case}{TEXTS[form]}").read_bytes()


def test_a_brief_table_is_the_golden_one(tmp_path: Path) -> None:
    file = written("table", ALL, tmp_path / "x.txt", brief=True)
    assert file.read_bytes() == (GOLDEN / "brief.txt").read_bytes()


@pytest.mark.parametrize("case", sorted(CASES))
def test_parquet_has_the_rows_of_csv_with_types(case: str, tmp_path: Path) -> None:
    found = read_back(written("parquet", CASES[case], tmp_path / "x.parquet"))
    wanted = [row for one in CASES[case] for row in rows(one, LABELS)]
    assert found == [{k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()} for row in wanted]


@pytest.mark.parametrize("form", sorted(TEXTS))
def test_stdout_gets_what_a_file_gets(form: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from found import CASES, LABELS\n"
        "from mien.recognition import open_writer\n"
        "with open_writer(sys.argv[2], LABELS) as writer:\n"
        "    for one in CASES['all']: writer.write(one)\n"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parents[2]), form]
    done = subprocess.run(words, capture_output=True, env={**os.environ, "COLUMNS": "100", "PYTHONUTF8": "1"})
    assert done.stderr == b""
    told = [line.rstrip() for line in done.stdout.splitlines()]
    assert told == [line.rstrip() for line in (GOLDEN / f"all{TEXTS[form]}").read_bytes().splitlines()]


def test_json_is_what_the_analyses_say(tmp_path: Path) -> None:
    document = json.loads(written("json", ALL, tmp_path / "x.json").read_text(encoding="utf-8"))
    lines = written("jsonl", ALL, tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()
    assert document == [json.loads(line) for line in lines] == [one.to_dict() for one in ALL]


def test_a_row_has_all_columns_in_order() -> None:
    assert all(tuple(row) == columns(LABELS) for one in ALL for row in rows(one, LABELS))
    assert [row["face"] for row in rows(MANY, LABELS)] == [1, 2, 3]


# ---- files that hold what was done


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_stopped_it_keeps_what_was_done(form: str, tmp_path: Path) -> None:
    stopped, whole = tmp_path / f"stopped.{form}", tmp_path / f"whole.{form}"

    def stopped_analyses() -> Iterator[Analysis]:
        yield from (ONE, MANY)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(form, stopped_analyses(), stopped)
    assert stopped.read_bytes() == written(form, [ONE, MANY], whole).read_bytes()
    assert sorted(f.name for f in tmp_path.iterdir()) == [stopped.name, whole.name]


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_stopped_before_the_first_image_an_older_file_stays(form: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("precious")
    with pytest.raises(KeyboardInterrupt), open_writer(form, LABELS, out=file):
        raise KeyboardInterrupt
    assert file.read_text() == "precious"
    with pytest.raises(KeyboardInterrupt), open_writer(form, LABELS, out=tmp_path / "new"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [file]
    written(form, [], file)
    assert b"precious" not in file.read_bytes()  # of no image at all there is a file that says so


@pytest.mark.parametrize("after", [False, True])
def test_parquet_interrupted_while_it_writes_a_group_has_each_row_once(after: bool, tmp_path: Path) -> None:
    """Pressed before or after pyarrow has written, Ctrl-C neither loses nor repeats a row."""

    class Interrupted:
        """The writer's table, at the first group of which someone presses Ctrl-C."""

        def __init__(self, table: Any) -> None:
            self.table, self.close, self.pressed = table, table.close, False

        def write_table(self, group: Any) -> None:
            pressed, self.pressed = self.pressed, True
            if pressed or after:
                self.table.write_table(group)
            if not pressed:
                raise KeyboardInterrupt

    file = tmp_path / "x.parquet"
    with open_writer("parquet", LABELS, out=file) as writer:
        assert isinstance(writer, ParquetWriter)
        writer._table = Interrupted(writer._table)
        writer.write(ONE)
        with pytest.raises(KeyboardInterrupt):
            writer._flush()
    assert [row["source"] for row in read_back(file)] == [ONE.source]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_line_is_in_the_file_when_write_returns(form: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    with open_writer(form, LABELS, out=file) as writer:
        for count, one in enumerate(ALL, 1):
            writer.write(one)
            so_far = file.read_bytes()
            assert so_far == written(form, ALL[:count], tmp_path / "y").read_bytes()


@pytest.mark.parametrize("form", RESUMABLE)
def test_taken_up_again_it_becomes_the_same_file(form: str, tmp_path: Path) -> None:
    file, whole = tmp_path / f"a.{form}", written(form, ALL, tmp_path / f"b.{form}")
    written(form, [ERROR, MANY], file)
    with open_writer(form, LABELS, out=file, append=True) as writer:
        assert writer.done == {MANY.source: True, ERROR.source: False}
        writer.write(ONE)
    again = written(form, [ERROR, MANY, ONE], tmp_path / f"c.{form}")
    if form == "parquet":  # cut into row groups elsewhere
        assert read_back(file) == read_back(again)
    else:
        assert file.read_bytes() == again.read_bytes()
    with open_writer(form, LABELS, out=whole, append=True) as writer:
        assert set(writer.done) == {one.source for one in ALL}
    assert set(os.listdir(tmp_path)) == {f"{n}.{form}" for n in "abc"}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_torn_anywhere_it_goes_on_without_loss_or_repeat(form: str, tmp_path: Path) -> None:
    """Killed after any number of bytes, the file is as if it had never been."""
    lined = analysis('a\nname, of "two" lines.png', *MANY.faces)
    analyses = [ONE, lined, ERROR]
    whole = written(form, analyses, tmp_path / "whole").read_bytes()
    for length in range(0, len(whole), 3):
        file = tmp_path / "torn"
        file.write_bytes(whole[:length])
        with open_writer(form, LABELS, out=file, append=True) as writer:
            for one in analyses:
                if one.source not in writer.done:
                    writer.write(one)
        assert file.read_bytes() == whole, f"torn after {length} bytes"


@pytest.mark.parametrize("form", RESUMABLE)
def test_it_does_not_go_on_in_what_another_model_wrote(form: str, tmp_path: Path) -> None:
    file = written(form, [ONE], tmp_path / "x")
    before = file.read_bytes()
    with (
        pytest.raises(MienError, match=r"cannot go on in .*angry.*, but this model writes .*bored"),
        open_writer(form, ("bored", "keen"), out=file, append=True),
    ):
        pass
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("form", RESUMABLE)
@pytest.mark.parametrize(
    ("now", "says"),
    [
        ({"model": "photo"}, "its model is nano, and now it would be photo;"),
        ({"detector": "whole"}, "its detector is yunet, and now it would be whole;"),
        ({"threshold": 0.95}, "photos/many.* has a face there whose score is 0.93, and now 0.95 is wanted;"),
        ({"min_confidence": 0.1}, "has a face there that is uncertain at 0.20, and now would not be uncertain;"),
        ({"min_confidence": 0.9}, "has a face there that is happy at 0.90, and now would be uncertain;"),
        ({"max_faces": 2}, "has 3 faces there, and now it would have 2 at most;"),
    ],
)
def test_it_does_not_go_on_where_rows_would_be_others_now(
    form: str, now: dict[str, Any], says: str, tmp_path: Path
) -> None:
    file = written(form, [NONE, ERROR, MANY], tmp_path / "x")
    before = file.read_bytes()
    then = RecordedOptions("nano", "yunet", threshold=0.65, min_confidence=0.5, max_faces=3)
    with open_writer(form, LABELS, out=file, append=True, reading=then) as writer:
        assert len(writer.done) == 3
    before = file.read_bytes() if form == "parquet" else before  # which is written anew
    with (
        pytest.raises(MienError, match=f"cannot go on in .*{says} give the options of then, or name another file"),
        open_writer(form, LABELS, out=file, append=True, reading=replace(then, **now)),
    ):
        pass
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_it_does_not_go_on_where_numbers_are_none(form: str, tmp_path: Path) -> None:
    file = written(form, [ONE], tmp_path / "x")
    file.write_text(file.read_text().replace("0.9316", '"much"' if form == "jsonl" else "much"))
    with (
        pytest.raises(MienError, match=r"a row of photos/one\.jpg is not what mien writes"),
        open_writer(form, LABELS, out=file, append=True, reading=RecordedOptions("nano", "yunet")),
    ):
        pass


@pytest.mark.parametrize("form", RESUMABLE)
@pytest.mark.parametrize(
    "content", [b"dear diary,\nit rains\n", b"dear diary, it rains", b"\x00\xff\n\n", b'{"source": 1}\n', b"[1]\n"]
)
def test_it_does_not_go_on_in_a_file_of_someone_else(form: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "diary"
    file.write_bytes(content)
    with pytest.raises(MienError, match=r"go on"), open_writer(form, LABELS, out=file, append=True):
        pass
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("form", RESUMABLE)
def test_a_name_that_is_no_unicode_is_written_and_found_again(form: str, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.jpg")
    file = written(form, [analysis(odd, *ONE.faces)], tmp_path / "x")
    with open_writer(form, LABELS, out=file, append=True) as writer:
        assert list(writer.done) == [r"caf\udce9.jpg"]
    if form == "jsonl":
        assert json.loads(file.read_text())["source"] == odd


# ---- what a person may do wrong


def test_a_file_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for form in ("json", "csv"):
        with (
            pytest.raises(MienError, match=r"cannot write .*(File exists|Not a directory)"),
            open_writer(form, LABELS, out=tmp_path / "file" / "x"),
        ):
            pass


def test_a_full_disk_is_one_sentence() -> None:
    with (
        pytest.raises(MienError, match="cannot write /dev/full: No space left"),
        open_writer("jsonl", LABELS, out="/dev/full") as writer,
    ):
        writer.write(ONE)


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_what_is_no_file_is_written_to_and_not_replaced(form: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        written(form, ALL, pipe)
        assert reader.stdout is not None
        assert reader.stdout.read() == (GOLDEN / f"all{TEXTS[form]}").read_bytes()
    assert pipe.is_fifo()


def test_unknown_formats_names_and_clashes_are_refused() -> None:
    with pytest.raises(MienError, match=r"no format is called 'xml'; there are: .*csv"):
        open_writer("xml", LABELS)
    with pytest.raises(MienError, match=r"does not tell its format; end it with one of \.json"):
        format_for("faces.xls")
    with pytest.raises(MienError, match="two writers want to be csv"):
        format_of("csv")(WRITERS["csv"])
    for form in ("json", "table"):
        with pytest.raises(MienError, match=r"cannot be taken up again.*jsonl, csv, parquet"):
            open_writer(form, LABELS, append=True)
    with pytest.raises(MienError, match="name a file"), open_writer("parquet", LABELS):
        pass
    assert [format_for(f"a{s}") for s in (".JSON", ".jsonl", ".csv", ".parquet", ".txt")] == [
        "json", "jsonl", "csv", "parquet", "table",
    ]  # fmt: skip


def test_parquet_without_pyarrow_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from mien.recognition import open_writer\n"
        "open_writer('parquet', ('a', 'b'), out='x.parquet')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingExtra: writing parquet needs the extra 'parquet'" in done.stderr


if __name__ == "__main__":
    for form, suffix in TEXTS.items():
        for case, analyses in CASES.items():
            written(form, analyses, GOLDEN / f"{case}{suffix}")
    written("table", ALL, GOLDEN / "brief.txt", brief=True)
