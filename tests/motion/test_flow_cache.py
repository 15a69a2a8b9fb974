"""Flow of clips is computed once, and never taken for that of another clip or method."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from microexp import motion
from microexp.clip import Clip
from microexp.motion.dis import DIS
from microexp.motion.farneback import Farneback


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache, and the names of the estimators as they compute."""
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    calls: list[str] = []
    for cls in (DIS, Farneback):
        compute = cls._flow

        def note(self: object, *pictures: np.ndarray, compute: Callable = compute) -> np.ndarray:
            calls.append(type(self).__name__)
            return compute(self, *pictures)

        monkeypatch.setattr(cls, "_flow", note)
    return calls


@pytest.mark.parametrize("name", ["dis", "bidirectional", "flow_image", "apex"])
def test_the_second_time_is_read(counted: list[str], clip_of: Callable[..., Clip], name: str) -> None:
    options = {"flow_image": {"estimator": DIS()}, "apex": {"overwrite": True}}.get(name, {})
    first = motion.create(name, **options).transform([clip_of()])
    done = len(counted)
    second = motion.create(name, **options).transform([clip_of()])
    assert done > 0
    assert len(counted) == done
    if name == "apex":
        assert second[0].apex == first[0].apex
    else:
        assert second.dtype == first.dtype
        assert np.array_equal(first, second)


def test_other_frames_indices_and_parameters_are_computed(
    counted: list[str], clip_of: Callable[..., Clip]
) -> None:
    clips = [clip_of(), clip_of(seed=1), clip_of(apex=3), clip_of(onset=1)]
    for estimator in (DIS(), DIS("fast"), Farneback(), Farneback(winsize=9)):
        expected = np.stack([estimator.flow(c.key_frame("onset"), c.key_frame("apex")) for c in clips])
        counted.clear()
        for _ in range(2):
            assert np.array_equal(estimator.transform(clips), expected)
        assert len(counted) == len(clips)


def test_the_same_frames_under_another_name_are_read(
    counted: list[str], clip_of: Callable[..., Clip]
) -> None:
    DIS().transform([clip_of(), clip_of(subject="other", offset=3)])
    assert len(counted) == 1


def test_frames_and_estimators_of_unknown_identity_are_computed_each_time(
    counted: list[str], clip_of: Callable[..., Clip]
) -> None:
    clip = clip_of()
    darker = clip.replace(frames=clip.frames.map(lambda picture: picture // 2))
    other = type("Typed", (DIS,), {"__module__": "__main__"})
    for estimator, one in ((DIS(), darker), (other(), clip)):
        counted.clear()
        for _ in range(2):
            estimator.clip_flow(one)
        assert len(counted) == 2
