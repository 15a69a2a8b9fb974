from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from torch import nn

from microexp.superres._spynet import SPYNET_ALIASES, SPyNet


def convolutions(level: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in level.modules() if isinstance(layer, nn.Conv2d)]


def still() -> SPyNet:
    """Return the network with all weights and biases 0, whose flow is 0."""
    network = SPyNet()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    return network


def add(network: SPyNet, level: int, dx: float, dy: float) -> None:
    """Let a level add the same to the flow everywhere."""
    convolutions(network.basic_module[level])[-1].bias.data = torch.tensor([dx, dy], dtype=torch.float32)


def test_counts_are_the_published_ones() -> None:
    network = SPyNet()
    assert sum(p.numel() for p in network.parameters()) == 1_440_300
    assert {sum(p.numel() for p in level.parameters()) for level in network.basic_module} == {240_050}
    assert len(list(network.parameters())) == 60
    assert [name for name, _ in network.named_buffers()] == ["mean", "std"]


@pytest.mark.parametrize("prefix", ["", "spynet."])
def test_names_are_those_of_mmagic_and_names_of_basicsr_are_understood(prefix: str) -> None:
    wanted = {"mean", "std"} | {
        f"basic_module.{level}.basic_module.{layer}.conv.{part}"
        for level in range(6)
        for layer in range(5)
        for part in ("weight", "bias")
    }
    assert SPyNet().state_dict().keys() == wanted
    for level in range(6):
        for layer in range(5):
            other = f"{prefix}basic_module.{level}.basic_module.{2 * layer}.weight"
            for pattern, replacement in SPYNET_ALIASES:
                other = re.sub(pattern, replacement, other)
            assert other == f"{prefix}basic_module.{level}.basic_module.{layer}.conv.weight"


@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 40), (7, 100)])
def test_levels_add_up_from_coarse_to_fine(height: int, width: int) -> None:
    network = still()
    for level in range(6):
        add(network, level, level + 1, -2 * level)
    flow = network(torch.rand(1, 3, height, width), torch.rand(1, 3, height, width))
    # Each finer level doubles what came before; the flow of the resized frames is scaled back.
    horizontal = sum((level + 1) * 2 ** (5 - level) for level in range(6))
    vertical = sum(-2 * level * 2 ** (5 - level) for level in range(6))
    wanted = torch.tensor(
        [horizontal * width / (-(-width // 32) * 32), vertical * height / (-(-height // 32) * 32)]
    )
    assert flow.shape == (1, 2, height, width)
    torch.testing.assert_close(flow, wanted.view(1, 2, 1, 1).expand_as(flow))


def pick(network: SPyNet, level: int, channel: int, lift: float = 100) -> None:
    """Let a level add one of its input channels to the horizontal flow."""
    layers = convolutions(network.basic_module[level])
    for i, layer in enumerate(layers):
        layer.weight.data[0, channel if i == 0 else 0, 3, 3] = 1
    layers[0].bias.data[0] = lift  # keeps what is rectified positive
    layers[-1].bias.data[0] = -lift


@pytest.mark.parametrize("channel", range(6))
def test_a_level_sees_the_first_frame_and_the_second_warped(channel: int) -> None:
    network = still()
    add(network, 4, 1, -1.5)  # 2 and -3 pixels in the finest level
    pick(network, 5, channel)
    ref, supp = torch.rand(2, 1, 3, 32, 32)
    added = network(ref, supp)[0, 0] - 2
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    rows, columns = (torch.arange(32) - 3).clamp(min=0), (torch.arange(32) + 2).clamp(max=31)
    moved = supp[0][:, rows][:, :, columns]  # the edge goes on
    seen = torch.cat(((ref[0] - mean) / deviation, (moved - mean) / deviation))
    torch.testing.assert_close(added, seen[channel], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("channel", "wanted"), [(6, 2.0), (7, -3.0)])
def test_a_level_sees_the_flow_so_far(channel: int, wanted: float) -> None:
    network = still()
    add(network, 4, 1, -1.5)
    pick(network, 5, channel)
    flow = network(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(flow[0, 0], torch.full((32, 32), 2 + wanted), atol=1e-4, rtol=0)


def test_coarse_levels_see_means_of_pixels() -> None:
    network = still()
    pick(network, 0, 0)
    ref = torch.rand(1, 3, 32, 32)
    flow = network(ref, torch.rand(1, 3, 32, 32))
    wanted = (ref[0, 0].mean() - 0.485) / 0.229 * 32
    torch.testing.assert_close(flow[0, 0], wanted.expand(32, 32), atol=1e-2, rtol=0)


def test_levels_rectify_between_their_convolutions() -> None:
    network = still()
    pick(network, 5, 0, lift=0)
    ref = torch.rand(1, 3, 32, 32)
    flow = network(ref, torch.rand(1, 3, 32, 32))
    wanted = ((ref[0, 0] - 0.485) / 0.229).clamp(min=0)
    torch.testing.assert_close(flow[0, 0], wanted)


def test_flow_is_doubled_with_aligned_corners() -> None:
    network = still()
    pick(network, 4, 0)
    ref = torch.rand(1, 3, 32, 32)
    flow = network(ref, torch.rand(1, 3, 32, 32))
    coarse = (F.avg_pool2d(ref, 2)[0, 0].numpy() - 0.485) / 0.229
    positions = np.meshgrid(np.linspace(0, 15, 32), np.linspace(0, 15, 32), indexing="ij")
    wanted = 2 * map_coordinates(coarse, positions, order=1)
    np.testing.assert_allclose(flow[0, 0].detach(), wanted, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(20, 50), (33, 64)])
def test_other_sizes_are_resized_and_back_without_aligned_corners(height: int, width: int) -> None:
    network = still()
    pick(network, 5, 0)
    ref = torch.rand(1, 3, height, width)
    flow = network(ref, torch.rand(1, 3, height, width))
    size = (-(-width // 32) * 32, -(-height // 32) * 32)
    finest = (cv2.resize(ref[0, 0].numpy(), size, interpolation=cv2.INTER_LINEAR) - 0.485) / 0.229
    wanted = cv2.resize(finest, (width, height), interpolation=cv2.INTER_LINEAR) * width / size[0]
    np.testing.assert_allclose(flow[0, 0].detach(), wanted, atol=1e-3)


def test_gradients_of_a_level() -> None:
    torch.manual_seed(0)
    level = SPyNet().basic_module[0].double()
    x = torch.randn(1, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(level, x)
