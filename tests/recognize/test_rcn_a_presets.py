"""Presets of RCN-A and STSTNet against what the papers say."""

from __future__ import annotations

import numpy as np
import pytest

from microexp import recognize
from microexp.train import Recipe
from tests.conftest import planted_images


def test_rcn_a_in_the_sr_mer_study() -> None:
    """Paper 'An Empirical Study of Super-resolution on Low-resolution MER', section III-A."""
    recipe = recognize.create("rcn_a", "sr_mer").recipe()
    assert (recipe.optimizer, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (recipe.lr, recipe.stop_loss, recipe.epochs) == (1e-4, 0.5, 500)


def test_rcn_a_without_a_preset_is_the_readme_command_of_its_authors() -> None:
    recipe = recognize.create("rcn_a").recipe()
    assert recipe == recognize.create("rcn_a", "paper").recipe()
    assert recipe == Recipe(epochs=20, batch_size=64, lr=5e-4, optimizer="sgd", momentum=0.9)


@pytest.mark.parametrize(("preset", "order"), [("sr_mer", "by-class"), ("paper", "shuffle")])
def test_ststnet_in_the_sr_mer_study_and_in_its_paper(preset: str, order: str) -> None:
    recipe = recognize.create("ststnet", preset).recipe()
    assert (recipe.lr, recipe.epochs, recipe.order) == (5e-5, 500, order)


def test_stop_loss_ends_the_training_after_the_first_epoch_below_it() -> None:
    X, y = planted_images(24)
    settings = {"epochs": 30, "lr": 0.04, "batch_size": 8, "device": "cpu"}
    whole = recognize.create("rcn_a", **settings).fit(X, y)
    assert len(whole.losses_) == 30
    level = float(np.quantile(whole.losses_, 0.5))
    first = next(i for i, loss in enumerate(whole.losses_) if loss < level)
    stopped = recognize.create("rcn_a", stop_loss=level, **settings).fit(X, y)
    assert stopped.losses_ == whole.losses_[: first + 1]
