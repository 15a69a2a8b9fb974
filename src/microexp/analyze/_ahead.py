"""Frames that are read ahead by a thread, while what came before is computed with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from microexp.frames import Frames

_AHEAD = 8  # pictures that wait at most


class ReadAhead(Frames):
    """Frames in order, at whatever step, read ahead by one thread; any other order is as slow as it was.

    Decoding and warping let go of the interpreter's lock, so they run beside the caller. The source is only
    ever used by that thread. Close it when done (``with``).

    Parameters
    ----------
    source : Frames
        What is read.
    told : callable or None
        Called with the index of each picture that is given out.
    """

    def __init__(self, source: Frames, told: Callable[[int], None] | None = None) -> None:
        self._source, self._told = source, told
        self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._coming: deque[tuple[int, Future[np.ndarray]]] = deque()
        self._last, self._step = 0, 0

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._source.shape

    def __len__(self) -> int:
        return len(self._source)

    def fingerprint(self, indices: Iterable[int] | None = None) -> str | None:
        return self._source.fingerprint(indices)

    def identity(self, indices: Sequence[int]) -> object:
        return self._source.identity(indices)

    def read(self, index: int) -> np.ndarray:
        if not self._coming or self._coming[0][0] != index:
            self._forget()
            self._ask(index)
        _, picture = self._coming.popleft()
        steady, self._step, self._last = index - self._last == self._step > 0, index - self._last, index
        if steady:
            self._ask_ahead()
        if self._told is not None:
            self._told(index)
        return picture.result()

    def _ask_ahead(self) -> None:
        while len(self._coming) < _AHEAD:
            following = (self._coming[-1][0] if self._coming else self._last) + self._step
            if following >= len(self):
                return
            self._ask(following)

    def _ask(self, index: int) -> None:
        self._coming.append((index, self._thread.submit(self._source.read, index)))

    def _forget(self) -> None:
        for _, picture in self._coming:
            picture.cancel()
        self._coming.clear()
