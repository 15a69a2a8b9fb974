"""Pictures must not jump where the way of drawing changes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from microexp.datasets.synthetic._scene import scene


@pytest.mark.parametrize("unit", [26, 45])
def test_a_small_step_of_an_action_unit_is_a_small_step_of_the_picture(unit: int) -> None:
    stage = scene(0, 0, 128)
    weights = np.linspace(0.05, 0.6, 60)
    pictures = [stage.picture_at({(unit, ""): float(w)}) for w in weights]
    steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(pictures)]
    assert max(steps) < 4 * np.median(steps)
