"""A few synthetic faces for all tests of faces, drawn once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic


@pytest.fixture(scope="session")
def clips() -> list[Clip]:
    """Four subjects, one clip each, with every nuisance, 256x256."""
    return Synthetic(n_subjects=4, clips_per_subject=1).clips()


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks as small as these wait for each other where several tests share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
