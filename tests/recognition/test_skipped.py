"""The summary of skipped files."""

from __future__ import annotations

from mien.recognition.skipped import SkippedFiles


def test_summary_of_nothing_is_empty() -> None:
    assert (SkippedFiles().count, SkippedFiles().summary) == (0, "")


def test_summary_names_frequent_suffixes_first() -> None:
    skipped = SkippedFiles()
    for i in range(1200):
        skipped.add(f"folder/{i}.Txt")
    for i in range(10):
        skipped.add(f"folder/a.s{i}")
    skipped.add("folder/b.s9")
    assert skipped.count == 1211
    assert skipped.summary.startswith(
        "1,211 files are not images by their names and were skipped: 1,200 .txt (0.Txt, 1.Txt, 2.Txt, ...), "
        "2 .s9 (a.s9, b.s9), 1 .s0 (a.s0)"
    )
    assert skipped.summary.endswith("3 other suffixes")
