from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from microexp.errors import OptionError, UnknownNameError, WeightsError
from microexp.networks.vgg import FeatureLoss, VGGFeatures, layers, vgg_features

# torchvision's configurations: channels of convolutions, M a max pool; a rectifier follows each convolution
CONFIGURATIONS = {
    "vgg16": "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M",
    "vgg19": "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M",
}


def sequence(network: str, until: int | None = None) -> nn.Sequential:
    """The convolutional part as torchvision puts it together, with small random weights."""
    parts: list[nn.Module] = []
    channels = 3
    for item in CONFIGURATIONS[network].split():
        if item == "M":
            parts.append(nn.MaxPool2d(2, 2))
        else:
            parts += [nn.Conv2d(channels, int(item), 3, padding=1), nn.ReLU()]
            channels = int(item)
    torch.manual_seed(0)
    kept = nn.Sequential(*parts[:until])
    for layer in kept:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, 0, 0.1)
    return kept


def pictures(seed: int = 0) -> Tensor:
    return torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


def normalised(x: Tensor) -> Tensor:
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean.view(3, 1, 1)) / std.view(3, 1, 1)


def write_torchvision(file: Path, network: str, until: int | None = None) -> Path:
    state = {f"features.{k}": v for k, v in sequence(network, until).state_dict().items()}
    save_file({**state, "classifier.0.weight": torch.zeros(2, 2)}, file)
    return file


def write_original(file: Path, until: str = "conv3_4") -> Path:
    """Weights as Caffe and Keras have them, of a network with the formula's convolutions."""
    arrays = {}
    for layer in layers("vgg19"):
        convolution = sequence("vgg19", 17)[layer.index]
        arrays[f"{layer.name}.w"] = convolution.weight.detach().numpy()
        arrays[f"{layer.name}.b"] = convolution.bias.detach().numpy()
        if layer.name == until:
            break
    np.savez(file, **arrays)
    return file


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_layers_are_where_torchvision_has_them(network: str) -> None:
    whole = sequence(network)
    convolutions = [i for i, layer in enumerate(whole) if isinstance(layer, nn.Conv2d)]
    assert [layer.index for layer in layers(network)] == convolutions
    for layer in layers(network):
        assert (layer.inputs, layer.outputs) == (
            whole[layer.index].in_channels,
            whole[layer.index].out_channels,
        )


def test_the_names_are_the_papers() -> None:
    names = {str(layer.index): layer.name for layer in layers("vgg19")}
    assert [names[tap] for tap in ("2", "7", "16", "25", "34")] == [
        "conv1_2",
        "conv2_2",
        "conv3_4",
        "conv4_4",
        "conv5_4",
    ]
    assert {str(layer.index): layer.name for layer in layers("vgg16")}["21"] == "conv4_3"
    with pytest.raises(UnknownNameError, match="vgg19"):
        layers("vgg18")


def test_features_are_those_before_the_rectifier(tmp_path: Path) -> None:
    file = write_torchvision(tmp_path / "vgg.safetensors", "vgg16", 15)
    found = vgg_features("vgg16", file, ["2", "7", "14"])(pictures())
    whole = sequence("vgg16", 15)
    for tap in (2, 7, 14):
        assert torch.allclose(found[str(tap)], whole[: tap + 1](normalised(pictures())), atol=1e-4)
    assert (found["14"] < 0).any()


def test_weights_of_the_original_convention(tmp_path: Path) -> None:
    file = write_original(tmp_path / "vgg.npz", "conv2_1")
    found = vgg_features("vgg19", file, ["0", "5"])(pictures())
    blue_green_red = (255 * pictures()).flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    whole, scale = sequence("vgg19", 17), 255 * (0.229 + 0.224 + 0.225) / 3
    for tap in (0, 5):
        wanted = whole[: tap + 1](blue_green_red) / scale
        assert torch.allclose(found[str(tap)], wanted, atol=1e-4 * wanted.detach().std().item())


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_a_file_that_ends_too_early_names_what_is_missing(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"vgg.{suffix}"
    if suffix == "npz":
        write_original(file, "conv2_2")
    else:
        write_torchvision(file, "vgg19", 8)
    with pytest.raises(WeightsError, match=r"vgg\..*ends at 7 \(conv2_2\).*16 \(conv3_4\).*--features"):
        vgg_features("vgg19", file, ["2", "16"])
    assert set(vgg_features("vgg19", file, ["2", "7"])(pictures())) == {"2", "7"}


def test_files_of_something_else(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.npz").write_bytes(b"PK not an archive")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "pickled.npy").rename(tmp_path / "pickled.npz")
    for name, message in (
        ("other.safetensors", "no file of vgg19"),
        ("broken.npz", "broken"),
        ("pickled.npz", "pickled"),
        ("missing.npz", "does not exist"),
    ):
        with pytest.raises(WeightsError, match=message):
            vgg_features("vgg19", tmp_path / name, ["2"])
    with pytest.raises(OptionError, match=r"no convolution 3; there is 0 \(conv1_1\)"):
        vgg_features("vgg19", tmp_path / "other.safetensors", ["3"])


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("mse", 2)])
def test_the_loss_is_the_weighted_sum_of_means(kind: str, power: int) -> None:
    torch.manual_seed(0)
    features = VGGFeatures("vgg19", ["0", "5"])
    loss = FeatureLoss(features, {"0": 0.5, "5": 2.0}, kind)
    output, target = pictures(1).requires_grad_(), pictures(2)
    found, wanted = features(output), features(target)
    parts = {tap: (found[tap] - wanted[tap]).abs().pow(power).mean() for tap in found}
    value = loss(output, target)
    assert value.item() == pytest.approx((0.5 * parts["0"] + 2 * parts["5"]).item(), rel=1e-5)
    value.backward()
    assert output.grad is not None
    assert all(not parameter.requires_grad for parameter in features.parameters())
    assert loss(target, target).item() == 0
