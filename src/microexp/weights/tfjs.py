"""TensorFlow.js models (``model.json`` or a manifest, and shards). In: the files. Out: named tensors.

Kernels ``(height, width, in, out)`` become ``(out, in, height, width)``; ``NAME/kernel`` becomes
``NAME.weight``. Values may be stored as float32, float16, or as 8 or 16 bit integers with a scale. The layers
of idealo's networks get the names, and where pixels are shuffled the order of channels, of microexp's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microexp.errors import WeightsError

_STORED = {"float32": "<f4", "float16": "<f2", "uint8": "u1", "uint16": "<u2"}
_PARTS = {"kernel": "weight", "bias": "bias"}
_COLOURS = 3
_RDN = {  # layers as idealo names them; blocks and layers are counted from 1
    "F_m1": "sfe1",
    "F_0": "sfe2",
    "GFF_1": "gff.0",
    "GFF_2": "gff.1",
    "UPN1": "upscale.0",
    "UPN2": "upscale.2",
    "UPN3": "upscale.4",
    "SR": "output",
}
_RRDN = {
    "Pre_blocks_conv": "conv_first",
    "post_blocks_conv": "conv_body",
    "PreShuffle": "conv_up",
    "SR": "conv_last",
}


def read_tfjs(model: str | Path) -> dict[str, Tensor]:
    """Read the weights of a TensorFlow.js model.

    Parameters
    ----------
    model : str or Path
        The ``model.json``, or a ``weights_manifest.json``; the files that it names stand beside it.

    Returns
    -------
    dict
        Float32 tensors. Those of idealo's RDN and RRDN have the names of `microexp.superres.rdn` (with the
        upsampler "nearest") and `microexp.superres.esrgan` (variant "rrdn"), others those of the model, with
        dots for slashes.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or not of TensorFlow.js.
    """
    path = Path(model)
    if not path.is_file():
        raise WeightsError(f"the weight file {path} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        groups = content if isinstance(content, list) else content["weightsManifest"]
        if not groups:
            raise ValueError("it lists no weights")
        tensors = dict(item for group in groups for item in _tensors(path, group))
        layer_name = next((f for first, f in _NETWORKS.items() if f"{first}/kernel" in tensors), _plain)
        if layer_name is _rrdn_layer:
            tensors = {name: _ordered(name, tensor) for name, tensor in tensors.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} is no model of TensorFlow.js, or is damaged ({error!r})") from error
    return {_name(name, layer_name): tensor for name, tensor in tensors.items()}


def _tensors(path: Path, group: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    return group_tensors(path, group["weights"], b"".join(_shard(path, name) for name in group["paths"]))


def group_tensors(
    path: Path, weights: Sequence[Mapping[str, Any]], data: bytes
) -> Iterator[tuple[str, Tensor]]:
    """Yield the names and tensors of one group of a manifest.

    Parameters
    ----------
    path : Path
        The model, for messages.
    weights : sequence of mapping
        What the manifest says of each tensor: name, shape, dtype, quantization.
    data : bytes
        The group's shards one after another.

    Raises
    ------
    WeightsError
        If there are fewer or more bytes than the manifest speaks of.
    """
    position = 0
    for one in weights:
        stored = np.dtype(_STORED[one.get("quantization", one)["dtype"]])
        count = math.prod(one["shape"])
        size = count * stored.itemsize
        if count < 0 or position + size > len(data):
            raise WeightsError(f"the weights beside {path} are cut: {one['name']} is not in them")
        values = np.frombuffer(data, stored, count, position).reshape(one["shape"]).astype(np.float32)
        position += size
        yield one["name"], _tensor(_scaled(values, one.get("quantization")))
    if position != len(data):
        raise WeightsError(
            f"the weights beside {path} have {len(data)} bytes, the model speaks of {position}"
        )


def _shard(path: Path, name: str) -> bytes:
    file = path.parent / name
    if Path(name).name != name:
        raise WeightsError(f"{path} names the file {name}, which does not stand beside it")
    if not file.is_file():
        raise WeightsError(f"{path} names the file {name}, which is missing")
    return file.read_bytes()


def _scaled(values: np.ndarray, quantization: Mapping[str, Any] | None) -> np.ndarray:
    if quantization is None or quantization["dtype"] == "float16":
        return values
    return values * np.float32(quantization["scale"]) + np.float32(quantization["min"])


def _name(name: str, layer_name: Callable[[str], str]) -> str:
    *layers, part = name.split("/")
    layer = layer_name(".".join(layers))
    return f"{layer}.{_PARTS.get(part, part)}" if layer else part


def plain_name(name: str) -> str:
    """Return the name of a tensor with dots for slashes, and "weight" for a kernel."""
    return _name(name, _plain)


def _plain(name: str) -> str:
    return name


def _rdn_layer(name: str) -> str:
    if dense := re.fullmatch(r"F_(\d+)_(\d+)", name):
        return f"rdbs.{int(dense[1]) - 1}.layers.{int(dense[2]) - 1}.conv"
    if fusion := re.fullmatch(r"LFF_(\d+)", name):
        return f"rdbs.{int(fusion[1]) - 1}.lff"
    return _RDN.get(name, name)


def _rrdn_layer(name: str) -> str:
    if dense := re.fullmatch(r"F_(\d+)_(\d+)_(\d+)", name):
        return f"body.{int(dense[1]) - 1}.rdb{dense[2]}.conv{dense[3]}"
    if fusion := re.fullmatch(r"LFF_(\d+)_(\d+)", name):
        return f"body.{int(fusion[1]) - 1}.rdb{fusion[2]}.conv5"
    return _RRDN.get(name, name)


_NETWORKS = {"F_m1": _rdn_layer, "Pre_blocks_conv": _rrdn_layer}  # by the layer that the name is of


def _ordered(name: str, tensor: Tensor) -> Tensor:
    """Put the channels that are shuffled into pixels in PyTorch's order: by colour first, then by place."""
    if not name.startswith("PreShuffle/"):
        return tensor
    order = np.arange(len(tensor)).reshape(-1, _COLOURS).T.ravel()
    return tensor[torch.from_numpy(order)]


def _tensor(values: np.ndarray) -> Tensor:
    if values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(values))
