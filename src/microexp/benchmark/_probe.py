"""Measurements of a moment: what a frame costs, a clip's features, a fit. Nothing of them is kept."""

from __future__ import annotations

import copy
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.base import clone

from microexp.benchmark.plan import Task
from microexp.cache import cache_folder, usage
from microexp.frames import Frames

RESTORED = ("superres", "magnify")  # kinds of the cache that hold frames
_FITTED = 8  # clips that a network is fitted on at first
_CLEAR = 0.3  # seconds that a measured training should last
_MEMORY = 1 << 28  # bytes of features that are made up at most


@dataclass(frozen=True)
class Reading:
    """What a frame of a data set costs.

    Attributes
    ----------
    restore : float
        Seconds to make what is then in the cache, for all who read it.
    again : float
        Seconds of each reading, once it is there.
    restored : int
        Frames that come with one, 1 or more.
    cached : int
        Bytes that it leaves in the cache.
    """

    restore: float
    again: float
    restored: float
    cached: float


@dataclass(frozen=True)
class Cost:
    """What a recogniser costs.

    Attributes
    ----------
    features : float
        Seconds to describe a clip, without reading its frames.
    reads, frames, length : int
        Frames read, different ones among them, and all that the clip has.
    size, cached : int
        Bytes of a clip's features, and of what they leave in the cache besides frames.
    fit, fit_a_clip : float
        Seconds of a fit: whatever the number of clips, and for each clip.
    """

    features: float
    reads: float
    frames: float
    length: float
    size: float
    cached: float
    fit: float
    fit_a_clip: float


@contextmanager
def own_cache() -> Iterator[None]:
    """Use an empty cache for a while, as what lies in the user's would seem to cost nothing."""
    before, weights = os.environ.get("MICROEXP_CACHE"), cache_folder("weights").resolve()
    with tempfile.TemporaryDirectory(prefix="microexp-probe-") as folder:
        if weights.is_dir():  # they cannot be computed
            (Path(folder) / "weights").symlink_to(weights, target_is_directory=True)
        os.environ["MICROEXP_CACHE"] = folder
        try:
            yield
        finally:
            del os.environ["MICROEXP_CACHE"]
            if before is not None:
                os.environ["MICROEXP_CACHE"] = before


def measure_reading(task: Task) -> Reading:
    """Read two frames of a task's first clip that lie far apart; the first loads what is loaded once."""
    clip: Any = copy.deepcopy(task.dataset.inputs[0])  # clips hold what was read last, and go to workers
    frames, fresh = clip.frames, copy.deepcopy(clip.frames)
    there, near = clip.onset, 0 if 2 * clip.onset > len(frames) else len(frames) - 1
    start = _cached()
    first = timed(lambda: frames[near])[1]
    middle = _cached()
    second = timed(lambda: frames[there])[1]
    cached, seconds = _new(middle, _cached()), second
    if not cached and _new(start, middle):  # all of the clip came with the first frame
        cached, seconds = _new(start, middle), first
    picture, again = timed(lambda: fresh[there])
    held = sum(size for kind, size in cached.items() if kind in RESTORED)
    restored = max(1, round(held / picture.nbytes))
    return Reading(max(seconds - again, 0.0) if held else 0.0, again, restored, held)


def measure_cost(task: Task) -> Cost:
    """Describe a task's first clip, and fit on copies of its features, each disturbed."""
    recognizer, dataset, job = clone(task.recognizer), task.dataset, task.job
    train = max(2, round(job.clips * (1 - 1 / job.n_folds)))
    if dataset.clips is None:
        features = recognizer.features(np.asarray(dataset.inputs[:1]))
        return Cost(
            0.0, 0, 0, 0, features.nbytes, 0, *_fit(recognizer, features, len(dataset.classes), train)
        )
    clip: Any = copy.deepcopy(dataset.inputs[0])
    recognizer.features([clip])  # loads what is loaded once
    watched, start = _Watched(clip.frames), _cached()
    features, seconds = timed(lambda: recognizer.features([clip.replace(frames=watched)]))
    return Cost(
        max(seconds - watched.seconds, 0.0),
        watched.reads,
        len(watched.seen),
        len(clip),
        features.nbytes,
        sum(size for kind, size in _new(start, _cached()).items() if kind not in RESTORED),
        *_fit(recognizer, features, len(dataset.classes), train),
    )


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a piece of work gives, and its seconds."""
    start = perf_counter()
    result = work()
    return result, perf_counter() - start


def _fit(recognizer: Any, features: np.ndarray, n_classes: int, train: int) -> tuple[float, float]:
    """Return the seconds of a fit: whatever the number of clips, and for each.

    A network is fitted for a few epochs on as many clips as make that long enough to measure; its time is
    taken to be linear in both.
    """
    most = max(2, min(train, _MEMORY // features.nbytes))
    rng = np.random.default_rng(0)

    def seconds(clips: int, epochs: int | None = None) -> float:
        disturbance = rng.uniform(0.5, 1.5, (clips, *features.shape[1:])).astype(np.float32)
        brief = clone(recognizer)
        if epochs is not None:
            brief.set_params(epochs=epochs, stop_loss=0.0, verbose=False)
        X, y = features * disturbance, np.arange(clips) % n_classes
        return timed(lambda: brief.fit(X, y))[1]

    if not recognizer.has_epochs:
        seconds(2)  # loads what is loaded once
        return 0.0, seconds(most) / most
    seconds(2, 1)
    epochs, clips = recognizer.recipe().epochs, min(_FITTED, most)
    while (once := seconds(clips, 1)) < _CLEAR and clips < most:
        clips = min(4 * clips, most)
    more = min(epochs - 1, math.ceil(_CLEAR / max(once, 1e-3)))
    if more == 0:
        return 0.0, once / clips
    an_epoch = max(seconds(clips, 1 + more) - once, 0.0) / more
    return max(once - an_epoch, 0.0), epochs * an_epoch / clips


def _cached() -> dict[str, int]:
    return {one.kind: one.bytes for one in usage()}


def _new(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    grown = {kind: size - before.get(kind, 0) for kind, size in after.items()}
    return {kind: size for kind, size in grown.items() if size > 0}


class _Watched(Frames):
    """Frames that note which are read, how often, and the seconds that it takes."""

    def __init__(self, source: Frames) -> None:
        self._source, self.reads, self.seconds = source, 0, 0.0
        self.seen: set[int] = set()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._source.shape

    def read(self, index: int) -> np.ndarray:
        picture, seconds = timed(lambda: self._source[index])
        self.seconds += seconds
        self.reads += 1
        self.seen.add(index)
        return np.asarray(picture)

    def identity(self, indices: Sequence[int]) -> object:
        return self._source.fingerprint(indices)
