from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, OptionError, WeightsError
from microexp.recognize._picture_network import picture
from microexp.recognize._resnet import BasicBlock
from microexp.recognize.resnet18 import build_module


def small(**params: object) -> object:
    return recognize.create("resnet18", **{"width": 2, "size": 16, "epochs": 1, "device": "cpu", **params})


def noise_clip(seed: int = 0, side: int = 64, **annotation: object) -> Clip:
    frames = np.random.default_rng(seed).integers(0, 256, (5, side, side, 3), dtype=np.uint8)
    return Clip.from_array(frames, **{"apex": 3, "name": "c1", **annotation})


def test_size_and_work_are_the_published_ones() -> None:
    """11,689,512 parameters and 1.8e9 multiplications for 224x224 and 1,000 classes."""
    with torch.device("meta"):
        module = build_module(1000)
        assert sum(p.numel() for p in module.parameters()) == 11_689_512
        with FlopCounterMode(display=False) as counter:
            module(torch.empty(1, 3, 224, 224))
    assert counter.get_total_flops() / 2 == pytest.approx(1.8e9, rel=0.02)


def test_the_parameters_bear_torchvisions_names() -> None:
    def norm(name: str) -> set[str]:
        parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return {f"{name}.{part}" for part in parts}

    expected = {"conv1.weight", "fc.weight", "fc.bias"} | norm("bn1")
    for stage in range(1, 5):
        for block in range(2):
            for k in (1, 2):
                expected |= {f"layer{stage}.{block}.conv{k}.weight"} | norm(f"layer{stage}.{block}.bn{k}")
        if stage > 1:
            expected |= {f"layer{stage}.0.downsample.0.weight"} | norm(f"layer{stage}.0.downsample.1")
    with torch.device("meta"):
        state = build_module().state_dict()
    assert state.keys() == expected
    assert tuple(state["layer4.0.downsample.0.weight"].shape) == (512, 256, 1, 1)
    assert tuple(state["conv1.weight"].shape) == (64, 3, 7, 7)


def normed(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, variance, weight, bias = (
        state[f"{name}.{part}"].view(1, -1, 1, 1)
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


@pytest.mark.parametrize(("channels", "stride"), [(6, 1), (3, 2)])
def test_a_block_is_what_the_paper_draws(channels: int, stride: int) -> None:
    block = BasicBlock(2, channels, 6, stride, "B").eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for part in (module.weight, module.bias, module.running_mean):
                nn.init.normal_(part)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    state, x = block.state_dict(), torch.randn(2, channels, 9, 9)
    inner = F.relu(normed(F.conv2d(x, state["conv1.weight"], None, stride, 1), state, "bn1"))
    residual = normed(F.conv2d(inner, state["conv2.weight"], None, 1, 1), state, "bn2")
    shortcut = x
    if stride == 2:
        shortcut = normed(F.conv2d(x, state["downsample.0.weight"], None, stride), state, "downsample.1")
    assert torch.allclose(block(x), F.relu(residual + shortcut), atol=1e-5)


def test_features_are_the_apex_frame_resized_in_0_to_1() -> None:
    clip = noise_clip(side=48)
    own = recognize.create("resnet18", size=48).features([clip])
    assert np.allclose(own[0], clip.frames[3].transpose(2, 0, 1) / 255, atol=1e-6)
    halved = recognize.create("resnet18", size=24).features([clip])
    blocks = clip.frames[3].reshape(24, 2, 24, 2, 3).mean((1, 3)).transpose(2, 0, 1) / 255
    assert np.allclose(halved[0], blocks, atol=1e-5)
    assert picture(np.full((20, 30, 3), 51, np.uint8), 64) == pytest.approx(0.2)
    with pytest.raises(DataError, match="c1: the apex frame is not annotated"):
        recognize.create("resnet18").features([noise_clip(apex=None)])
    with pytest.raises(DataError, match="no clips"):
        recognize.create("resnet18").features([])


def test_a_difference_is_apex_minus_onset() -> None:
    clip, net = noise_clip(onset=1), recognize.create("resnet18", size=32, difference=True)
    both = [picture(clip.frames[i], 32) for i in (3, 1)]
    assert np.allclose(net.features([clip])[0], both[0] - both[1], atol=1e-6)
    still = net.features([clip.replace(apex=1)])
    assert not still.any()
    assert not net.standardised(net.stage(still)).any()


def test_pixels_are_standardised_as_imagenets() -> None:
    mean, one_deviation = [0.485, 0.456, 0.406], [0.485 + 0.229, 0.456 + 0.224, 0.406 + 0.225]
    pixels = torch.tensor([mean, one_deviation]).view(2, 3, 1, 1).expand(-1, -1, 4, 4)
    standard = recognize.create("resnet18").standardised(pixels)
    assert torch.allclose(standard[0], torch.zeros(3, 4, 4), atol=1e-6)
    assert torch.allclose(standard[1], torch.ones(3, 4, 4), atol=1e-6)


def test_mirroring_turns_about_half_of_the_pictures_and_leaves_the_rest() -> None:
    staged, labels = torch.rand(200, 3, 4, 4), torch.arange(200)
    assert small().augment(staged, labels)[0] is staged
    torch.manual_seed(0)
    turned, same_labels = small(flip=True).augment(staged, labels)
    is_same = (turned == staged).flatten(1).all(1)
    is_mirrored = (turned == staged.flip(3)).flatten(1).all(1)
    assert (is_same ^ is_mirrored).all()
    assert 60 < int(is_mirrored.sum()) < 140
    assert same_labels is labels


def test_pretrained_weights_are_begun_with_but_for_a_last_layer_of_other_classes(tmp_path: Path) -> None:
    donor, file = build_module(7, width=2), tmp_path / "donor.pth"
    torch.save(donor.state_dict(), file)
    same = small(pretrained=file).build(7).state_dict()
    assert all(torch.equal(same[key], value) for key, value in donor.state_dict().items())
    other = small(pretrained=file).build(3).state_dict()
    differing = {key for key, value in donor.state_dict().items() if not torch.equal(other[key], value)}
    assert differing == {"fc.weight", "fc.bias"}
    assert tuple(other["fc.weight"].shape) == (3, 16)
    X, y = np.random.default_rng(0).random((6, 3, 16, 16), dtype=np.float32), np.arange(6) % 3
    net = small(pretrained=file, lr=1e-12).fit(X, y)
    assert torch.allclose(net.module_.conv1.weight, donor.conv1.weight, atol=1e-6)


def test_a_file_that_does_not_fit_or_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        small(pretrained=tmp_path / "none.pth").check_parameters()
    torch.save(build_module(3, width=4).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match=r"wide\.pth does not fit ResNet: shape: conv1\.weight"):
        small(pretrained=tmp_path / "wide.pth").build(3)


def test_other_sizes_and_values_out_of_range_are_refused() -> None:
    with pytest.raises(DataError, match=r"takes pictures \(N, 3, 16, 16\); got \(4, 3, 20, 20\)"):
        small().fit(np.zeros((4, 3, 20, 20)), np.arange(4))
    for wrong in ({"size": 0}, {"width": 0}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            small(**wrong).check_parameters()
    with pytest.raises(OptionError, match="size"):
        small(size=0).features([noise_clip()])
