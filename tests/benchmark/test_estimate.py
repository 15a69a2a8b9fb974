from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest

from microexp.benchmark import _probe
from microexp.benchmark import estimate as module
from microexp.benchmark.estimate import Estimate, estimate
from microexp.benchmark.plan import Job, Task
from microexp.benchmark.schedule import Unit
from microexp.cache import usage
from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.errors import DataError
from microexp.evaluate.store import FoldResult, RunStore
from microexp.motion.farneback import Farneback
from microexp.motion.flow_image import FlowImage
from microexp.recognize.base import Recognizer
from microexp.recognize.linear_svm import LinearSVM
from microexp.superres.base import Upscaler
from microexp.superres.bicubic import Bicubic
from tests.conftest import flow_dataset

SUBJECTS, CLIPS, LENGTH, SIDE = 4, 12, 8, 32


class Clock:
    """Time that passes only when work says so: the figures below are exact."""

    now = 0.0


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock.now = 0.0
    for each in (_probe, module):
        monkeypatch.setattr(each, "perf_counter", lambda: Clock.now)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Slow(Recognizer):
    """2 s a clip for features of what it reads, 0.5 s a clip for a fit."""

    feature_ndim = 2

    def __init__(self, whole: bool = False) -> None:
        self.whole = whole

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        Clock.now += 2.0 * len(clips)
        read = [c.frames[:] if self.whole else c.frames[[c.onset, c.apex]] for c in clips]
        return np.stack([frames.mean(axis=(0, 1, 2)) for frames in read])

    def fit(self, X: Any, y: np.ndarray) -> Self:
        Clock.now += 0.5 * len(X)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        pytest.fail("an estimate fits, and predicts nothing")


class Network(Slow):
    """A fit takes 5 s, and 0.25 s a clip and epoch."""

    has_epochs = True

    def __init__(self, epochs: int = 40, stop_loss: float = 1.0, verbose: bool = True) -> None:
        super().__init__()
        self.epochs, self.stop_loss, self.verbose = epochs, stop_loss, verbose

    def recipe(self) -> SimpleNamespace:
        return SimpleNamespace(epochs=self.epochs)

    def fit(self, X: Any, y: np.ndarray) -> Self:
        assert self.stop_loss == 0
        Clock.now += 5 + 0.25 * len(X) * self.epochs
        return self


class Restorer(Upscaler):
    """3 s a frame."""

    def __init__(self, window: int = 1) -> None:
        self.scale, self.window = 2, window

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        Clock.now += 3.0 * len(frames)
        return frames.repeat(2, axis=1).repeat(2, axis=2)


class Refusing(Slow):
    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        raise DataError("no such clip")


def data(upscaler: Upscaler | None = None) -> Dataset:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (CLIPS, LENGTH, SIDE, SIDE, 3), np.uint8)
    clips = [Clip.from_array(p, onset=0, apex=5, name=f"{i}") for i, p in enumerate(pictures)]
    table = pd.DataFrame(
        {
            "database": "d",
            "subject": [f"s{i % SUBJECTS}" for i in range(CLIPS)],
            "clip": [clip.name for clip in clips],
            "emotion": "x",
            "label": np.arange(CLIPS) % 3,
        }
    )
    ready = clips if upscaler is None else upscaler.transform(clips)
    name = "plain" if upscaler is None else f"restored {upscaler.window}"
    return Dataset(table, ("a", "b", "c"), clips=ready, scheme="x", fingerprint=name)


def task(recognizer: Recognizer, dataset: Dataset, seeds: Sequence[int] = (0,), **factors: str | int) -> Task:
    config = {
        "class": type(recognizer).__name__,
        "params": recognizer.get_params(deep=False),
        "data": dataset.fingerprint,
    }
    job = Job(
        label=type(recognizer).__name__,
        database="d",
        data={},
        published={},
        note="",
        config=config,
        seeds=list(seeds),
        clips=len(dataset),
        subjects=SUBJECTS,
        n_folds=SUBJECTS,
        remarks=[],
        variant=" ".join(map(str, factors.values())),
        factors=factors,
    )
    return Task(job, recognizer, dataset)


def test_seconds_are_those_of_the_work_that_is_left(tmp_path: Path) -> None:
    found = estimate([task(Slow(), data(), seeds=(0, 1))], tmp_path)
    a_fold = 0.5 * 9  # three quarters of the clips train
    assert found.seconds() == pytest.approx({"restoration": 0, "features": 2 * CLIPS, "fold": 8 * a_fold})
    assert len(found.units) == 1 + 2 * SUBJECTS
    assert found.schedule(1).makespan == pytest.approx(2 * CLIPS + 8 * a_fold)
    assert found.schedule(8).makespan == pytest.approx(2 * CLIPS + a_fold)


@pytest.mark.parametrize("epochs", [1, 2, 40])
def test_a_network_is_linear_in_its_epochs_and_clips(tmp_path: Path, epochs: int) -> None:
    found = estimate([task(Network(epochs), data())], tmp_path)
    assert found.seconds()["fold"] == pytest.approx(SUBJECTS * (5 + 0.25 * 9 * epochs), rel=0.15)


@pytest.mark.parametrize(
    ("recognizer", "window", "seconds"),
    [
        (Slow(), 1, 3 * 2),  # onset and apex
        (Slow(whole=True), 1, 3 * LENGTH),
        (Slow(), 4, 3 * LENGTH),  # onset and apex lie in two windows of four frames
        (Slow(whole=True), 4, 3 * LENGTH),
        (Slow(), 8, 3 * LENGTH),
    ],
)
def test_frames_are_restored_once_for_all_recognisers(
    tmp_path: Path, recognizer: Recognizer, window: int, seconds: float
) -> None:
    dataset = data(Restorer(window))
    tasks = [task(r, dataset, resolution=32, superres="x") for r in (recognizer, Network())]
    found = estimate(tasks, tmp_path)
    assert found.seconds()["restoration"] == pytest.approx(CLIPS * seconds)
    assert found.seconds()["features"] == pytest.approx(2 * 2 * CLIPS)  # no restoring in these
    shared = [unit for unit in found.units if unit.kind == "restoration"]
    assert len(shared) == 1
    assert all(unit.needs == (shared[0].name,) for unit in found.units if unit.kind == "features")
    restored = CLIPS * (2 if window == 1 and not getattr(recognizer, "whole", False) else LENGTH)
    assert found.disk["frames"] == pytest.approx(restored * (2 * SIDE) ** 2 * 3, rel=0.05)


def test_what_is_done_costs_nothing(tmp_path: Path) -> None:
    one = task(Slow(), data())
    whole = estimate([one], tmp_path)
    store = RunStore(one.job.folder(tmp_path), one.job.config)
    np.save(store.folder / "features.npy", np.zeros((CLIPS, 3), np.float32))
    for fold in range(SUBJECTS):
        left = estimate([one], tmp_path)
        assert left.seconds()["features"] == 0
        assert left.disk["features"] == 0
        assert sum(unit.kind == "fold" for unit in left.units) == SUBJECTS - fold
        assert left.seconds()["fold"] == pytest.approx(whole.seconds()["fold"] * (1 - fold / SUBJECTS))
        store.write(FoldResult(0, fold, "s", [0], [0], [0], [[1.0, 0.0, 0.0]]))
    done = estimate([one], tmp_path)
    assert done.units == []
    assert done.lines(2) == ["Nothing is left to run."]
    assert done.as_dict(2)["wall_seconds"] == 0


def test_jobs_of_one_key_count_once_and_those_with_a_problem_not_at_all(tmp_path: Path) -> None:
    one = task(Slow(), data())
    broken = task(Refusing(), data())
    broken = Task(Job(**{**vars(broken.job), "problem": "cannot"}), broken.recognizer, broken.dataset)
    assert estimate([one, one, broken], tmp_path).units == estimate([one], tmp_path).units


def test_what_cannot_be_measured_is_said_and_takes_the_mean(tmp_path: Path) -> None:
    found = estimate([task(Slow(), data()), task(Refusing(), data())], tmp_path)
    assert any("Refusing: no such clip" in remark for remark in found.remarks)
    first, second = dict.fromkeys(unit.job for unit in found.units)
    assert found.seconds(first) == found.seconds(second)


def test_without_time_the_first_of_each_is_measured_and_stands_for_the_others(tmp_path: Path) -> None:
    tasks = [
        task(Slow(w), data(Restorer(n)), superres="x", resolution=n) for w in (False, True) for n in (1, 4)
    ]
    found = estimate(tasks, tmp_path, budget=0)
    assert "1 of 2 sets of clips, 1 of 2 recognisers" in found.remarks[0]
    assert len({found.seconds(job)["fold"] for job in {unit.job for unit in found.units if unit.job}}) == 1


def test_flow_images_need_no_features(tmp_path: Path) -> None:
    class Images(Slow):
        feature_ndim = 4

    found = estimate([task(Images(), flow_dataset(subjects=SUBJECTS, clips=3))], tmp_path)
    assert found.seconds()["features"] == 0
    assert found.disk["features"] == CLIPS * 3 * 28 * 28 * 4


def test_the_probe_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    dataset = data(Restorer())
    before = [dataset.clips[0].frames[0]] and usage()
    first = estimate([task(Slow(), dataset)], tmp_path / "out")
    second = estimate([task(Slow(), data(Restorer()))], tmp_path / "out")
    assert first.units == second.units  # a frame in the user's cache did not seem to cost nothing
    assert [(one.kind, one.files) for one in usage()] == [(one.kind, one.files) for one in before]
    assert os.environ["MICROEXP_CACHE"] == str(cache)
    assert not (tmp_path / "out").exists()


def test_it_is_told_in_words() -> None:
    units = [Unit("r", 3600.0, (), "restoration"), Unit("a/0", 3600.0, ("r",), "fold", "a")]
    found = Estimate(
        [*units, Unit("b/0", 7200.0, (), "fold", "b")], {"features": 0, "frames": 2_500_000}, ["R."]
    )
    assert found.lines(2) == [
        "Left to run: 1 restoration units 60 min, 2 fold units 3.0 h; together 4.0 h of one thread.",
        "On 2 workers about 2.0 h.",
        "On the disk about 2 MB: frames 2 MB.",
        "R.",
    ]
    assert found.as_dict(2)["cpu_hours"] == 4
    assert found.as_dict(1)["wall_seconds"] == 4 * 3600


def test_the_disk_is_what_the_features_of_all_jobs_take(tmp_path: Path, cache: Path) -> None:
    dataset = data(Bicubic(scale=2))
    flow = FlowImage(Farneback())
    recognizers: list[Recognizer] = [LinearSVM(C=C, motion=flow) for C in (0.1, 1.0)]
    recognizers.append(Slow(whole=True))  # of all frames
    found = estimate([task(one, dataset, superres="bicubic") for one in recognizers], tmp_path)
    assert len(found.remarks) == 1  # nothing went wrong
    size = sum(one.features(dataset.clips).nbytes for one in recognizers)
    assert found.disk["features"] == size
    kept = {one.kind: one.bytes for one in usage()}
    assert found.disk["frames"] == pytest.approx(kept["superres"], rel=0.01)
    assert found.disk["flow"] == pytest.approx(kept["motion"], rel=0.01)
