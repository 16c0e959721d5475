"""Await the native scheduler from an asyncio event loop, without a thread and without blocking.

Workers cannot call Python: they ring a bell, a file descriptor that the loop watches, and the
loop itself gives the tasks their results.
"""

import asyncio
import itertools
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from rust_ai_core._core import _Pending, _Wakeup

MAX_CALLS = 256
"""Calls of one event loop that are at work or in the queue; further ones wait outside of it."""

PIECE = 1024
"""Texts that are handed over before the loop may do something else: well under a millisecond."""


async def encode(pending: _Pending, texts: str | Iterable[str]) -> npt.NDArray[np.float32]:
    """Do the work of `Encoder.aencode`: fill `pending` with texts and wait for their vectors."""
    if isinstance(texts, str):
        pending.extend(texts)
    else:
        await _fill(pending, texts)
    bell = _Bell.of(asyncio.get_running_loop())
    return await bell.run(pending)


async def _fill(pending: _Pending, texts: Iterable[str]) -> None:
    try:
        iterator = iter(texts)
    except TypeError:
        pending.extend(texts)  # says what is wrong with them
        return
    while piece := list(itertools.islice(iterator, PIECE)):
        pending.extend(piece)
        if len(piece) == PIECE:
            await asyncio.sleep(0)


class _Bell:
    """What one loop's waiting tasks share. It is there as long as one of them is."""

    _of_loop: dict[asyncio.AbstractEventLoop, "_Bell"] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(MAX_CALLS)
        self._wakeup = _Wakeup()
        self._tokens = itertools.count()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._tasks = 0

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "_Bell":
        bell = cls._of_loop.get(loop)
        if bell is None:
            bell = cls._of_loop[loop] = cls()
        return bell

    async def run(self, pending: _Pending) -> npt.NDArray[np.float32]:
        loop = asyncio.get_running_loop()
        if self._tasks == 0:
            loop.add_reader(self._wakeup.fileno(), self._answer)
        self._tasks += 1
        try:
            async with self._room:
                token = next(self._tokens)
                self._waiting[token] = loop.create_future()
                try:
                    pending.start(self._wakeup, token)
                    await self._waiting[token]
                    return pending.take()
                finally:
                    del self._waiting[token]
                    # Of a call that is done with, nothing is left to be cancelled.
                    pending.cancel()
        finally:
            self._tasks -= 1
            if self._tasks == 0:
                loop.remove_reader(self._wakeup.fileno())
                self._of_loop.pop(loop, None)

    def _answer(self) -> None:
        for token in self._wakeup.drain():
            future = self._waiting.get(token)
            if future is not None and not future.done():
                future.set_result(None)
