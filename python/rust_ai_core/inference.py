"""Run a model over many chunks on all cores."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from os import PathLike
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from time import perf_counter
from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

import numpy as np
import numpy.typing as npt

from rust_ai_core._core import Encoder, thread_count
from rust_ai_core.errors import ChunkError

FloatArray: TypeAlias = npt.NDArray[np.float32]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Explanation:
    """What `parallel_inference(..., explain=True)` found out about its work."""

    texts: int
    """Texts in all chunks together."""

    tokens: int
    """Tokens that the model saw, special ones included."""

    truncated: list[tuple[int, int]]
    """Chunk and position in it of each text that is longer than the model takes: only its beginning
    counted."""

    milliseconds: dict[str, float]
    """Of each stage by the clock: "collect" the texts, "load" the model, "encode", "total". Of all
    threads together, within "encode": "tokenize", "model"."""


@overload
def parallel_inference(
    data_chunks: Iterable[str | Iterable[str]],
    model: str | PathLike[str] | Encoder = "minilm",
    *,
    explain: Literal[False] = False,
) -> list[FloatArray]: ...
@overload
def parallel_inference(
    data_chunks: Iterable[str | Iterable[str]],
    model: str | PathLike[str] | Encoder = "minilm",
    *,
    explain: Literal[True],
) -> tuple[list[FloatArray], Explanation]: ...
@overload
def parallel_inference(
    data_chunks: Iterable[Item], model: Callable[[Item], Result]
) -> list[Result]: ...
def parallel_inference(
    data_chunks: Iterable[Any], model: Any = "minilm", *, explain: bool = False
) -> list[Any] | tuple[list[Any], Explanation]:
    """Run a model over chunks on all cores and return one result a chunk, in the chunks' order.

    With an encoder, every text of every chunk goes into one packed batch and the interpreter's lock
    is released. Naming a model loads it at each call: to call often, pass an `Encoder`.

    Any other callable is called once a chunk from `thread_count()` threads. That is parallel as
    far as the callable releases the lock, as NumPy, I/O and this package do. At most two chunks a
    thread are taken from `data_chunks` ahead of the work, so a generator may be long.

    >>> import rust_ai_core as rac
    >>> single, pair = rac.parallel_inference(["one text", ["two", "more"]])
    >>> single.shape, pair.shape
    ((384,), (2, 384))
    >>> _, explanation = rac.parallel_inference(["one text", ["two", "more"]], explain=True)
    >>> explanation.texts, explanation.tokens, explanation.truncated
    (3, 10, [])
    >>> rac.parallel_inference([[3.0, 4.0], [6.0, 8.0]], model=rac.process_embedding)
    [5.0, 10.0]

    Args:
        data_chunks: The chunks, from any iterable. For an encoder each is a string or an iterable
            of strings; for a callable, whatever it takes.
        model: A model's name, its folder, a Hugging Face id, an `Encoder`, or a callable.
        explain: Also say what the work was: texts, tokens, what was truncated, milliseconds a
            stage. For encoders only. Everything is computed then, whatever the encoder's cache has.

    Returns:
        A list. With an encoder, a string gives its vector, float32 of shape `(dimension,)`, and n
        strings give `(n, dimension)`; the arrays are views of one block of memory. With a
        callable, whatever it returned. With `explain=True` a tuple of that list and an
        `Explanation`.

    Raises:
        ChunkError: A chunk failed, or is no text for an encoder. Names its index; the cause is
            attached. Chunks not yet begun are dropped, and no thread outlives the call.
        ModelError: The model cannot be loaded.
        TypeError: `data_chunks` is a string or no iterable, `model` is nothing of the above, or a
            callable is to be explained.
    """
    if isinstance(data_chunks, str | bytes):
        raise TypeError("data_chunks must be an iterable of chunks, not one string: put it in []")
    if isinstance(model, str | PathLike | Encoder):
        vectors, explanation = _encode_chunks(data_chunks, model, explain)
        return (vectors, explanation) if explanation else vectors
    if callable(model):
        if explain:
            raise TypeError("explain=True tells of an encoder's work; a callable knows its own")
        return _call_chunks(data_chunks, model)
    raise TypeError(
        "model must be a name, a path, an Encoder or a callable, "
        f"not {type(model).__name__}: {model!r}"
    )


def _encode_chunks(
    chunks: Iterable[str | Iterable[str]], model: str | PathLike[str] | Encoder, explain: bool
) -> tuple[list[FloatArray], Explanation | None]:
    started = perf_counter()
    texts: list[str] = []
    places: list[int | slice] = []
    for index, chunk in enumerate(chunks):
        start = len(texts)
        try:
            texts.extend(_strings(chunk))
        except Exception as error:
            raise ChunkError(f"chunk {index}: {error}") from error
        places.append(start if isinstance(chunk, str) else slice(start, len(texts)))
    if not places and not explain:
        return [], None
    collected = perf_counter()
    encoder = model if isinstance(model, Encoder) else Encoder(model)
    loaded = perf_counter()
    if not explain:
        vectors = encoder.encode(texts)
        return [vectors[place] for place in places], None
    vectors, tokens, cut, tokenizing, running = encoder._explain(texts)
    encoded = perf_counter()
    seconds = {
        "collect": collected - started,
        "load": loaded - collected,
        "tokenize": tokenizing,
        "model": running,
        "encode": encoded - loaded,
        "total": encoded - started,
    }
    explanation = Explanation(
        texts=len(texts),
        tokens=tokens,
        truncated=[_place(places, text) for text in cut],
        milliseconds={stage: 1000 * spent for stage, spent in seconds.items()},
    )
    return [vectors[place] for place in places], explanation


def _place(places: list[int | slice], text: int) -> tuple[int, int]:
    """Return the chunk of a text, and its position there."""
    firsts = [place if isinstance(place, int) else place.start for place in places]
    # Of chunks that begin at one place all but the last are empty.
    chunk = bisect_right(firsts, text) - 1
    return chunk, text - firsts[chunk]


def _strings(chunk: Iterable[str]) -> list[str]:
    # Iterating these would work and mean something else: byte values, keys, no fixed order.
    if isinstance(chunk, bytes | bytearray | memoryview | Mapping | AbstractSet):
        raise TypeError(f"expected a string or a sequence of strings, not {type(chunk).__name__}")
    strings = [chunk] if isinstance(chunk, str) else list(chunk)
    for position, text in enumerate(strings):
        if not isinstance(text, str):
            raise TypeError(f"expected a string at position {position}, not {type(text).__name__}")
        # A lone surrogate is no text. Found here, it is told with its chunk.
        text.encode()
    return strings


def _call_chunks(chunks: Iterable[Item], model: Callable[[Item], Result]) -> list[Result]:
    # Not `ThreadPoolExecutor`: a Ctrl-C that arrives while it starts a thread leaves that thread
    # behind. Here all threads run before the first chunk is taken, and all are joined.
    threads = thread_count()
    calls = _Calls(model, most_ahead=2 * threads)
    workers = [Thread(target=calls.work, name=f"parallel_inference_{n}") for n in range(threads)]
    try:
        for worker in workers:
            worker.start()
        calls.feed(chunks)
    except BaseException:
        calls.stopped.set()
        raise
    finally:
        calls.end(threads)
        for worker in workers:
            if worker.ident is not None:
                worker.join()
    return calls.outcome()


class _Calls(Generic[Item, Result]):
    """What the thread that takes chunks and the threads that call the model share."""

    def __init__(self, model: Callable[[Item], Result], most_ahead: int) -> None:
        self.stopped = Event()
        self._model = model
        self._tasks: SimpleQueue[tuple[int, Item] | None] = SimpleQueue()
        self._ahead = Semaphore(most_ahead)
        self._results: dict[int, Result] = {}
        self._failures: dict[int, BaseException] = {}

    def feed(self, chunks: Iterable[Item]) -> None:
        """Take chunks as there is room. On the caller's thread: an iterator may be bound to it."""
        for task in enumerate(chunks):
            self._ahead.acquire()
            if self.stopped.is_set():
                break
            self._tasks.put(task)

    def end(self, threads: int) -> None:
        """Let so many threads return from `work` once no task is left."""
        for _ in range(threads):
            self._tasks.put(None)

    def work(self) -> None:
        """Call the model on one chunk after the other; after a failure only drop them."""
        while (task := self._tasks.get()) is not None:
            index, chunk = task
            if not self.stopped.is_set():
                try:
                    self._results[index] = self._model(chunk)
                except BaseException as error:
                    self._failures[index] = error
                    self.stopped.set()
            self._ahead.release()

    def outcome(self) -> list[Result]:
        """Return the results in order, or raise for the earliest chunk that failed."""
        if self._failures:
            index, error = min(self._failures.items())
            if isinstance(error, Exception):
                raise ChunkError(f"chunk {index}: {type(error).__name__}: {error}") from error
            raise error
        return [self._results[index] for index in range(len(self._results))]
