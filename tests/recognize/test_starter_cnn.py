from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microexp.errors import MicroexpError, WeightsError
from microexp.recognize.starter_cnn import CARD, StarterCNN, build_module, standardised


def test_counts_its_parameters() -> None:
    widths, inputs, count = (16, 32, 64), 3, 0
    for width in widths:
        count += 9 * width * (inputs + width) + 4 * width  # two convolutions, two norms
        inputs = width
    count += 3 * (9 * inputs + 1)
    assert sum(p.numel() for p in build_module().parameters()) == count == CARD["parameters"]


@settings(deadline=None, max_examples=25)
@given(st.floats(0.1, 5), st.floats(-3, 3), st.integers(0, 99))
def test_neither_strength_nor_a_constant_motion_matters(gain: float, offset: float, seed: int) -> None:
    images = torch.rand(2, 3, 28, 28, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        standardised(gain * images + offset), standardised(images), atol=0.01, rtol=0.01
    )


def test_a_mirrored_flow_goes_the_other_way() -> None:
    images = torch.rand(64, 3, 28, 28)
    torch.manual_seed(0)
    changed, labels = StarterCNN().augment(images.clone(), torch.arange(64))
    mirrored = torch.stack([1 - images[:, 0].flip(2), images[:, 1].flip(2), images[:, 2].flip(2)], 1)
    as_it_was = (changed == images).flatten(1).all(1)
    assert 16 < as_it_was.sum() < 48
    torch.testing.assert_close(changed[~as_it_was], mirrored[~as_it_was])
    assert labels.tolist() == list(range(64))


def test_starts_from_a_file_and_takes_its_last_layer_where_it_fits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(size=(12, 3, 28, 28)).astype(np.float32), np.arange(12) % 3
    first = StarterCNN(epochs=1, device="cpu").fit(images, labels)
    first.save_weights(file := tmp_path / "first.safetensors")
    state = first.module_.state_dict()
    again = StarterCNN(pretrained=file).build(3).state_dict()
    assert all(torch.equal(again[name], state[name]) for name in state)
    five = StarterCNN(pretrained=file).build(5).state_dict()
    assert five["fc.weight"].shape[0] == 5
    assert all(torch.equal(five[name], state[name]) for name in state if not name.startswith("fc."))


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"fc.bias": torch.zeros(3)}, file := tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="other.pth"):
        StarterCNN(pretrained=file, epochs=1).fit(np.zeros((3, 3, 28, 28), np.float32), np.arange(3))
    with pytest.raises(MicroexpError, match="nowhere"):
        StarterCNN(pretrained=tmp_path / "nowhere.pth").fit(
            np.zeros((3, 3, 28, 28), np.float32), np.arange(3)
        )
