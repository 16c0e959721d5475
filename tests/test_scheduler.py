"""Concurrent calls of one encoder: they share packs, none starves, none changes another's bits."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rust_ai_core as rac

TEXTS = [f"a text about the key number {n} " * (n % 5 + 1) for n in range(400)]
LONG = "the cat sat on the mat " * 10


def in_own_process(program: str, *arguments: str | Path) -> str:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]
    finished = subprocess.run(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, timeout=120, check=True
    )
    return finished.stdout


# -- threads ---------------------------------------------------------------------------------------


def test_threads_get_the_bits_of_a_lone_call(tiny_encoder: rac.Encoder) -> None:
    alone = np.vstack([tiny_encoder.encode(text) for text in TEXTS])
    with ThreadPoolExecutor(16) as threads:
        together = np.vstack(list(threads.map(tiny_encoder.encode, TEXTS)))
    np.testing.assert_array_equal(together, alone)


def test_waiting_calls_share_packs(minilm: rac.Encoder) -> None:
    """While the workers are at a batch, single texts gather and go together."""
    before = minilm.stats()
    with ThreadPoolExecutor(33) as threads:
        batch = threads.submit(minilm.encode, [LONG] * 200)
        singles = list(threads.map(minilm.encode, ["a short text"] * 320))
        batch.result()
    assert len(singles) == 320
    after = minilm.stats()
    assert after["texts"] - before["texts"] == 520
    assert after["packs"] - before["packs"] < 300
    assert after["calls_waiting"] == after["texts_waiting"] == 0


def test_a_query_overtakes_a_batch(minilm: rac.Encoder) -> None:
    """Counted in texts: the batch has most of its work before it when the query is answered."""
    total = 3000
    begun, answered = threading.Event(), threading.Event()
    done_by_then: list[int] = []

    def progress(done: int, _total: int) -> None:
        if done > 0:
            begun.set()
        if answered.is_set() and not done_by_then:
            done_by_then.append(done)
            raise InterruptedError

    def batch() -> None:
        with pytest.raises(InterruptedError):
            minilm.encode([LONG] * total, progress=progress)

    thread = threading.Thread(target=batch)
    thread.start()
    assert begun.wait(60)
    minilm.encode("how long does a query wait?")
    answered.set()
    thread.join(60)
    assert done_by_then
    assert done_by_then[0] < total / 2


def test_ctrl_c_drops_what_has_not_begun(minilm: rac.Encoder) -> None:
    program = """
import os, signal, sys, threading
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1], cache=False)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    encoder.encode(["the cat sat on the mat " * 10] * 100_000)
except KeyboardInterrupt:
    print(encoder.stats()["texts_waiting"], encoder.stats()["texts"] < 50_000)
"""
    assert in_own_process(program, minilm.path) == "0 True\n"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_that_is_forked_while_others_encode_works(tiny_model: Path) -> None:
    program = """
import os, sys, threading
import numpy as np
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1], cache=False)
expected = encoder.encode(["one text", "another"])
stop = threading.Event()

def busy():
    while not stop.is_set():
        encoder.encode(["a text of some words"] * 50)

threads = [threading.Thread(target=busy) for _ in range(4)]
for thread in threads:
    thread.start()
good = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        same = np.array_equal(encoder.encode(["one text", "another"]), expected)
        os._exit(0 if same else 1)
    good += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
for thread in threads:
    thread.join()
print(good)
"""
    assert in_own_process(program, tiny_model) == "20\n"


# -- asyncio ---------------------------------------------------------------------------------------


def test_awaited_calls_get_the_bits_of_a_lone_call(tiny_encoder: rac.Encoder) -> None:
    async def together() -> list[Any]:
        vectors: list[Any] = await asyncio.gather(*map(tiny_encoder.aencode, TEXTS))
        return vectors

    alone = np.vstack([tiny_encoder.encode(text) for text in TEXTS])
    np.testing.assert_array_equal(np.vstack(asyncio.run(together())), alone)
    # A second loop: nothing of the first one is in the way.
    np.testing.assert_array_equal(np.vstack(asyncio.run(together())), alone)


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 3000])
def test_a_long_list_is_one_call(count: int, tiny_encoder: rac.Encoder) -> None:
    texts = [f"text {n}" for n in range(count)]
    vectors = asyncio.run(tiny_encoder.aencode(text for text in texts))
    assert vectors.shape == (count, 32)
    np.testing.assert_array_equal(vectors, tiny_encoder.encode(texts))


def test_the_loop_goes_on_while_a_batch_is_encoded(minilm: rac.Encoder) -> None:
    async def main() -> int:
        batch = asyncio.ensure_future(minilm.aencode([LONG] * 100))
        turns = 0
        while not batch.done():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert asyncio.run(main()) > 100


def test_more_calls_than_the_loop_may_have_at_work(tiny_encoder: rac.Encoder) -> None:
    async def main() -> int:
        most = 0
        calls = [asyncio.ensure_future(tiny_encoder.aencode(f"text {n}")) for n in range(2000)]
        while not all(call.done() for call in calls):
            await asyncio.sleep(0)
            most = max(most, tiny_encoder.stats()["calls_waiting"])
        return most

    assert asyncio.run(main()) <= 256


def test_a_cancelled_task_drops_its_work(minilm: rac.Encoder) -> None:
    async def main() -> tuple[int, int]:
        before = minilm.stats()["texts"]
        call = asyncio.ensure_future(minilm.aencode([LONG] * 20_000))
        while minilm.stats()["texts"] == before:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        waiting = minilm.stats()["texts_waiting"]
        assert (await minilm.aencode("still works")).shape == (1, 384)
        return waiting, minilm.stats()["texts"] - before

    waiting, encoded = asyncio.run(main())
    assert waiting == 0
    assert encoded < 10_000


def test_a_task_that_is_cancelled_before_its_turn(tiny_encoder: rac.Encoder) -> None:
    async def main() -> list[int]:
        calls = [asyncio.ensure_future(tiny_encoder.aencode(LONG)) for _ in range(600)]
        await asyncio.sleep(0)
        for call in calls[1::2]:
            call.cancel()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]

    assert asyncio.run(main()) == list(range(1, 600, 2))


def test_a_timeout_is_a_cancellation(minilm: rac.Encoder) -> None:
    async def main() -> None:
        await asyncio.wait_for(minilm.aencode([LONG] * 50_000), 0.2)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(main())
    assert minilm.stats()["texts_waiting"] == 0


@pytest.mark.parametrize("bad", [None, 5, ["fine", "fine", 7], b"bytes"])
def test_what_is_no_text_is_refused_as_by_encode(bad: Any, tiny_encoder: rac.Encoder) -> None:
    with pytest.raises(TypeError) as expected:
        tiny_encoder.encode(bad)
    with pytest.raises(TypeError) as caught:
        asyncio.run(tiny_encoder.aencode(bad))
    assert str(caught.value) == str(expected.value)


def test_the_place_of_a_bad_text_counts_from_the_first_one(tiny_encoder: rac.Encoder) -> None:
    def texts() -> Iterator[Any]:
        yield from ["fine"] * 3000
        yield 7

    with pytest.raises(TypeError, match="text 3000 is a int"):
        asyncio.run(tiny_encoder.aencode(texts()))


def test_loops_in_several_threads(tiny_encoder: rac.Encoder) -> None:
    async def main() -> Any:
        return np.vstack(await asyncio.gather(*map(tiny_encoder.aencode, TEXTS[:50])))

    expected = tiny_encoder.encode(TEXTS[:50])
    with ThreadPoolExecutor(4) as threads:
        for vectors in threads.map(asyncio.run, (main() for _ in range(12))):
            np.testing.assert_array_equal(vectors, expected)


def test_no_file_descriptor_is_left_behind(tiny_model: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    program = """
import asyncio, os, sys, time
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1], cache=False)
asyncio.run(encoder.aencode("warm"))
before = len(os.listdir("/proc/self/fd"))
for _ in range(20):
    asyncio.run(encoder.aencode("a text"))
# A worker lets go of a bell a moment after it rang it; one that is left behind stays.
until = time.monotonic() + 10
while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until:
    time.sleep(0.01)
print(len(os.listdir("/proc/self/fd")) - before)
"""
    assert int(in_own_process(program, tiny_model)) <= 0


def test_ctrl_c_in_a_loop(minilm: rac.Encoder) -> None:
    program = """
import asyncio, os, signal, sys, threading
import rust_ai_core as rac
encoder = rac.Encoder(sys.argv[1], cache=False)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    asyncio.run(encoder.aencode(["the cat sat on the mat " * 10] * 100_000))
except KeyboardInterrupt:
    print(encoder.stats()["texts_waiting"])
"""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert in_own_process(program, minilm.path) == "0\n"
