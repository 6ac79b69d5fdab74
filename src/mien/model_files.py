"""Model files: find a model by name or path, read its card, and verify its checksum.

A model is a folder with two files: `model.onnx`, the ONNX graph, and `card.json`, the model card.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mien.errors import MienError, ModelError
from mien.model_card import Card
from mien.paths import expand_user

GRAPH, CARD = "model.onnx", "card.json"
SHIPPED = Path(__file__).parent / "assets"


def shipped_models() -> tuple[str, ...]:
    """Return the names of the models that are installed with the package, sorted.

    >>> shipped_models()
    ('base', 'ferplus', 'nano', 'photo')
    """
    return tuple(sorted(f.parent.name for f in SHIPPED.glob(f"*/{CARD}") if (f.parent / GRAPH).is_file()))


def find_model_files(name_or_path: str | Path) -> tuple[Path, Path]:
    """Return the paths of the graph and of the card of a model, without reading them.

    Args:
        name_or_path: Name of a shipped model; or path of a folder with `model.onnx` and `card.json`; or path of one of
            these two files. For a folder with the name of a shipped model, write `./NAME` or pass a `Path`.

    Raises:
        ModelError: The model was not found, or one of its files is missing.

    >>> [file.name for file in find_model_files("base")]
    ['model.onnx', 'card.json']
    """
    if name_or_path in shipped_models():  # only if it is a str: Path("./base") == Path("base")
        return SHIPPED / name_or_path / GRAPH, SHIPPED / name_or_path / CARD
    path = expand_user(Path(name_or_path))
    try:
        if path.is_dir():
            return _require_files(path / GRAPH, path / CARD)
        if path.is_file():
            return _require_files(path.parent / GRAPH if path.suffix == ".json" else path, path.parent / CARD)
    except OSError as error:
        raise ModelError(f"cannot read {name_or_path}: {error.strerror or error}") from None
    raise ModelError(not_found_message(name_or_path))


def not_found_message(name: str | Path) -> str:
    """Return the error for a model, a run or weights that do not exist; it lists what `name` may be."""
    weights = ", ".join(["the folder of a run", "a weight file", *_shipped_weights()])
    return (
        f"model not found: {name} is not a shipped model, a file or a folder; "
        f"shipped models: {', '.join(shipped_models()) or 'none'}; "
        f"your own model is a folder with {GRAPH} and {CARD}, as `mien export` writes it; "
        f"`mien evaluate`, `mien export` and --init also take: {weights}"
    )


def read_card(name_or_path: str | Path) -> Card:
    """Read the card of a model; the graph is neither opened nor verified.

    Args:
        name_or_path: As in `find_model_files`.

    Raises:
        ModelError: The model was not found, or its card cannot be read.

    >>> read_card("nano").labels.names
    ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
    """
    file = find_model_files(name_or_path)[1]
    try:
        return Card.from_json(read_file(file).decode("utf-8"), str(file))
    except UnicodeDecodeError:
        raise ModelError(f"{file} is not a model card: not UTF-8 text") from None
    except ModelError:
        raise
    except MienError as error:
        raise ModelError(str(error)) from None


def read_model(name_or_path: str | Path) -> tuple[Card, bytes]:
    """Read the card and the graph of a model, and verify the checksum of the graph.

    Args:
        name_or_path: As in `find_model_files`.

    Returns:
        The card, and the content of the ONNX file.

    Raises:
        ModelError: The model was not found, a file cannot be read or is damaged, or the graph belongs to another card.

    >>> card, graph = read_model("nano")
    >>> card.name, len(graph) > 100_000
    ('nano', True)
    """
    graph = find_model_files(name_or_path)[0]
    card, content = read_card(name_or_path), read_file(graph)
    verify_sha256(card, content, str(graph))
    return card, content


def verify_sha256(card: Card, graph: bytes, source: str) -> None:
    """Raise `ModelError` unless the SHA-256 of `graph` is the one on `card`.

    Args:
        card: Card of the model.
        graph: Content of the ONNX file.
        source: Name of the ONNX file in the error.

    >>> card, graph = read_model("nano")
    >>> verify_sha256(card, graph, "model.onnx")
    """
    digest = hashlib.sha256(graph).hexdigest()
    if digest != card.sha256:
        raise ModelError(
            f"{source} is damaged or not the model of its card '{card.name}': its sha256 starts with {digest[:12]}, "
            f"the card has {card.sha256[:12]}; download or export both files again"
        )


def read_asset(file: Path, sha256: str) -> bytes:
    """Read a file of the package that has no card, and verify its checksum.

    Args:
        file: Path of the file.
        sha256: SHA-256 of its content, as hex.

    Raises:
        ModelError: The file is missing or damaged.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or error}; reinstall mien") from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise ModelError(
            f"{file} is damaged: its sha256 starts with {digest[:12]}, expected {sha256[:12]}; reinstall mien"
        )
    return content


def is_model(name_or_path: str | Path) -> bool:
    """Return whether `name_or_path` is to be opened as an ONNX model, not as a training run or as weights for torch.

    A folder with a card or a graph is a model whatever else it contains. A name or path that does not exist counts as
    a model too, so that `find_model_files` reports it.

    >>> is_model("base"), is_model("weights.safetensors"), is_model(Path(__file__))
    (True, True, False)
    """
    if name_or_path in shipped_models():
        return True
    path = expand_user(Path(name_or_path))
    try:
        if path.is_dir():
            return (path / CARD).exists() or (path / GRAPH).exists()
        if path.exists():
            return path.suffix in (".onnx", ".json")
    except OSError:  # the name is too long, or the folder may not be entered
        return True
    return str(name_or_path) not in _shipped_weights()


def _shipped_weights() -> list[str]:
    """Names of the shipped weights that have no ONNX model."""
    return sorted({f.stem for f in SHIPPED.glob("*.safetensors")} - set(shipped_models()))


def _require_files(graph: Path, card: Path) -> tuple[Path, Path]:
    missing = [file.name for file in (graph, card) if not file.is_file()]
    if missing:
        raise ModelError(f"no {' and no '.join(missing)} in {card.parent}; a model is a folder with {GRAPH} and {CARD}")
    return graph, card


def read_file(file: Path) -> bytes:
    """Return the content of a file; raise `ModelError` if it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {file}: {error.strerror or error}") from None
