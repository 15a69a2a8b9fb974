"""idealo's networks, layer by layer as their TensorFlow graphs go, against ours with weights converted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from microexp.errors import WeightsError
from microexp.superres.esrgan import ESRGAN
from microexp.superres.rdn import RDN
from microexp.weights.convert import convert

Weights = dict[str, np.ndarray]
RDN_SMALL = {"channels": 5, "blocks": 2, "layers": 2, "growth": 3, "upsampler": "nearest"}
RRDN_SMALL = {"channels": 5, "blocks": 2, "growth": 3, "variant": "rrdn"}


def drawn(shapes: dict[str, tuple[int, int, int, int]]) -> Weights:
    """Return kernels (height, width, in, out) and biases."""
    generator = np.random.default_rng(0)
    weights = {}
    for layer, shape in shapes.items():
        spread = 1 / np.sqrt(np.prod(shape[:3]))
        weights[f"{layer}/kernel"] = generator.normal(0, spread, shape).astype(np.float32)
        weights[f"{layer}/bias"] = generator.normal(0, 0.1, shape[3:]).astype(np.float32)
    return weights


def rdn_weights(scale: int) -> Weights:
    shapes = {"F_m1": (3, 3, 3, 5), "F_0": (3, 3, 5, 5)}
    for block in (1, 2):
        shapes |= {f"F_{block}_{layer}": (3, 3, 5 + 3 * (layer - 1), 3) for layer in (1, 2)}
        shapes[f"LFF_{block}"] = (1, 1, 11, 5)
    shapes |= {"GFF_1": (1, 1, 10, 5), "GFF_2": (3, 3, 5, 5)}
    shapes |= {"UPN1": (5, 5, 5, 64), "UPN2": (3, 3, 64, 32), "UPN3": (3, 3, 32, 3 * scale**2)}
    return drawn(shapes | {"SR": (3, 3, 3 * scale**2, 3)})


def rrdn_weights(scale: int) -> Weights:
    shapes = {"Pre_blocks_conv": (3, 3, 3, 5)}
    for name in [f"{block}_{dense}" for block in (1, 2) for dense in (1, 2, 3)]:
        shapes |= {f"F_{name}_{layer}": (3, 3, 5 + 3 * (layer - 1), 3) for layer in (1, 2, 3, 4)}
        shapes[f"LFF_{name}"] = (3, 3, 17, 5)
    shapes |= {"post_blocks_conv": (3, 3, 5, 5), "PreShuffle": (3, 3, 5, 3 * scale**2)}
    return drawn(shapes | {"SR": (3, 3, 3, 3)})


def write(folder: Path, weights: Weights) -> Path:
    """Write a model of TensorFlow.js in two shards, the layers in another order than they run in."""
    names = sorted(weights)
    data = b"".join(weights[name].tobytes() for name in names)
    (folder / "shard1.bin").write_bytes(data[:1000])
    (folder / "shard2.bin").write_bytes(data[1000:])
    listed = [{"name": n, "shape": list(weights[n].shape), "dtype": "float32"} for n in names]
    manifest = [{"paths": ["shard1.bin", "shard2.bin"], "weights": listed}]
    (folder / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    return folder / "model.json"


def conv(weights: Weights, layer: str, x: Tensor) -> Tensor:
    kernel = torch.from_numpy(weights[f"{layer}/kernel"].transpose(3, 2, 0, 1).copy())
    return F.conv2d(x, kernel, torch.from_numpy(weights[f"{layer}/bias"]), padding="same")


def dense(weights: Weights, layers: list[str], fusion: str, x: Tensor) -> Tensor:
    for layer in layers:
        x = torch.cat([x, torch.relu(conv(weights, layer, x))], dim=1)
    return conv(weights, fusion, x)


def rdn_output(weights: Weights, scale: int, picture: Tensor) -> Tensor:
    first = conv(weights, "F_m1", picture)
    x, of_blocks = conv(weights, "F_0", first), []
    for block in (1, 2):
        x = x + dense(weights, [f"F_{block}_1", f"F_{block}_2"], f"LFF_{block}", x)
        of_blocks.append(x)
    x = conv(weights, "GFF_2", conv(weights, "GFF_1", torch.cat(of_blocks, dim=1))) + first
    x = torch.relu(conv(weights, "UPN2", torch.relu(conv(weights, "UPN1", x))))
    x = conv(weights, "UPN3", x)
    return conv(weights, "SR", x.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3))


def rrdn_output(weights: Weights, scale: int, picture: Tensor) -> Tensor:
    first = x = conv(weights, "Pre_blocks_conv", picture)
    for block in (1, 2):
        inner = x
        for name in [f"{block}_{number}" for number in (1, 2, 3)]:
            layers = [f"F_{name}_{layer}" for layer in (1, 2, 3, 4)]
            inner = inner + 0.2 * dense(weights, layers, f"LFF_{name}", inner)
        x = x + 0.2 * inner
    x = conv(weights, "PreShuffle", conv(weights, "post_blocks_conv", x) + first)
    return conv(weights, "SR", depth_to_space(x, scale))


def depth_to_space(x: Tensor, scale: int) -> Tensor:
    """TensorFlow's: channel ``(dy s + dx) 3 + c`` goes to colour c, row dy and column dx of the place."""
    enlarged = torch.empty(x.shape[0], 3, x.shape[2] * scale, x.shape[3] * scale)
    for channel in range(x.shape[1]):
        place, colour = divmod(channel, 3)
        row, column = divmod(place, scale)
        enlarged[:, colour, row::scale, column::scale] = x[:, channel]
    return enlarged


@pytest.mark.parametrize("scale", RDN.scales)
def test_a_converted_rdn_computes_what_its_graph_says(scale: int, tmp_path: Path) -> None:
    weights, picture = rdn_weights(scale), torch.rand(1, 3, 7, 9)
    file = tmp_path / "rdn.safetensors"
    convert(write(tmp_path, weights), RDN(scale=scale, **RDN_SMALL), file)
    with torch.inference_mode():
        found = RDN(scale=scale, weights=file, device="cpu").module()(picture)  # the file says the upsampler
    torch.testing.assert_close(found, rdn_output(weights, scale, picture), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_converted_rrdn_computes_what_its_graph_says(scale: int, tmp_path: Path) -> None:
    weights, picture = rrdn_weights(scale), torch.rand(1, 3, 7, 9)
    file = tmp_path / "rrdn.safetensors"
    convert(write(tmp_path, weights), ESRGAN(scale=scale, **RRDN_SMALL), file)
    with torch.inference_mode():
        found = ESRGAN(scale=scale, weights=file, device="cpu").module()(picture)  # the file says the variant
    torch.testing.assert_close(found, rrdn_output(weights, scale, picture), rtol=1e-4, atol=1e-5)


def test_weights_of_another_upsampler_or_variant_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    model = write(tmp_path, rdn_weights(2))
    with pytest.raises(WeightsError, match=r"not of this network: .*upscale\.4"):
        convert(model, RDN(scale=2, **{**RDN_SMALL, "upsampler": "shuffle"}), out)
    model = write(tmp_path, rrdn_weights(4))
    with pytest.raises(WeightsError, match=r"missing conv_up1\.weight.*not of this network: conv_up\."):
        convert(model, ESRGAN(scale=4, **{**RRDN_SMALL, "variant": "esrgan"}), out)
    with pytest.raises(WeightsError, match=r"conv_up\.weight is \(48, 5, 3, 3\), should be \(12, 5, 3, 3\)"):
        convert(model, ESRGAN(scale=2, **RRDN_SMALL), out)


def test_channels_that_make_no_colours_are_damage(tmp_path: Path) -> None:
    weights = rrdn_weights(2)
    weights["PreShuffle/bias"] = weights["PreShuffle/bias"][:-1]
    with pytest.raises(WeightsError, match=r"model\.json is no model of TensorFlow\.js, or is damaged"):
        convert(write(tmp_path, weights), ESRGAN(scale=2, **RRDN_SMALL), tmp_path / "out.safetensors")
