from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from microexp.errors import WeightsError
from microexp.weights import load_into, read_weights, write_weights


class Malicious:
    """Unpickling this writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (exec, (f"open({str(self.target)!r}, 'w').write('owned')",))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_tensors_come_back(tmp_path: Path, suffix: str) -> None:
    state = nn.Linear(3, 2).state_dict()
    file = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save(state, file)
    else:
        write_weights(file, state, {"method": "linear"})
    read = read_weights(file)
    assert read.keys() == state.keys()
    assert all((read[k] == state[k]).all() for k in state)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("through_torch", [True, False])
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, through_torch: bool) -> None:
    target, file = tmp_path / "owned.txt", tmp_path / "net.pth"
    if through_torch:
        torch.save({"weight": Malicious(target)}, file)
    else:
        file.write_bytes(pickle.dumps({"weight": Malicious(target)}))
    with pytest.raises(WeightsError, match=r"net\.pth holds more than plain tensors"):
        read_weights(file)
    assert not target.exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"damaged", b"PK\x03\x04 not a zip"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        read_weights(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        read_weights(tmp_path / "none.pth")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="not a state_dict"):
        read_weights(tmp_path / "list.pth")


def test_a_file_cut_anywhere_is_named(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "new.pth")
    old = {"_use_new_zipfile_serialization": False}
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "old.pth", **old)
    for file in (tmp_path / "new.pth", tmp_path / "old.pth"):
        whole = file.read_bytes()
        for end in range(1, len(whole), max(1, len(whole) // 60)):
            file.write_bytes(whole[:end])
            with pytest.raises(WeightsError, match=file.name):
                read_weights(file)


def test_keys_must_be_text(tmp_path: Path) -> None:
    torch.save({1: torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="not a state_dict"):
        read_weights(tmp_path / "a.pth")


def test_weights_of_another_network_are_refused_key_by_key() -> None:
    state = {"weight": torch.zeros(2, 4), "scale": torch.zeros(1)}
    with pytest.raises(WeightsError) as caught:
        load_into(nn.Linear(3, 2), state, "net.pth")
    text = str(caught.value)
    assert "missing bias" in text
    assert "not of this network: scale" in text
    assert "weight is (2, 4), should be (2, 3)" in text


@pytest.mark.parametrize(
    "content",
    [
        lambda state, other: {"params": other, "params_ema": state},
        lambda state, other: {"iter": 5, "params": state},
        lambda state, other: {"meta": {"epoch": 1}, "state_dict": state, "optimizer": {"lr": 0.1}},
        lambda state, other: {"state_dict": {"generator_ema": state, "generator": other}},
    ],
)
def test_tensors_of_training_checkpoints_are_found(
    tmp_path: Path, content: Callable[[object, object], object]
) -> None:
    state = nn.Linear(3, 2).state_dict()
    torch.save(content(state, {"other": torch.zeros(1)}), tmp_path / "net.pth")
    assert read_weights(tmp_path / "net.pth").keys() == state.keys()


def test_a_checkpoint_with_more_than_tensors_inside_is_refused(tmp_path: Path) -> None:
    torch.save({"params": {"weight": torch.zeros(2), "lr": 0.1}}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="not a state_dict"):
        read_weights(tmp_path / "net.pth")


def test_an_error_says_what_the_file_holds() -> None:
    state = {"layer1.0.conv1.weight": torch.zeros(1), "layer4.0.conv1.weight": torch.zeros(1)}
    with pytest.raises(WeightsError, match=r"net\.pth holds ResNet, not Linear: missing weight, bias"):
        load_into(nn.Linear(3, 2), state, "net.pth")
