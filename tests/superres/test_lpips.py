from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from microexp.errors import DataError, WeightsError
from microexp.superres._lpips import LPIPS, alexnet, load, vgg16
from microexp.superres.quality import lpips
from microexp.weights import write_weights

# (output channels, kernel, stride, padding) of convolutions; (size, stride) of maxima; a star for a tap.
ALEXNET = (
    *((64, 11, 4, 2), "*", (3, 2), (192, 5, 1, 2), "*", (3, 2)),
    *((384, 3, 1, 1), "*", (256, 3, 1, 1), "*", (256, 3, 1, 1), "*"),
)
VGG16 = (
    *((64, 3, 1, 1), (64, 3, 1, 1), "*", (2, 2), (128, 3, 1, 1), (128, 3, 1, 1), "*", (2, 2)),
    *((256, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), "*", (2, 2)),
    *((512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1), "*", (2, 2)),
    *((512, 3, 1, 1), (512, 3, 1, 1), (512, 3, 1, 1), "*"),
)


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    return sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]


def taps_of(picture: np.ndarray, plan: Sequence, state: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What a network shows of ``(3, H, W)``, in NumPy; layers are numbered as torchvision does."""
    x, index, found = picture, 0, []
    for step in plan:
        if step == "*":
            found.append(x)
        elif len(step) == 2:
            x, index = windows(x, *step).max((-1, -2)), index + 1
        else:
            _, size, stride, padding = step
            x = windows(np.pad(x, ((0, 0), (padding, padding), (padding, padding))), size, stride)
            x = np.einsum("chwij,ocij->ohw", x, state[f"net.{index}.weight"], optimize=True)
            x = np.maximum(x + state[f"net.{index}.bias"][:, None, None], 0)
            index += 2
    return found


def by_definition(first: np.ndarray, second: np.ndarray, plan: Sequence, module: LPIPS) -> list[float]:
    """What each tap adds to the distance of two pictures ``(H, W, 3) uint8``."""
    state = {key: value.double().numpy() for key, value in module.state_dict().items()}
    both = []
    for picture in (first, second):
        signed = picture.transpose(2, 0, 1) / 127.5 - 1
        shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
        both.append(taps_of((signed - shift[:, None, None]) / scale[:, None, None], plan, state))
    parts = []
    for k, (a, b) in enumerate(zip(*both, strict=True)):
        total = 0.0
        for row in range(a.shape[1]):
            for column in range(a.shape[2]):
                u, v = a[:, row, column], b[:, row, column]
                u, v = u / (np.sqrt((u**2).sum()) + 1e-10), v / (np.sqrt((v**2).sum()) + 1e-10)
                total += (state[f"lin.{k}.weight"][0, :, 0, 0] * (u - v) ** 2).sum()
        parts.append(total / (a.shape[1] * a.shape[2]))
    return parts


def drawn(module: LPIPS) -> LPIPS:
    """Draw weights that keep the strength of signals, so that every tap counts."""
    generator = torch.Generator().manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            deviation = (2 / layer.weight[0].numel()) ** 0.5
            nn.init.normal_(layer.weight, std=deviation, generator=generator)
    for layer in module.lin:
        nn.init.uniform_(layer.weight, generator=generator)  # the published ones are positive too
    return module.eval()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("lpips") / "alexnet.safetensors"
    write_weights(file, drawn(alexnet()).state_dict(), {})
    return file


@pytest.mark.parametrize(
    ("build", "convolutions", "lin"), [(alexnet, 2_469_696, 1152), (vgg16, 14_714_688, 1472)]
)
def test_counts_are_the_published_ones(build: Callable[[], LPIPS], convolutions: int, lin: int) -> None:
    with torch.device("meta"):
        module = build()
    assert sum(p.numel() for p in module.net.parameters()) == convolutions
    assert sum(p.numel() for p in module.lin.parameters()) == lin


@pytest.mark.parametrize(("build", "plan", "size"), [(alexnet, ALEXNET, 47), (vgg16, VGG16, 18)])
def test_the_distance_is_that_of_its_definition(
    build: Callable[[], LPIPS], plan: Sequence, size: int
) -> None:
    module = drawn(build())
    first, second = noise(size, size - 1, 3), noise(size, size - 1, 3, seed=1)
    signed = [torch.from_numpy(p.transpose(2, 0, 1)[None] / 127.5 - 1).float() for p in (first, second)]
    parts = by_definition(first, second, plan, module)
    assert min(parts) > 0.01 * sum(parts)  # none is lost in the tolerance
    with torch.inference_mode():
        assert module(*signed).item() == pytest.approx(sum(parts), rel=1e-4)


def test_weights_of_a_file(weights: Path) -> None:
    clip, other = noise(2, 40, 36, 3), noise(2, 40, 36, 3, seed=1)
    assert lpips(clip, clip, weights) == 0
    assert lpips(clip, other, weights) == pytest.approx(lpips(other, clip, weights))
    singly = [lpips(a, b, weights) for a, b in zip(clip, other, strict=True)]
    assert lpips(clip, other, weights) == pytest.approx(np.mean(singly))
    assert singly[0] == pytest.approx(sum(by_definition(clip[0], other[0], ALEXNET, load(weights))), rel=1e-4)


def test_loading_leaves_random_numbers_alone(weights: Path) -> None:
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    load(weights)
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.parametrize(("build", "smallest"), [(alexnet, 31), (vgg16, 16)])
def test_the_smallest_picture(build: Callable[[], LPIPS], smallest: int) -> None:
    module = build()
    assert module.smallest == smallest
    assert module.features(torch.zeros(1, 3, smallest, smallest))[-1].shape[2:] == (1, 1)
    with pytest.raises(RuntimeError):
        module.features(torch.zeros(1, 3, smallest - 1, smallest - 1))


def test_what_does_not_fit_is_refused(weights: Path, tmp_path: Path) -> None:
    small = noise(30, 31, 3)
    with pytest.raises(DataError, match="31x31"):
        lpips(small, small, weights)
    with pytest.raises(DataError, match="one shape"):
        lpips(small, small[1:], weights)
    with pytest.raises(WeightsError, match="does not exist"):
        lpips(small, small, tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    write_weights(other, {"net.0.weight": torch.zeros(64, 3, 11, 11)}, {})
    with pytest.raises(WeightsError, match=r"missing net\.0\.bias"):
        lpips(small, small, other)
