"""What every magnification method must do. A new one is tested by existing; run one with ``-k name``."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from microexp import magnify
from microexp.clip import Clip
from microexp.errors import DataError, MicroexpError, OptionError, WeightsError
from microexp.magnify._network import NetworkMagnifier
from microexp.magnify.base import Magnifier
from microexp.registry import CardError
from microexp.weights import write_weights

NAMES = magnify.names()
NETWORKS = [name for name in NAMES if issubclass(magnify.get(name), NetworkMagnifier)]
# Settings in which a network is small; what they do not name has its default.
SMALL: dict[str, dict[str, Any]] = {
    "memm": {"width": 4},
    "single_image": {"width": 0.125, "blocks": 1, "flow_channels": 8, "size": 32},
}


def create(name: str, **params: Any) -> Magnifier:
    weights = {"weights": "random"} if name in NETWORKS else {}
    return magnify.create(name, **{**SMALL.get(name, {}), **weights, **params})


def frames(count: int = 3, height: int = 48, width: int = 40, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize("name", NAMES)
def test_frames_keep_their_form_and_come_out_the_same_every_time(name: str) -> None:
    weak = frames()
    strong = create(name).magnify(weak, fps=100.0)
    assert strong.dtype == np.uint8
    assert strong.shape == weak.shape
    assert np.array_equal(create(name).magnify(weak, fps=100.0), strong)


@pytest.mark.parametrize("name", NAMES)
def test_one_picture_and_its_onset(name: str) -> None:
    weak = frames()
    assert create(name).magnify(weak[1], weak[0], 100.0).shape == weak.shape[1:]


@pytest.mark.parametrize("name", NAMES)
def test_an_onset_is_asked_for_where_it_is_needed(name: str) -> None:
    magnifier = create(name)
    if not magnifier.needs_onset:
        assert np.array_equal(magnifier.magnify(frames()[1]), magnifier.magnify(frames())[1])
        return
    with pytest.raises(DataError, match="onset"):
        magnifier.magnify(frames()[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (41, 53)])
def test_any_size_of_a_picture(name: str, height: int, width: int) -> None:
    weak = np.zeros((2, height, width, 3), np.uint8)
    assert create(name).magnify(weak, fps=100.0).shape == weak.shape


@pytest.mark.parametrize("name", NAMES)
def test_clips_keep_their_annotation_and_frames_are_those_of_the_stream(name: str) -> None:
    clip = Clip.from_array(
        frames(4), 100.0, onset=1, apex=2, offset=3, subject="s1", name="c1", emotion="happiness"
    )
    (strong,) = create(name).fit_transform([clip])
    assert (strong.onset, strong.apex, strong.offset) == (1, 2, 3)
    assert strong.identity == clip.identity
    streamed = np.stack(list(create(name).stream(clip.frames, clip.frames[1], 100.0)))
    assert np.array_equal(strong.frames[:], streamed)


@pytest.mark.parametrize("name", NAMES)
def test_clone_and_pickle(name: str) -> None:
    magnifier, weak = create(name), frames(2)
    wanted = magnifier.magnify(weak, fps=100.0)
    assert np.array_equal(clone(magnifier).magnify(weak, fps=100.0), wanted)
    assert np.array_equal(pickle.loads(pickle.dumps(magnifier)).magnify(weak, fps=100.0), wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4, 3), np.float32), np.zeros((0, 4, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(name: str, bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8 RGB"):
        create(name).magnify(bad)


@pytest.mark.parametrize("name", NAMES)
def test_frames_of_two_sizes_are_refused(name: str) -> None:
    pictures = [np.zeros((32, 32, 3), np.uint8), np.zeros((32, 40, 3), np.uint8)]
    with pytest.raises(DataError, match="one size"):
        list(create(name).stream(pictures, fps=100.0))


@pytest.mark.parametrize("name", [n for n in NAMES if "factor" in magnify.get(n)().get_params()])
def test_a_factor_below_one_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="factor"):
        create(name, factor=0.5).magnify(frames(), fps=100.0)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="no parameter"):
        magnify.create(name, strength=4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_weights_says_so(name: str) -> None:
    with pytest.raises(WeightsError, match="needs weights"):
        magnify.create(name).magnify(frames())


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_written_and_read_with_their_architecture(name: str, tmp_path: Path) -> None:
    magnifier = create(name)
    assert isinstance(magnifier, NetworkMagnifier)
    file = tmp_path / "weights.safetensors"
    write_weights(file, magnifier.module().state_dict(), magnifier.description())
    loaded = magnify.create(name, weights=str(file))
    assert np.array_equal(loaded.magnify(frames()), magnifier.magnify(frames()))
    assert loaded.identity() != magnifier.identity()


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_another_network_are_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    write_weights(file, {"layer.weight": torch.zeros(2, 2)}, {})
    with pytest.raises(WeightsError, match=r"other\.safetensors"):
        create(name, weights=str(file)).magnify(frames())
    write_weights(file, {"layer.weight": torch.zeros(2, 2)}, {"method": "Another"})
    with pytest.raises(WeightsError, match="Another"):
        create(name, weights=str(file)).magnify(frames())


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_on_the_card_are_those_of_the_network(name: str) -> None:
    card = magnify.card(name)
    if card.parameters is None:
        raise CardError(f"the card of {name} gives no number of parameters")
    with torch.device("meta"):
        module = magnify.create(name).build()
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == card.parameters


@pytest.mark.parametrize("name", NETWORKS)
def test_the_architecture_can_be_written_down(name: str) -> None:
    magnifier = magnify.create(name)
    described = json.loads(magnifier.description()["architecture"])
    assert set(described) <= set(magnifier.get_params())


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_of_microexp(name: str) -> None:
    with pytest.raises(MicroexpError):
        create(name).magnify(np.zeros(3, np.uint8))
