"""One small database and one scene for all tests of the synthetic faces."""

from __future__ import annotations

import pytest

from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.datasets.synthetic._scene import Scene, scene

SIZE = 112


@pytest.fixture(scope="session")
def clips() -> list[Clip]:
    """Two subjects, four clips each, with every nuisance."""
    return Synthetic(n_subjects=2, clips_per_subject=4, size=SIZE).clips()


@pytest.fixture(scope="session")
def quiet() -> list[Clip]:
    """The same without any nuisance."""
    return Synthetic(n_subjects=2, clips_per_subject=4, size=SIZE, nuisance=0.0).clips()


@pytest.fixture(scope="session")
def stage() -> Scene:
    return scene(0, 0, SIZE)
