"""Layers that stand in for PyTorch's."""

from __future__ import annotations

import pytest
import torch

from microexp.recognize._layers import half_dropout


def test_half_dropout_drops_half_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(333, 1001)
    y = half_dropout(x)
    assert set(y.unique().tolist()) == {0.0, 2.0}
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    flat = y.flatten() - 1  # neighbouring bits of one random word must not go together
    for lag in (1, 2, 15, 16, 17, 31):
        assert abs(float((flat[lag:] * flat[:-lag]).mean())) < 0.01


def test_half_dropout_passes_the_gradient_of_what_it_keeps() -> None:
    x = torch.ones(64, requires_grad=True)
    y = half_dropout(x)
    y.sum().backward()
    assert (x.grad == y.detach()).all()
