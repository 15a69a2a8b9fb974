"""What was looked at once is not looked at again; what differs in anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microexp import datasets, faces
from microexp.clip import Clip
from microexp.faces.base import Face
from microexp.faces.faceapi68 import FaceApi68


@pytest.fixture
def clip() -> Clip:
    data = datasets.create("synthetic", n_subjects=1, clips_per_subject=2, size=128, nuisance=0.0)
    return data.load().clips[0]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """An empty cache, and a list that grows with every search for faces."""
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path))
    seen: list[int] = []
    detect = FaceApi68._detect

    def counted(self: FaceApi68, picture: np.ndarray) -> list[Face]:
        seen.append(1)
        return detect(self, picture)

    monkeypatch.setattr(FaceApi68, "_detect", counted)
    return seen


@pytest.mark.parametrize("settings", [{}, {"mode": "smooth", "missing": "hold", "rate": 10.0}])
def test_the_second_time_no_face_is_searched_for(
    clip: Clip, looks: list[int], settings: dict[str, Any]
) -> None:
    first, again = (faces.create("aligner", size=64, **settings).transform([clip])[0] for _ in range(2))
    assert 1 <= len(looks) == first.metadata["alignment"].looked_at
    a, b = first.metadata["alignment"], again.metadata["alignment"]
    assert np.array_equal(a.poses, b.poses)
    assert np.array_equal(a.landmarks, b.landmarks)
    assert (a.size, a.looked_at, a.missing, a.several) == (b.size, b.looked_at, b.missing, b.several)
    assert np.array_equal(first.frames[3], again.frames[3])


def test_other_frames_sizes_and_detectors_are_looked_at_anew(clip: Clip, looks: list[int]) -> None:
    faces.create("aligner", size=64).transform([clip])
    faces.create("aligner", size=96).transform([clip])
    faces.create("aligner", size=64, landmarks=FaceApi68(tiny=True)).transform([clip])
    faces.create("aligner", size=64).transform([clip.replace(onset=clip.onset + 1)])
    assert len(looks) == 4
