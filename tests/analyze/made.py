"""A drawn face on video, and stand-ins for what decides, so that tests say what is found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microexp.analyze import analysis as module
from microexp.analyze.analysis import Analysis, Answer, Finding, Video
from microexp.analyze.pictures import Picture
from microexp.analyze.recognition import Recognition
from microexp.analyze.signals import FaceMotion
from microexp.analyze.spotting import Interval, RegionMove
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.faces.alignment import Alignment, canonical_landmarks
from microexp.frames.write import write_video

CLASSES = ("negative", "positive", "surprise")
MOVES = (RegionMove("left mouth corner", 2.0, -3.0), RegionMove("chin", 0.0, 1.0))
REGIONS = ("left inner brow", "right upper lid", "left cheek", "left mouth corner", "chin", "ear")


@lru_cache(maxsize=1)
def face() -> np.ndarray:
    """A drawn face, ``(192, 192, 3)``."""
    return Synthetic(n_subjects=1, clips_per_subject=1, size=192).clips()[0].frames[0]


def frames(count: int = 20, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 6, (count, *face().shape))
    return np.clip(face().astype(np.int64) + noise, 0, 255).astype(np.uint8)


def write(file: Path, count: int = 20, fps: float = 25.0, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_video(file, frames(count, seed), fps)
    return file


def interval(kind: str, onset: int, apex: int, offset: int, score: float = 0.8) -> Interval:
    return Interval(kind, onset, apex, offset, score, MOVES)


def recognition(label: str | None = "positive") -> Recognition:
    rng = np.random.default_rng(0)
    return Recognition(
        CLASSES,
        (0.2, 0.7, 0.1) if label else (0.4, 0.35, 0.25),
        label,
        rng.normal(0, 1, (224, 224, 2)).astype(np.float32),
        rng.uniform(0, 1, (3, 28, 28)).astype(np.float32),
        rng.uniform(0, 1, (28, 28)).astype(np.float32),
    )


class Decided:
    """What is found in every video, and what the recogniser was asked."""

    def __init__(
        self, patch: pytest.MonkeyPatch, found: Sequence[Interval], label: str | None = None
    ) -> None:
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []
        self._label = label
        patch.setattr(module, "spot", lambda motion: list(found))
        patch.setattr(module, "recognise", self._recognise)

    def _recognise(self, onset: np.ndarray, apex: np.ndarray, landmarks: np.ndarray) -> Recognition:
        assert landmarks.shape == (68, 2)
        self.asked.append((onset, apex))
        return recognition(self._label)


def analysis(
    found: Sequence[Interval] = (),
    label: str | None = "positive",
    n_frames: int = 500,
    fps: float = 50.0,
    step: int = 1,
    name: str = "clip",
    invalid: slice | None = None,
    size: tuple[int, int] = (480, 640),
    **changes: Any,
) -> Analysis:
    """An analysis made by hand; every expression has one picture."""
    looked = np.arange(0, n_frames, step)
    moves = np.random.default_rng(0).normal(0, 0.3, (len(looked), len(REGIONS), 2)).astype(np.float32)
    valid = np.ones(len(looked), bool)
    if invalid is not None:
        valid[invalid] = False
    picture = Picture.of("apex", np.full((8, 8, 3), 90, np.uint8))
    answer = Answer(label, dict(zip(CLASSES, recognition(label).probabilities, strict=True)))
    findings = tuple(Finding(i) if i.kind == "blink" else Finding(i, answer, (picture,)) for i in found)
    poses = np.array([[np.log(224 / 200), 0.0, size[1] / 2, size[0] / 2]])
    values: dict[str, Any] = {
        "video": Video(name, f"{name}.mp4", fps, n_frames, size[1], size[0], 10, 0, 0),
        "times": np.arange(n_frames) / fps,
        "alignment": Alignment(224, np.array([0]), poses, canonical_landmarks(224, 0.1), 10),
        "motion": FaceMotion(fps, n_frames, looked, moves, valid, REGIONS),
        "findings": findings,
        "remarks": (),
        "settings": {},
        "made_by": {"microexp": "0"},
    }
    return Analysis(**{**values, **changes})


def clip(count: int = 20, fps: float = 25.0) -> Clip:
    return Clip.from_array(frames(count), fps, name="clip")
