from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from microexp.errors import OptionError
from microexp.train.magnification import MagnificationRecipe


def test_the_rate_stays_or_falls_along_a_cosine_to_a_hundredth() -> None:
    recipe = MagnificationRecipe(steps=20, losses={"l1": 1.0}, lr=1e-3, cosine=True)
    assert recipe.learning_rate(0) == pytest.approx(1e-3)
    assert recipe.learning_rate(10) == pytest.approx((1e-3 + 1e-5) / 2)
    assert recipe.learning_rate(5) == pytest.approx(1e-5 + (1e-3 - 1e-5) * (1 + 0.5**0.5) / 2)
    assert recipe.learning_rate(20) == recipe.learning_rate(30) == pytest.approx(1e-5)
    assert MagnificationRecipe(steps=20, losses={"l1": 1.0}, lr=1e-3).learning_rate(19) == 1e-3


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(0, 1))
def test_in_other_steps_the_schedule_has_the_same_shape(steps: int, others: int, part: float) -> None:
    recipe = MagnificationRecipe(steps=steps, losses={"l1": 1.0}, lr=1.0, cosine=True)
    short = recipe.in_steps(others)
    assert short.steps == others
    assert short.learning_rate(others) == pytest.approx(recipe.learning_rate(steps))
    assert 0.0099 < short.learning_rate(int(part * others)) <= 1.0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"size": 0}, "size"),
        ({"lr": 0.0}, "lr"),
        ({"losses": {}}, "losses"),
        ({"losses": {"l1": -1.0}}, "losses"),
        ({"factors": (1.0, 2.0)}, "factors"),
        ({"factors": (3.0, 2.0)}, "factors"),
    ],
)
def test_values_out_of_range_are_named(changes: dict, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        MagnificationRecipe(**{"steps": 1, "losses": {"l1": 1.0}, **changes})
