"""`parallel_inference`: a model over chunks, on all cores, in order."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import rust_ai_core as rac
from rust_ai_core.errors import ChunkError, ModelError


def worker_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("parallel_inference")]


class TestEncoder:
    def test_results_match_the_chunks(self, tiny_encoder: rac.Encoder) -> None:
        chunks = ["one", ["two", "three"], [], ("four",), (text for text in ["five", "six"])]
        results = rac.parallel_inference(chunks, tiny_encoder)
        assert [result.shape for result in results] == [(32,), (2, 32), (0, 32), (1, 32), (2, 32)]
        assert all(result.dtype == np.float32 for result in results)
        alone = tiny_encoder.encode(["one", "two", "three", "four", "five", "six"])
        np.testing.assert_array_equal(np.vstack(results), alone)

    def test_a_model_is_named_or_a_folder(
        self, tiny_model: Path, tiny_encoder: rac.Encoder
    ) -> None:
        expected = tiny_encoder.encode(["text"])[0]
        for model in (tiny_model, str(tiny_model)):
            np.testing.assert_array_equal(rac.parallel_inference(["text"], model)[0], expected)

    def test_the_default_is_the_text_encoder(self, minilm: rac.Encoder) -> None:
        (result,) = rac.parallel_inference(["a text"])
        np.testing.assert_array_equal(result, minilm.encode(["a text"])[0])

    def test_chunks_may_come_from_a_generator(self, tiny_encoder: rac.Encoder) -> None:
        results = rac.parallel_inference((str(number) for number in range(5)), tiny_encoder)
        np.testing.assert_array_equal(np.stack(results), tiny_encoder.encode(list("01234")))

    def test_no_chunks_give_no_results(self, tiny_encoder: rac.Encoder) -> None:
        assert rac.parallel_inference([], tiny_encoder) == []

    @pytest.mark.parametrize(
        ("chunk", "message"),
        [
            (7, "chunk 1: .*int"),
            (None, "chunk 1: .*NoneType"),
            (["fine", 7], "chunk 1: expected a string at position 1, not int"),
            (b"bytes", "chunk 1: .*not bytes"),
            ({"a": "mapping"}, "chunk 1: .*not dict"),
            ({"a set"}, "chunk 1: .*not set"),
        ],
    )
    def test_a_chunk_that_is_no_text_is_named(
        self, chunk: object, message: str, tiny_encoder: rac.Encoder
    ) -> None:
        with pytest.raises(ChunkError, match=message) as caught:
            rac.parallel_inference(["fine", chunk], tiny_encoder)  # type: ignore[list-item]
        assert isinstance(caught.value.__cause__, TypeError)

    def test_a_lone_surrogate_is_told_with_its_chunk(self, tiny_encoder: rac.Encoder) -> None:
        with pytest.raises(ChunkError, match="chunk 1: .*surrogates not allowed") as caught:
            rac.parallel_inference(["fine", ["fine", "\ud800"]], tiny_encoder)
        assert isinstance(caught.value.__cause__, UnicodeEncodeError)

    def test_a_model_that_does_not_exist_is_a_model_error(self) -> None:
        with pytest.raises(ModelError, match="no model 'no-such-model'"):
            rac.parallel_inference(["text"], "no-such-model")


class TestCallable:
    def test_order_is_kept_whatever_finishes_first(self) -> None:
        def slower_first(number: int) -> int:
            time.sleep(0.02 if number % 4 == 0 else 0)
            return number * number

        numbers = list(range(50))
        assert rac.parallel_inference(numbers, slower_first) == [n * n for n in numbers]

    def test_all_cores_work_at_once(self) -> None:
        threads = rac.thread_count()
        meeting = threading.Barrier(threads, timeout=20)
        # Passes only if as many calls as there are threads are under way together.
        rac.parallel_inference(range(threads), lambda _: meeting.wait())

    def test_a_long_generator_is_read_as_the_work_goes_on(self) -> None:
        finished = 0
        most_ahead = 0

        def chunks() -> Iterator[int]:
            nonlocal most_ahead
            for number in range(500):
                most_ahead = max(most_ahead, number - finished)
                yield number

        def count(_: int) -> None:
            nonlocal finished
            finished += 1

        rac.parallel_inference(chunks(), count)
        assert most_ahead <= 3 * rac.thread_count()

    def test_the_failing_chunk_is_named_and_the_rest_is_dropped(self) -> None:
        called: list[int] = []

        def fail_on_seven(number: int) -> int:
            called.append(number)
            if number == 7:
                raise KeyError("lucky")
            return number

        with pytest.raises(ChunkError, match=r"^chunk 7: KeyError: 'lucky'$") as caught:
            rac.parallel_inference(range(10_000), fail_on_seven)
        assert isinstance(caught.value.__cause__, KeyError)
        assert isinstance(caught.value, RuntimeError)
        assert len(called) < 100
        assert not worker_threads()

    def test_a_failing_generator_raises_its_own_error(self) -> None:
        def chunks() -> Iterator[int]:
            yield 1
            raise OSError("the disk is gone")

        with pytest.raises(OSError, match="the disk is gone"):
            rac.parallel_inference(chunks(), lambda number: number)
        assert not worker_threads()

    def test_no_thread_is_left_behind(self) -> None:
        rac.parallel_inference(range(20), lambda number: number)
        assert not worker_threads()

    def test_the_seed_functions_are_models(self) -> None:
        assert rac.parallel_inference([[3.0, 4.0], [0.0, 1.0]], rac.process_embedding) == [5.0, 1.0]


class TestExplain:
    def test_results_are_the_same(self, tiny_encoder: rac.Encoder) -> None:
        chunks = ["one", ["two", "three"], []]
        vectors, explanation = rac.parallel_inference(chunks, tiny_encoder, explain=True)
        expected = rac.parallel_inference(chunks, tiny_encoder)
        assert [a.tolist() for a in vectors] == [b.tolist() for b in expected]
        ids = tiny_encoder.tokenize(["one", "two", "three"])
        assert (explanation.texts, explanation.tokens) == (3, sum(map(len, ids)))

    def test_truncated_texts_are_named_by_chunk_and_position(
        self, tiny_encoder: rac.Encoder
    ) -> None:
        # 46 words are as many as the model takes beside its special tokens.
        fits, long = "the " * 46, "the " * 47
        chunks: list[str | list[str]] = [fits, [], [fits, long], long, [long, "a", long]]
        _, explanation = rac.parallel_inference(chunks, tiny_encoder, explain=True)
        assert explanation.truncated == [(2, 1), (3, 0), (4, 0), (4, 2)]

    def test_stages_add_up(self, tiny_model: Path) -> None:
        _, explanation = rac.parallel_inference(["a text"] * 500, tiny_model, explain=True)
        stages = explanation.milliseconds
        assert set(stages) == {"collect", "load", "tokenize", "model", "encode", "total"}
        assert all(spent > 0 for spent in stages.values())
        assert stages["collect"] + stages["load"] + stages["encode"] == pytest.approx(
            stages["total"]
        )
        assert stages["tokenize"] + stages["model"] <= stages["encode"] * rac.thread_count()

    def test_nothing_is_explained_too(self, tiny_encoder: rac.Encoder) -> None:
        vectors, explanation = rac.parallel_inference([], tiny_encoder, explain=True)
        assert (vectors, explanation.texts, explanation.tokens) == ([], 0, 0)

    def test_the_cache_is_passed_by(self, tiny_model: Path) -> None:
        encoder = rac.Encoder(tiny_model, cache_bytes=1_000_000)
        encoder.encode("a text")
        _, explanation = rac.parallel_inference(["a text"], encoder, explain=True)
        assert explanation.tokens > 0
        assert encoder.stats()["cache_hits"] == 0

    def test_a_callable_explains_itself(self) -> None:
        with pytest.raises(TypeError, match="callable"):
            rac.parallel_inference([1], lambda number: number, explain=True)  # type: ignore[call-overload]


def test_one_string_is_not_a_list_of_chunks() -> None:
    with pytest.raises(TypeError, match="not one string"):
        rac.parallel_inference("text")


def test_chunks_must_be_iterable(tiny_encoder: rac.Encoder) -> None:
    with pytest.raises(TypeError, match="int"):
        rac.parallel_inference(5, tiny_encoder)  # type: ignore[call-overload]


def test_a_model_of_no_use_is_refused() -> None:
    with pytest.raises(TypeError, match="not int: 7"):
        rac.parallel_inference(["text"], 7)  # type: ignore[call-overload]


INTERRUPTED_PROGRAM = """
import threading, time
import rust_ai_core as rac

def work(number):
    print(number, flush=True)
    time.sleep(0.2)

try:
    rac.parallel_inference(range(1000), work)
except KeyboardInterrupt:
    left = [t.name for t in threading.enumerate() if t.name.startswith("parallel_inference")]
    print("interrupted, threads left:", left)
"""


def test_ctrl_c_stops_cleanly() -> None:
    command = [sys.executable, "-c", INTERRUPTED_PROGRAM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            program.stdout.readline()
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 0
    assert output.splitlines()[-1] == "interrupted, threads left: []"
    assert len(output.splitlines()) < 20
