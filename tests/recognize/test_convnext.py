from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from microexp.errors import WeightsError
from microexp.recognize._convnext import timm_names
from microexp.recognize.convnext import ConvNeXt, build_module
from microexp.weights import write_weights
from tests.contracts.test_recognize import moving_clip

DIMS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)
TINY = {"dims": (8, 12, 16), "depths": (1, 2, 1)}


def timm_shapes(n_classes: int = 1000) -> dict[str, tuple[int, ...]]:
    """Names and shapes of ``timm.create_model("convnext_tiny")``, written down from its documentation."""
    shapes: dict[str, tuple[int, ...]] = {"stem.0.weight": (96, 3, 4, 4), "stem.0.bias": (96,)}
    shapes |= {"stem.1.weight": (96,), "stem.1.bias": (96,)}
    for i, (c, depth) in enumerate(zip(DIMS, DEPTHS, strict=True)):
        if i:
            before = DIMS[i - 1]
            step = {"0.weight": (before,), "0.bias": (before,), "1.weight": (c, before, 2, 2), "1.bias": (c,)}
            shapes |= {f"stages.{i}.downsample.{k}": v for k, v in step.items()}
        for j in range(depth):
            block = {
                "gamma": (c,),
                "conv_dw.weight": (c, 1, 7, 7),
                "conv_dw.bias": (c,),
                "norm.weight": (c,),
                "norm.bias": (c,),
                "mlp.fc1.weight": (4 * c, c),
                "mlp.fc1.bias": (4 * c,),
                "mlp.fc2.weight": (c, 4 * c),
                "mlp.fc2.bias": (c,),
            }
            shapes |= {f"stages.{i}.blocks.{j}.{k}": v for k, v in block.items()}
    shapes |= {"head.norm.weight": (768,), "head.norm.bias": (768,)}
    return shapes | {"head.fc.weight": (n_classes, 768), "head.fc.bias": (n_classes,)}


def random_state(module: nn.Module, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {k: torch.randn(v.shape, generator=generator) for k, v in module.state_dict().items()}


def torchvision_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as torchvision's ``convnext_tiny`` names them."""
    inside = {"conv_dw": "block.0", "norm": "block.2", "mlp.fc1": "block.3", "mlp.fc2": "block.5"}
    heads = {"head.norm": "classifier.0", "head.fc": "classifier.2"}
    renamed = {}
    for name, value in state.items():
        part, kind = name.rsplit(".", 1)
        words = name.split(".")
        if words[0] == "stem":
            renamed[name.replace("stem", "features.0")] = value
        elif words[0] == "head":
            renamed[f"{heads[part]}.{kind}"] = value
        elif words[2] == "downsample":
            renamed[f"features.{2 * int(words[1])}.{words[3]}.{kind}"] = value
        elif kind == "gamma":
            renamed[f"features.{2 * int(words[1]) + 1}.{words[3]}.layer_scale"] = value[:, None, None]
        else:
            block = f"features.{2 * int(words[1]) + 1}.{words[3]}"
            renamed[f"{block}.{inside['.'.join(words[4:-1])]}.{kind}"] = value
    return renamed


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, axis: int = 1) -> Tensor:
    mean, var = x.mean(axis, keepdim=True), x.var(axis, keepdim=True, unbiased=False)
    shape = [1] * x.ndim
    shape[axis] = -1
    return (x - mean) / (var + 1e-6).sqrt() * weight.view(shape) + bias.view(shape)


def plain_convnext(x: Tensor, p: dict[str, Tensor], depths: tuple[int, ...]) -> Tensor:
    """ConvNeXt by its formulas, patches as sums over pixels, from the tensors alone."""

    def patches(x: Tensor, name: str, size: int) -> Tensor:
        n, c, h, w = x.shape
        h, w = h // size, w // size
        cut = x[:, :, : h * size, : w * size].reshape(n, c, h, size, w, size)
        return torch.einsum("nchiwj,dcij->ndhw", cut, p[f"{name}.weight"]) + p[f"{name}.bias"][:, None, None]

    def norm(x: Tensor, name: str, axis: int = 1) -> Tensor:
        return layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], axis)

    def block(x: Tensor, name: str) -> Tensor:
        n, c, h, w = x.shape
        padded = x.new_zeros(n, c, h + 6, w + 6)
        padded[:, :, 3:-3, 3:-3] = x
        kernel = p[f"{name}.conv_dw.weight"][:, 0]
        y = p[f"{name}.conv_dw.bias"][:, None, None] + sum(
            kernel[:, i, j, None, None] * padded[:, :, i : i + h, j : j + w]
            for i in range(7)
            for j in range(7)
        )
        y = norm(y, f"{name}.norm")
        y = torch.einsum("nchw,dc->ndhw", y, p[f"{name}.mlp.fc1.weight"])
        y = y + p[f"{name}.mlp.fc1.bias"][:, None, None]
        y = y * (1 + torch.erf(y / math.sqrt(2))) / 2
        y = torch.einsum("nchw,dc->ndhw", y, p[f"{name}.mlp.fc2.weight"])
        y = y + p[f"{name}.mlp.fc2.bias"][:, None, None]
        return x + p[f"{name}.gamma"][:, None, None] * y

    x = norm(patches(x, "stem.0", 4), "stem.1")
    for i, depth in enumerate(depths):
        if i:
            x = patches(norm(x, f"stages.{i}.downsample.0"), f"stages.{i}.downsample.1", 2)
        for j in range(depth):
            x = block(x, f"stages.{i}.blocks.{j}")
    return norm(x.mean((2, 3)), "head.norm") @ p["head.fc.weight"].T + p["head.fc.bias"]


def test_names_and_shapes_are_those_of_timm() -> None:
    with torch.device("meta"):
        state = build_module(1000).state_dict()
    assert {k: tuple(v.shape) for k, v in state.items()} == timm_shapes()
    assert sum(v.numel() for v in state.values()) == 28_589_128  # timm's 28.59 M


def test_parameters_and_multiply_adds_at_three_classes() -> None:
    with torch.device("meta"):
        module, images = build_module(3), torch.empty(1, 3, 224, 224)
    assert sum(p.numel() for p in module.parameters()) == 27_822_435
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images)
    assert counter.get_total_flops() / 2e9 == pytest.approx(4.46, rel=0.01)  # 4.5 G in the ConvNeXt paper


@pytest.mark.parametrize("size", [(32, 32), (45, 38)])
def test_the_network_is_its_formulas(size: tuple[int, int]) -> None:
    module = build_module(5, **TINY).double()
    state = {k: v.double() for k, v in random_state(module).items()}
    module.load_state_dict(state)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    assert torch.allclose(module(images), plain_convnext(images, state, TINY["depths"]), atol=1e-9)


def test_first_weights_are_those_of_the_paper() -> None:
    module = build_module(3, dims=(64,), depths=(2,))
    block = module.stages[0].blocks[0]
    assert (block.gamma == 1e-6).all()
    assert (block.mlp.fc1.bias == 0).all()
    assert block.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("names", ["timm", "torchvision"])
def test_imagenet_weights_go_in_one_to_one(names: str, tmp_path: Path) -> None:
    net = ConvNeXt(size=64, device="cpu", pretrained=str(tmp_path / "net.safetensors"), **TINY)
    state = random_state(build_module(1000, **TINY))
    file = torchvision_state(state) if names == "torchvision" else state
    assert len(file) == len(state)
    write_weights(tmp_path / "net.safetensors", file, {})
    module = net.build(1000)
    assert all(torch.equal(module.state_dict()[k], v) for k, v in state.items())
    report = net.pretrained_report_
    assert len(report.loaded) == len(state)
    assert report.missing == report.mismatched == report.unused == ()


def test_names_of_torchvision_are_those_of_timm_for_the_whole_network() -> None:
    meta = {k: torch.empty(v, device="meta") for k, v in timm_shapes().items()}
    assert timm_names(torchvision_state(meta)).keys() == timm_names(meta).keys() == meta.keys()


def test_what_does_not_fit_stays_random_and_is_reported(tmp_path: Path) -> None:
    state = random_state(build_module(1000, **TINY))
    del state["stages.1.blocks.1.gamma"]
    state["head.extra"] = torch.zeros(2)
    write_weights(tmp_path / "net.safetensors", state, {})
    net = ConvNeXt(flow="concat", pretrained=tmp_path / "net.safetensors", **TINY)
    module = net.build(3)
    report = net.pretrained_report_
    assert report.missing == ("stages.1.blocks.1.gamma",)
    assert report.mismatched == ("stem.0.weight", "head.fc.weight", "head.fc.bias")
    assert report.unused == ("head.extra",)
    assert len(report.loaded) == len(module.state_dict()) - 4
    assert "mismatched (3): stem.0.weight, head.fc.weight, head.fc.bias" in str(report)
    assert module.stem[0].weight.abs().max() < 0.2  # as drawn, not as in the file


def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path) -> None:
    write_weights(tmp_path / "net.safetensors", {"conv.weight": torch.zeros(2)}, {})
    with pytest.raises(WeightsError, match=r"net.safetensors has no tensor that fits ConvNeXtModule"):
        ConvNeXt(pretrained=tmp_path / "net.safetensors", **TINY).build(3)
    with pytest.raises(WeightsError, match="does not exist"):
        ConvNeXt(pretrained=tmp_path / "none.safetensors", **TINY).build(3)


def test_a_model_of_the_hub_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing answers there
    net = ConvNeXt(pretrained="timm/convnext_tiny.in12k_ft_in1k", **TINY)
    with pytest.raises(WeightsError, match=r"timm/convnext_tiny.in12k_ft_in1k/resolve/main.* cannot be"):
        net.build(3)
    state = random_state(build_module(1000, **TINY))
    write_weights(tmp_path / "weights" / "timm--convnext_tiny.in12k_ft_in1k.safetensors", state, {})
    assert torch.equal(net.build(3).stem[0].weight, state["stem.0.weight"])


def test_the_baseline_needs_no_offset() -> None:
    net = ConvNeXt(size=32, apex_shifts=False)
    clip = moving_clip(0, 1)
    whole, open_ended = net.features([clip]), net.features([clip.replace(offset=None)])
    assert whole.shape == (1, 1, 3, 32, 32)
    assert np.array_equal(whole, open_ended)
