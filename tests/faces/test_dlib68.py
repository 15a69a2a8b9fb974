"""The dlib back end without dlib: what it says when it is missing, and what it does with dlib's objects."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from microexp import faces
from microexp.errors import OptionError
from microexp.faces import dlib68

PICTURE = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def forget_models() -> Iterator[None]:
    dlib68._models.cache_clear()
    yield
    dlib68._models.cache_clear()


def without_models(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    spec = ModuleSpec("face_recognition_models", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    found = None if folder is None else spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)


def fake_dlib() -> SimpleNamespace:
    """One face at (10, 12) to (40, 44), its landmarks on a diagonal."""
    box = SimpleNamespace(left=lambda: 10, top=lambda: 12, right=lambda: 40, bottom=lambda: 44)
    points = [SimpleNamespace(x=i, y=2 * i) for i in range(68)]
    finder = SimpleNamespace(run=lambda picture, upsample, least: ([box], [1.5], [0]))
    return SimpleNamespace(
        get_frontal_face_detector=lambda: finder,
        shape_predictor=lambda file: lambda picture, box: SimpleNamespace(parts=lambda: points),
    )


def test_it_says_how_to_install_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(OptionError, match=r"dlib68.*pip install 'microexp\[dlib\]'"):
        faces.create("dlib68").detect(PICTURE)
    monkeypatch.setitem(sys.modules, "dlib", fake_dlib())
    without_models(monkeypatch, None)
    with pytest.raises(OptionError, match=r"face-recognition-models.*pip install 'microexp\[dlib\]'"):
        faces.create("dlib68").detect(PICTURE)


def test_dlib_faces_become_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dlib", fake_dlib())
    without_models(monkeypatch, tmp_path)
    (face,) = faces.create("dlib68").detect(PICTURE)
    assert face.box == (10.0, 12.0, 40.0, 44.0)
    assert face.score == 1.5
    assert np.array_equal(face.landmarks, [[i, 2 * i] for i in range(68)])
    with pytest.raises(OptionError, match="upsample"):
        faces.create("dlib68", upsample=9).detect(PICTURE)
