"""What every network with weights must do, whatever its family. Run one with ``-k name``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microexp import magnify, superres
from microexp.errors import WeightsError
from microexp.networks.weighted import WeightedNetwork
from microexp.registry import CardError
from microexp.weights import write_weights
from tests.contracts import test_magnify, test_superres

FAMILIES: dict[str, Any] = {"superres": superres, "magnify": magnify}
TESTS: dict[str, Any] = {"superres": test_superres, "magnify": test_magnify}
NETWORKS = [(family, name) for family, tests in TESTS.items() for name in tests.NETWORKS]
every_network = pytest.mark.parametrize(("family", "name"), NETWORKS)


def small(family: str, name: str, **params: Any) -> WeightedNetwork:
    network = TESTS[family].create(name, **params)
    assert isinstance(network, WeightedNetwork)
    return network


def applied(network: Any) -> np.ndarray:
    """What it makes of two frames."""
    frames = test_magnify.frames(2)
    made: np.ndarray = network.upscale(frames) if hasattr(network, "upscale") else network.magnify(frames)
    return made


@every_network
def test_without_weights_it_says_so(family: str, name: str) -> None:
    with pytest.raises(WeightsError, match=f"needs weights.*microexp train {family}"):
        applied(FAMILIES[family].create(name))


@every_network
def test_weights_are_written_and_read_with_their_architecture(family: str, name: str, tmp_path: Path) -> None:
    network: Any = small(family, name)
    file = tmp_path / "weights.safetensors"
    write_weights(file, network.module().state_dict(), network.description())
    scale = {"scale": network.scale} if family == "superres" else {}
    loaded = FAMILIES[family].create(name, weights=str(file), **scale)
    assert np.array_equal(applied(loaded), applied(network))
    assert loaded.identity() != network.identity()


@every_network
@pytest.mark.parametrize(
    ("said", "message"),
    [({}, r"other\.safetensors"), ({"method": "Another", "scale": "4"}, "Another")],
)
def test_weights_of_another_network_are_refused(
    family: str, name: str, said: dict[str, str], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "other.safetensors"
    write_weights(file, {"layer.weight": torch.zeros(2, 2)}, said)
    with pytest.raises(WeightsError, match=message):
        applied(small(family, name, weights=str(file)))


@every_network
def test_parameters_on_the_card_are_those_of_the_network(family: str, name: str) -> None:
    card = FAMILIES[family].card(name)
    if card.parameters is None:
        raise CardError(f"the card of {name} gives no number of parameters")
    with torch.device("meta"):
        module = FAMILIES[family].create(name).build()
    own = [p for part, p in module.named_parameters() if not part.startswith("features.")]  # VGG19 is not
    assert sum(p.numel() for p in own) == card.parameters


@every_network
def test_the_architecture_can_be_written_down(family: str, name: str) -> None:
    network = FAMILIES[family].create(name)
    assert set(json.loads(network.description()["architecture"])) <= set(network.get_params())
