from __future__ import annotations

import pytest
import torch

from microexp.superres.edsr import EDSR, build_module
from tests.superres.golden import assert_golden, filled, pattern


@pytest.mark.parametrize(
    ("scale", "count", "tensors"),
    [(2, 1_369_859, 72), (3, 1_554_499, 72), (4, 1_517_571, 74), (8, 1_665_283, 76), (16, 1_812_995, 78)],
)
def test_counts_are_the_published_ones(scale: int, count: int, tensors: int) -> None:
    module = build_module(scale)
    assert sum(p.numel() for p in module.parameters()) == count
    assert len(module.state_dict()) == tensors


def test_the_large_network_has_the_published_count() -> None:
    module = build_module(4, channels=256, blocks=32, res_scale=0.1)
    assert sum(p.numel() for p in module.parameters()) == 43_089_923


@pytest.mark.parametrize(
    ("scale", "figures"),
    [
        (2, (0.44242894, 0.0374976, 0.45431554, 0.46208787, 0.40343949)),
        (3, (0.40701946, 0.0591887, 0.4993054, 0.4533442, 0.37446135)),
        (4, (0.42957139, 0.022674, 0.4546493, 0.43583608, 0.40273848)),
        (8, (0.43241872, 0.0217616, 0.4549557, 0.43971652, 0.40306824)),
    ],
)
def test_golden_outputs(scale: int, figures: tuple[float, ...]) -> None:
    with torch.inference_mode():
        assert_golden(filled(build_module(scale))(pattern(1, 3, 16, 16)), *figures)


def test_names_of_the_other_code_base_are_understood() -> None:
    state = build_module(4, channels=8, blocks=2).state_dict()
    other = {
        k.replace("upsample.0.upsample_conv", "upsample.0").replace(
            "upsample.1.upsample_conv", "upsample.2"
        ): v
        for k, v in state.items()
    }
    assert other.keys() != state.keys()
    assert EDSR().canonical(other).keys() == state.keys()
    assert EDSR().canonical({f"generator.{k}": v for k, v in state.items()}).keys() == state.keys()
