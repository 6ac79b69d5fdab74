"""Formats against golden files, and files whose writer is stopped, killed or cannot write.

After an intended change run this module with PYTHONPATH=src:tests and read the diff of golden/.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from found import CASES, ERROR, LABELS, MANY, NONE, ONE, analysis
from mien.errors import MienError
from mien.recognition import Analysis, open_writer
from mien.recognition.output.base import register_format
from mien.recognition.output.formats import ParquetWriter, columns, rows
from mien.recognition.output.registry import WRITERS, format_for
from mien.recognition.output.resume import ResumeFile

GOLDEN = Path(__file__).with_name("golden")
TEXTS = {"table": ".txt", "json": ".json", "jsonl": ".jsonl", "csv": ".csv"}
RESUMABLE = ("jsonl", "csv", "parquet")
ALL = [ONE, NONE, MANY, ERROR]


def outputs(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted, without sidecar files."""
    return sorted(file.name for file in folder.iterdir() if not file.name.endswith(".resume.json"))


def written(form: str, analyses: Iterable[Analysis], out: Path, **options: Any) -> Path:
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
def test_writer_gives_the_golden_file(form: str, case: str, tmp_path: Path) -> None:
    file = written(form, CASES[case], tmp_path / f"x{TEXTS[form]}")
    assert file.read_bytes() == (GOLDEN / f"{case}{TEXTS[form]}").read_bytes()


def test_brief_table_gives_the_golden_file(tmp_path: Path) -> None:
    file = written("table", ALL, tmp_path / "x.txt", brief=True)
    assert file.read_bytes() == (GOLDEN / "brief.txt").read_bytes()


@pytest.mark.parametrize("case", sorted(CASES))
def test_parquet_has_the_rows_of_csv(case: str, tmp_path: Path) -> None:
    found = read_back(written("parquet", CASES[case], tmp_path / "x.parquet"))
    wanted = [row for one in CASES[case] for row in rows(one, LABELS)]
    assert found == [{k: pytest.approx(v) if isinstance(v, float) else v for k, v in row.items()} for row in wanted]


@pytest.mark.parametrize("form", sorted(TEXTS))
def test_stdout_gets_the_content_of_the_file(form: str) -> None:
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
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines == [line.rstrip() for line in (GOLDEN / f"all{TEXTS[form]}").read_bytes().splitlines()]


def test_json_and_jsonl_have_the_dicts_of_analyses(tmp_path: Path) -> None:
    document = json.loads(written("json", ALL, tmp_path / "x.json").read_text(encoding="utf-8"))
    lines = written("jsonl", ALL, tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()
    assert document == [json.loads(line) for line in lines] == [one.to_dict() for one in ALL]


def test_rows_have_all_columns_in_order() -> None:
    assert all(tuple(row) == columns(LABELS) for one in ALL for row in rows(one, LABELS))
    assert [row["face"] for row in rows(MANY, LABELS)] == [1, 2, 3]


# ---- files that have the images so far


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_interrupted_writer_keeps_the_images_so_far(form: str, tmp_path: Path) -> None:
    stopped, whole = tmp_path / f"stopped.{form}", tmp_path / f"whole.{form}"

    def stopped_analyses() -> Iterator[Analysis]:
        yield from (ONE, MANY)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        written(form, stopped_analyses(), stopped)
    assert stopped.read_bytes() == written(form, [ONE, MANY], whole).read_bytes()
    assert outputs(tmp_path) == [stopped.name, whole.name]


@pytest.mark.parametrize("form", sorted(WRITERS))
def test_interrupt_before_the_first_image_keeps_the_older_file(form: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("precious")
    with pytest.raises(KeyboardInterrupt), open_writer(form, LABELS, out=file):
        raise KeyboardInterrupt
    assert file.read_text() == "precious"
    with pytest.raises(KeyboardInterrupt), open_writer(form, LABELS, out=tmp_path / "new"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [file]
    written(form, [], file)
    assert b"precious" not in file.read_bytes()  # without any image the file is empty


@pytest.mark.parametrize("after", [False, True])
def test_parquet_interrupted_in_a_row_group_has_each_row_once(after: bool, tmp_path: Path) -> None:
    """Ctrl-C before or after pyarrow writes neither loses nor repeats a row."""

    class Interrupted:
        """The writer's table, with Ctrl-C pressed in the first row group."""

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
def test_line_is_in_the_file_when_write_returns(form: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    with open_writer(form, LABELS, out=file) as writer:
        for count, one in enumerate(ALL, 1):
            writer.write(one)
            so_far = file.read_bytes()
            assert so_far == written(form, ALL[:count], tmp_path / "y").read_bytes()


@pytest.mark.parametrize("form", RESUMABLE)
def test_resumed_file_equals_the_uninterrupted_one(form: str, tmp_path: Path) -> None:
    file, whole = tmp_path / f"a.{form}", written(form, ALL, tmp_path / f"b.{form}")
    written(form, [ERROR, MANY], file)
    with open_writer(form, LABELS, out=file, append=True) as writer:
        assert writer.done == {MANY.source: True, ERROR.source: False}
        writer.write(ONE)
    again = written(form, [ERROR, MANY, ONE], tmp_path / f"c.{form}")
    if form == "parquet":  # row groups differ
        assert read_back(file) == read_back(again)
    else:
        assert file.read_bytes() == again.read_bytes()
    with open_writer(form, LABELS, out=whole, append=True) as writer:
        assert set(writer.done) == {one.source for one in ALL}
    assert outputs(tmp_path) == [f"{n}.{form}" for n in "abc"]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_resume_after_a_kill_at_any_byte_gives_the_whole_file(form: str, tmp_path: Path) -> None:
    lined = analysis('a\nname, of "two" lines.png', *MANY.faces)
    analyses, file = [ONE, lined, ERROR], tmp_path / "torn"
    whole = written(form, analyses, file).read_bytes()
    for length in range(0, len(whole), 3):
        file.write_bytes(whole[:length])
        with open_writer(form, LABELS, out=file, append=True) as writer:
            for one in analyses:
                if one.source not in writer.done:
                    writer.write(one)
        assert file.read_bytes() == whole, f"torn after {length} bytes"


# ---- the sidecar file with the options


def resume_error(form: str, file: Path, **options: Any) -> str:
    """Return the error of resuming `file` with `options`; neither it nor its sidecar may change."""
    before = {path: path.read_bytes() for path in file.parent.iterdir()}
    with (
        pytest.raises(MienError, match="cannot resume: ") as error,
        open_writer(form, options.pop("labels", LABELS), out=file, append=True, options=options),
    ):
        pass
    assert {path: path.read_bytes() for path in file.parent.iterdir()} == before
    return str(error.value)


@pytest.mark.parametrize("form", RESUMABLE)
def test_resume_with_other_options_names_them(form: str, tmp_path: Path) -> None:
    file = tmp_path / "x"
    options = {"model": "nano", "model_sha256": "12", "threshold": 0.65, "prior": None}
    written(form, [NONE, ERROR, MANY], file, options=options)
    for _ in range(2):  # also what was resumed can be resumed
        with open_writer(form, LABELS, out=file, append=True, options=options) as writer:
            assert len(writer.done) == 3
    message = resume_error(form, file, **{**options, "model": "photo", "model_sha256": "34"})
    assert message == (
        f"cannot resume: {file} was written with other options (model=nano); use the same options or another --out"
    )
    assert "(threshold=0.65)" in resume_error(form, file, **{**options, "threshold": 0.9})
    assert "(prior=None)" in resume_error(form, file, **{**options, "prior": {"happy": 0.5}})
    assert "(another model file)" in resume_error(form, file, **{**options, "model_sha256": "34"})
    assert "(another model file)" in resume_error(form, file, **options, labels=("bored", "keen"))
    other = "csv" if form != "csv" else "jsonl"
    assert f"(output={form})" in resume_error(other, file, **options)


@pytest.mark.parametrize("form", RESUMABLE)
def test_resume_without_a_valid_sidecar_is_refused(form: str, tmp_path: Path) -> None:
    file = written(form, [ONE], tmp_path / "x")
    sidecar = tmp_path / "x.resume.json"
    content = json.loads(sidecar.read_text())
    for text in ("", "[]", '{"format": ', json.dumps({**content, "options": [], "digest": ""})):
        sidecar.write_text(text)
        assert "x.resume.json, which records the options of" in resume_error(form, file)
    sidecar.write_text(json.dumps({**content, "format": "mien resume 9"}))
    assert "another version of mien" in resume_error(form, file)
    sidecar.unlink()
    assert "use another --out, or start again without --resume" in resume_error(form, file)


@pytest.mark.parametrize("form", RESUMABLE)
@pytest.mark.parametrize("content", [b"dear diary,\nit rains\n", b"dear diary", b"\x00\xff\n\n", b"[1]\n"])
def test_resume_a_file_of_someone_else_is_refused(form: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "diary"
    file.write_bytes(content)
    assert "diary.resume.json" in resume_error(form, file)


@pytest.mark.parametrize("form", RESUMABLE)
def test_resume_a_damaged_file_is_refused(form: str, tmp_path: Path) -> None:
    file = written(form, [ONE, MANY], tmp_path / "x")
    content = file.read_bytes()
    file.write_bytes(content[:-9] if form == "parquet" else b"not what was written\n" + content[20:])
    assert "damaged" in resume_error(form, file)


@pytest.mark.parametrize("form", RESUMABLE)
@pytest.mark.parametrize(
    "content",
    [b"dear diary", b"dear diary,\nit rains\n", b"source,faces\n", b'name,city\n"a"b,c\nd,e\n', b"{}", b"\x00\xff"],
)
def test_resume_another_file_beside_a_sidecar_is_refused(form: str, content: bytes, tmp_path: Path) -> None:
    file = written(form, [ONE], tmp_path / "x")
    file.write_bytes(content)
    assert "damaged" in resume_error(form, file)


def test_resume_a_csv_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    file = written("csv", [ONE, MANY, ONE], tmp_path / "x")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b'"a"b' + lines[2], *lines[3:]]))
    assert "line 3 of" in resume_error("csv", file)


def test_resume_parquet_of_other_types_is_refused(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    file = written("parquet", [ONE], tmp_path / "x")
    names = parquet.read_schema(file).names
    parquet.write_table(pyarrow.table({name: [[1]] for name in names}), file)
    assert "damaged" in resume_error("parquet", file)


@pytest.mark.parametrize("form", RESUMABLE)
@pytest.mark.parametrize("step", ["remove_other", "write"])
def test_replace_killed_at_any_step_never_mixes_options(
    form: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file with rows is beside the sidecar with their options, or beside none."""
    file = written(form, [ONE], tmp_path / "x", options={"model": "nano"})

    class Killed(BaseException):
        """A kill -9 within the replacement of an older file."""

    def kill(self: ResumeFile) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ResumeFile, step, kill)
        with pytest.raises(Killed):
            written(form, [MANY], file, options={"model": "photo"})
    rows_kept = b"one.jpg" in file.read_bytes()
    sidecar = tmp_path / "x.resume.json"
    recorded = json.loads(sidecar.read_text())["options"]["model"] if sidecar.exists() else None
    if file.stat().st_size:
        assert recorded in (None, "nano" if rows_kept else "photo")
    assert step == "write" or (rows_kept, recorded) == (True, "nano")


@pytest.mark.parametrize("form", RESUMABLE)
def test_name_that_is_not_unicode_is_found_on_resume(form: str, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.jpg")
    file = written(form, [analysis(odd, *ONE.faces)], tmp_path / "x")
    with open_writer(form, LABELS, out=file, append=True) as writer:
        assert list(writer.done) == [r"caf\udce9.jpg"]
    if form == "jsonl":
        assert json.loads(file.read_text())["source"] == odd


# ---- errors


def test_file_that_cannot_be_written_raises_on_open(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for form in ("json", "csv"):
        with (
            pytest.raises(MienError, match=r"cannot write .*(File exists|Not a directory)"),
            open_writer(form, LABELS, out=tmp_path / "file" / "x"),
        ):
            pass


def test_full_disk_raises() -> None:
    with (
        pytest.raises(MienError, match="cannot write /dev/full: No space left"),
        open_writer("jsonl", LABELS, out="/dev/full") as writer,
    ):
        writer.write(ONE)


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_pipe_is_written_to_and_not_replaced(form: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        written(form, ALL, pipe)
        assert reader.stdout is not None
        assert reader.stdout.read() == (GOLDEN / f"all{TEXTS[form]}").read_bytes()
    assert pipe.is_fifo()


def test_unknown_formats_and_clashes_raise() -> None:
    with pytest.raises(MienError, match=r"unknown format 'xml'; use one of .*csv"):
        open_writer("xml", LABELS)
    with pytest.raises(MienError, match=r"unknown file name extension of faces\.xls; use one of \.json"):
        format_for("faces.xls")
    with pytest.raises(MienError, match=r"^unknown file name extension of faces\.txt; use one of .*\.csv"):
        format_for("faces.txt")  # a table in a file needs --format table
    with pytest.raises(MienError, match="two writers are registered as csv"):
        register_format("csv")(WRITERS["csv"])
    for form in ("json", "table"):
        with pytest.raises(MienError, match=r"cannot resume a .* file.*jsonl, csv, parquet"):
            open_writer(form, LABELS, append=True)
    with pytest.raises(MienError, match="cannot be written to stdout"), open_writer("parquet", LABELS):
        pass
    assert [format_for(f"a{s}") for s in (".JSON", ".jsonl", ".csv", ".parquet")] == [
        "json", "jsonl", "csv", "parquet",
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
    for sidecar in GOLDEN.glob("*.resume.json"):
        sidecar.unlink()
