"""Failures of a training run: each ends with one error, the last state is kept, and the advice of the error works."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from mien.data import Dataset, load, sketch, write_csv
from mien.errors import RunError
from mien.train import Recipe, Run, train
from mien.train.checks import EVERY
from mien.train.models import MODELS
from mien.train.runs.checkpoint import PARTS, Checkpoint, load_checkpoint, previous_file, save_checkpoint
from suite import debian
from waiting import LONGEST, wait_until

pytestmark = pytest.mark.exclusive

MakeToy = Callable[..., Dataset]
EPOCHS = 4
CLOCKS = {"seconds", "images_per_second"}
SETTINGS = {
    "model": "seed_cnn_eighth", "batch": 3, "accumulate": 2, "schedule": "cosine", "ema": 0.9, "precision": "float32",
}  # fmt: skip
# Commands run in processes of their own; importing torch is most of a start, so these come from one that has done so.
WARM = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """So that processes add sums in one order; what other tests had is put back."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_THREADS", "1")
        WARM.set_forkserver_preload(["mien.cli", "mien.train"])
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("hurt") / "small.csv", sketch(train=12, val=8, test=8))


@pytest.fixture(scope="module")
def faces(csv: Path) -> Dataset:
    return load(csv)


@pytest.fixture(scope="module")
def recipe(small: Recipe) -> Recipe:
    return replace(small, **SETTINGS, epochs=EPOCHS)


@pytest.fixture(scope="module")
def straight(recipe: Recipe, faces: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Never hurt."""
    return train(recipe, faces, tmp_path_factory.mktemp("straight") / "run")


@pytest.fixture(scope="module")
def half_done(recipe: Recipe, faces: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("half") / "run")
    stop_after(2, recipe, faces, run)
    return run


@pytest.fixture
def half(half_done: Run, tmp_path: Path) -> Run:
    """A run of its own for each test, two epochs old."""
    shutil.copytree(half_done.folder, tmp_path / "half")
    return Run(tmp_path / "half")


def stop_after(epochs: int, recipe: Recipe, faces: Dataset, run: Run) -> None:
    write = Run.write_derived_files

    def stop(self: Run, checkpoint: Checkpoint) -> None:
        write(self, checkpoint)
        if len(checkpoint.state["history"]) == epochs:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "write_derived_files", stop)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, faces, run.folder)


class Command:
    """`mien train ... --resume` in a process of its own, which first does what `prelude` says."""

    def __init__(self, csv: Path, out: Path, said: Path, prelude: str = "", **settings: object) -> None:
        words = ["mien", "train", "seed_augmented", "--data", str(csv), "--out", str(out), "--resume"]
        for field, value in {**SETTINGS, "epochs": EPOCHS, **settings}.items():
            words += ["--set", f"{field}={value}"]
        code = (
            f"import os, sys; os.dup2(os.open({str(said)!r}, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)\n"
            f"{prelude}\nsys.argv = {words}\nfrom mien.__main__ import main\nmain()"
        )
        self._said = said
        self.process: ForkServerProcess = WARM.Process(target=exec, args=(code, {}))
        self.process.start()

    def end(self) -> tuple[int | None, str]:
        """Exit status, and what was said on stderr."""
        self.process.join(LONGEST)
        said = self._said.read_text(encoding="utf-8")
        if self.process.exitcode is None:
            self.process.kill()
            raise AssertionError(f"no end after {LONGEST:.0f} seconds: {said}")
        assert "Traceback" not in said
        return self.process.exitcode, said


def refusal(command: Command) -> str:
    """The one sentence that it ended with."""
    status, said = command.end()
    assert status == 2, said
    *_, last = said.splitlines()
    assert last.startswith("mien: "), said
    assert said.count("mien: ") == 1
    return last


def files(run: Run) -> dict[str, bytes]:
    return {str(file.relative_to(run.folder)): file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}


def without_clocks(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in epoch.items() if k not in CLOCKS} for epoch in history]


def assert_ended_alike(run: Run, straight: Run) -> None:
    """Bit for bit, but for what clocks said."""
    one, other = run.checkpoint(), straight.checkpoint()
    for part in PARTS:
        a, b = getattr(one, part), getattr(other, part)
        assert a.keys() == b.keys()
        assert [k for k in a if not torch.equal(a[k], b[k])] == [], part
    for name in ("predictions-val.npy", "predictions-test.npy", "recipe.json", "machine.json"):
        assert (run.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name
    assert without_clocks(one.state["history"]) == without_clocks(other.state["history"])
    assert list(run.history) == one.state["history"]
    assert {file.name for file in run.folder.iterdir()} == {file.name for file in straight.folder.iterdir()}


def keeps(run: Run, epochs: int, *, of: dict[str, bytes] | None = None) -> None:
    """The last good state is there, whole, and no half-written file."""
    assert len(run.checkpoint().state["history"]) == epochs
    assert not [name for name in files(run) if name.endswith(".part") or "next" in name]
    if of is not None:
        now = files(run)
        assert {k: now[k] for k in of if k.endswith((".safetensors", ".npy"))} == {
            k: v for k, v in of.items() if k.endswith((".safetensors", ".npy"))
        }


# Files that cannot be written.

NOT_WRITTEN = r"^mien: cannot write {}: {}; the old file is kept\. .*free some disk space.* to resume .*--resume"


def test_checkpoint_write_error_keeps_the_last_one(
    half: Run, csv: Path, recipe: Recipe, faces: Dataset, straight: Run, tmp_path: Path
) -> None:
    """A limit on the size of files, which every system has, strikes in the middle of writing, as a full disk does."""
    before_it, limit = files(half), half.checkpoint_file.stat().st_size // 2
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    said = refusal(Command(csv, half.folder, tmp_path / "said", limited))
    assert re.match(NOT_WRITTEN.format(half.folder / "checkpoint-next.safetensors", "File too large"), said)
    keeps(half, 2, of=before_it)
    assert_ended_alike(train(recipe, faces, half.folder, resume=True), straight)


@pytest.mark.slow
def test_full_disk_keeps_the_last_checkpoint(
    csv: Path, recipe: Recipe, faces: Dataset, straight: Run, tmp_path: Path
) -> None:
    """A file system of its own, in memory, that holds two checkpoints and no third."""
    unshare = debian("util-linux", "unshare")
    size = straight.checkpoint_file.stat().st_size * 5 // 2
    settings = " ".join(f"--set {k}={v}" for k, v in {**SETTINGS, "epochs": EPOCHS}.items())
    script = f"""
        mkdir disk; mount -t tmpfs -o size={size} none disk
        mien() {{ '{sys.executable}' -m mien train seed_augmented --data '{csv}' --out disk/run --resume {settings}; }}
        status=0; mien 2> said || status=$?; echo $status > status
        cp -r disk/run full; mount -o remount,size={4 * size} disk; mien; cp -r disk/run mended
    """
    done = subprocess.run([unshare, "-rm", "sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = (tmp_path / "said").read_text()
    assert (tmp_path / "status").read_text() == "2\n", said
    assert "Traceback" not in said
    told = NOT_WRITTEN.format("disk/run/checkpoint-next.safetensors", "No space left on device")
    assert re.match(told, said.splitlines()[-1])
    keeps(Run(tmp_path / "full"), 2)
    assert_ended_alike(Run(tmp_path / "mended"), straight)
    assert_ended_alike(train(recipe, faces, tmp_path / "full", resume=True), straight)


# Root may write everywhere, unless it gives that up: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
NO_PRIVILEGE = """
if os.geteuid() == 0:
    import ctypes
    libc, head, sets = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(head, sets) == 0
    sets[0] &= ~6
    assert libc.capset(head, sets) == 0
"""


@pytest.mark.parametrize(
    ("closed", "mode", "out", "says"),
    [
        ("half", 0o555, "half", "cannot write {}/recipe.json: Permission denied; the old file is kept."),
        ("new", 0o555, "new", "cannot write to the run folder {}: Permission denied$"),
        ("new", 0o555, "new/run", "cannot write to the run folder {}: Permission denied$"),
        ("new", 0o000, "new/run", "cannot (read|write to) the run folder {}: Permission denied$"),
        ("half", 0o000, "half", "cannot (read|write to) the run folder {}: Permission denied$"),
    ],
)
def test_folder_without_write_permission_is_refused(
    closed: str, mode: int, out: str, says: str, half: Run, csv: Path, tmp_path: Path
) -> None:
    untouched = files(half)
    (tmp_path / "new").mkdir()
    (tmp_path / closed).chmod(mode)
    try:
        said = refusal(Command(csv, tmp_path / out, tmp_path / "said", NO_PRIVILEGE))
    finally:
        (tmp_path / closed).chmod(0o755)
    assert re.match("mien: " + says.format(tmp_path / out), said)
    assert list((tmp_path / "new").iterdir()) == []
    assert files(half) == untouched


@pytest.mark.parametrize("out", ["file", "file/run"])
def test_out_that_is_a_file_is_refused(out: str, recipe: Recipe, faces: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=rf"^cannot write to the run folder {tmp_path / out}: (File exists|Not a)"):
        train(recipe, faces, tmp_path / out, resume=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_event_write_error_does_not_stop_training(
    half: Run, recipe: Recipe, faces: Dataset, straight: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(half.folder / "tensorboard")
    (half.folder / "tensorboard").write_text("no folder")
    assert_ended_alike(train(recipe, faces, half.folder, resume=True, progress=True), straight)
    assert "cannot write TensorBoard events: " in capsys.readouterr().err


# Damaged and foreign checkpoints.


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit in the last tensor": lambda content: flipped(content, -20),
    "a bit in the middle": lambda content: flipped(content, len(content) // 2),
    "a bit in the header": lambda content: flipped(content, 300),
    "a bit in the header's length": lambda content: flipped(content, 1),
    "empty": lambda content: b"",
    "four bytes": lambda content: content[:4],
    "half a header": lambda content: content[:1000],
    "half of it": lambda content: content[: len(content) // 2],
    "all but one byte": lambda content: content[:-1],
    "a byte more": lambda content: content + b"x",
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"Dear diary, today I trained a model.\n" * 99,
    "a pickle": lambda content: b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.",
    "another program's": lambda content: save({"w": torch.ones(2)}, {"format": "pt"}),
    "without metadata": lambda content: save({"w": torch.ones(2)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_or_foreign_checkpoint_is_refused(damage: str, half: Run, recipe: Recipe, faces: Dataset) -> None:
    last, older = half.checkpoint_file, previous_file(half.checkpoint_file)
    last.write_bytes(DAMAGES[damage](last.read_bytes()))
    untouched = files(half)
    advice = rf"Delete {last} and train with --resume to continue after epoch 1, from "
    with pytest.raises(RunError, match=rf"^{last} (is damaged|has the format).*\. {advice}"):
        train(recipe, faces, half.folder, resume=True)
    older.write_bytes(DAMAGES[damage](older.read_bytes()))
    untouched[older.name] = older.read_bytes()
    advice = r"Move it to another folder, or use another --out$"
    with pytest.raises(RunError, match=rf"^{last} (is damaged|has the format).*\. {advice}"):
        train(recipe, faces, half.folder, resume=True)
    assert files(half) == untouched


def test_recovery_from_damage_equals_the_unhurt_run(half: Run, recipe: Recipe, faces: Dataset, straight: Run) -> None:
    half.checkpoint_file.write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"Delete .* to continue after epoch 1") as refused:
        train(recipe, faces, half.folder, resume=True)
    Path(re.findall("Delete (.*) and train", str(refused.value))[0]).unlink()
    assert_ended_alike(train(recipe, faces, half.folder, resume=True), straight)
    for file in half.folder.glob("*.safetensors"):
        file.write_bytes(b"damaged")
    (half.folder / "metrics.jsonl").unlink()  # or it says that there is nothing to go on with
    for _ in range(2):
        with pytest.raises(RunError, match="Move it to another folder") as refused:
            train(recipe, faces, half.folder, resume=True)
        Path(re.findall("^(.*) is damaged", str(refused.value))[0]).unlink()
    assert_ended_alike(train(recipe, faces, half.folder, resume=True), straight)


def test_checkpoint_of_another_run_is_refused(
    half: Run, recipe: Recipe, faces: Dataset, straight: Run, tmp_path: Path
) -> None:
    other = train(replace(recipe, epochs=1, lr=0.5), faces, tmp_path / "other", seed=9)
    shutil.copy(other.checkpoint_file, half.checkpoint_file)
    file = half.checkpoint_file
    says = rf"^{file} is the checkpoint of another run \(recipe\.epochs=1 instead of 4; .*seed=9 instead of"
    with pytest.raises(RunError, match=says + ".*to continue after epoch 1"):
        train(recipe, faces, half.folder, resume=True)
    half.checkpoint_file.unlink()
    assert_ended_alike(train(recipe, faces, half.folder, resume=True), straight)


def test_flipped_bits_of_a_checkpoint_are_detected(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.safetensors"
    tiny = {"w": torch.tensor([1.0, 2.0])}
    save_checkpoint(file, Checkpoint(tiny, {}, {}, {}, {}, {"recipe": {}, "history": [{"epoch": 1, 'a "b" ü': 0.5}]}))
    whole = file.read_bytes()
    assert len(load_checkpoint(file).state["history"]) == 1
    for place in range(len(whole)):
        for bit in range(8):
            file.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :])
            with pytest.raises(RunError):
                load_checkpoint(file)


@pytest.mark.parametrize("name", ["recipe.json", "machine.json", "metrics.jsonl", "predictions-val.npy"])
def test_damaged_records_are_restored(name: str, recipe: Recipe, faces: Dataset, straight: Run, tmp_path: Path) -> None:
    """What the sentence advises works on a finished run too."""
    shutil.copytree(straight.folder, tmp_path / "run")
    run = Run(tmp_path / "run")
    (run.folder / name).write_text("{")
    with pytest.raises(RunError, match=rf"{name} is damaged .* delete it and train with --resume, which restores it"):
        _ = run.identity, run.machine, run.history, run.predictions()
    (run.folder / name).unlink()
    assert_ended_alike(train(recipe, faces, run.folder, resume=True), straight)


# Runs with other settings, of an older version, and two processes at once.


def test_resume_with_another_recipe_is_refused(half: Run, csv: Path, tmp_path: Path) -> None:
    untouched = files(half)
    said = refusal(Command(csv, half.folder, tmp_path / "said", lr=0.5, epochs=9))
    assert said == (
        f"mien: cannot resume: {half.folder} contains a run with other settings (recipe.epochs=4 instead of 9; "
        "recipe.lr=0.003 instead of 0.5); use the same settings or another --out"
    )
    assert files(half) == untouched


def test_run_of_an_older_version_resumes(half: Run, recipe: Recipe, faces: Dataset, straight: Run) -> None:
    """One that did not know some of today's fields."""
    unknown = ("warmup", "label_smoothing", "class_weights", "balanced_sampling", "select", "patience")
    identity = json.loads((half.folder / "recipe.json").read_text())
    identity["recipe"] = {k: v for k, v in identity["recipe"].items() if k not in unknown}
    (half.folder / "recipe.json").write_text(json.dumps(identity))
    kept = half.checkpoint()
    save_checkpoint(half.checkpoint_file, replace(kept, state={**kept.state, "recipe": identity["recipe"]}))
    assert not half.finished
    assert_ended_alike(train(recipe, faces, half.folder, resume=True), straight)


def test_second_process_is_refused(half_done: Run, csv: Path, recipe: Recipe, faces: Dataset, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    first = Command(csv, run.folder, tmp_path / "first", epochs=9999)
    try:
        wait_for_epochs(1, run, first)
        refused = f"another process is training the run in {run.folder}; wait for it, stop it, or use another --out"
        assert refusal(Command(csv, run.folder, tmp_path / "second", epochs=9999)) == f"mien: {refused}"
        with pytest.raises(RunError, match=f"^{re.escape(refused)}$"):
            train(replace(recipe, epochs=9999), faces, run.folder, resume=True)
        wait_for_epochs(len(run.history) + 2, run, first)
    finally:
        first.process.kill()  # SIGKILL: it has no chance to unlock
        first.process.join(LONGEST)
    with run.locked():
        assert len(run.checkpoint().state["history"]) >= 3


def wait_for_epochs(epochs: int, run: Run, command: Command) -> None:
    def there() -> bool:
        assert command.process.exitcode is None, command.end()
        return len(run.history) >= epochs

    wait_until(there, f"{epochs} epochs in {run.folder}")


# Arithmetic and memory.


class Fragile(nn.Module):
    """A small model that does `harm` in a training step of one's choice."""

    step, harm_at = 0, 0
    harm: Callable[[torch.Tensor], torch.Tensor]

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(48 * 48, num_classes)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        log_p_NK = torch.log_softmax(self.head(x_NCHW.flatten(1)), 1)
        if self.training:
            Fragile.step += 1
            if Fragile.step == Fragile.harm_at:
                return Fragile.harm(log_p_NK)
        return log_p_NK


@pytest.fixture
def fragile(small: Recipe) -> Iterator[Recipe]:
    MODELS["fragile"] = Fragile
    Fragile.step = Fragile.harm_at = 0
    yield replace(small, model="fragile", batch=1, epochs=3, ema=0.9)
    del MODELS["fragile"]


@pytest.mark.parametrize("at", [1, 49, 50, 51, 120])
def test_nan_loss_is_detected_within_fifty_steps(at: int, fragile: Recipe, make_toy: MakeToy, tmp_path: Path) -> None:
    toy, run = make_toy(train=180, val=8, test=8), Run(tmp_path / "run")
    whole = train(fragile, toy, tmp_path / "whole")
    Fragile.step, Fragile.harm_at, Fragile.harm = 0, 180 + at, lambda log_p_NK: log_p_NK * torch.nan
    says = rf"^train_loss is NaN in epoch 2 of {run.folder}: training diverged; epoch 1 is kept\. .*--set lr=0\.001$"
    with pytest.raises(RunError, match=says):
        train(fragile, toy, run.folder)
    assert 180 + at <= Fragile.step <= 180 + at + EVERY
    keeps(run, 1)
    Fragile.step = Fragile.harm_at = 0
    assert_ended_alike(train(fragile, toy, run.folder, resume=True), whole)


def _gpu_is_full(log_p_NK: torch.Tensor) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")  # there is no GPU to fill here


def _python_is_full(log_p_NK: torch.Tensor) -> torch.Tensor:
    return log_p_NK * len(bytearray(2**60))


def _torch_is_full(log_p_NK: torch.Tensor) -> torch.Tensor:
    return log_p_NK * len(torch.empty(2**50))


@pytest.mark.parametrize(
    ("whose", "harm"), [("the GPU", _gpu_is_full), ("this machine", _torch_is_full), ("this machine", _python_is_full)]
)
def test_out_of_memory_keeps_the_finished_epochs(
    whose: str, harm: Callable[[torch.Tensor], torch.Tensor], fragile: Recipe, make_toy: MakeToy, tmp_path: Path
) -> None:
    toy, run, some = make_toy(train=24, val=8, test=8), Run(tmp_path / "run"), replace(fragile, batch=8, accumulate=3)
    whole = train(some, toy, tmp_path / "whole")
    Fragile.step, Fragile.harm_at, Fragile.harm = 0, 5, harm
    with pytest.raises(RunError) as refused:
        train(some, toy, run.folder)
    says = rf"out of memory on {whose} while training fragile with batch size 8; .* kept in {run.folder}\. "
    assert re.match(says + ".*--resume.* the same .*: --set batch=4 --set accumulate=6$", str(refused.value))
    keeps(run, 1)
    assert_ended_alike(train(some, toy, run.folder, resume=True), whole)


def test_out_of_memory_with_a_real_limit(csv: Path, tmp_path: Path) -> None:
    """The full model's weights, gradients and memory are 80 MB each, and this process gets 200 more than it has."""
    limited = (
        "import resource; now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 200_000_000,) * 2)"
    )
    said = refusal(Command(csv, tmp_path / "run", tmp_path / "said", limited, model="seed_cnn"))
    assert said.startswith(
        "mien: out of memory on this machine while training seed_cnn with batch size 3; the finished "
    )
    assert said.endswith("--set batch=1 --set accumulate=4")
