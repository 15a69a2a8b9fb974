"""ncnn weight files (``.param`` and ``.bin``). In: the two. Out: named tensors of the networks known here.

ncnn numbers its layers and drops their names, so tensors are named by their order; that is possible for
two networks: residual-in-residual dense blocks (ESRGAN, Real-ESRGAN), and the compact network of
Real-ESRGAN. Format: ``.param`` is text, one layer a line; ``.bin`` has the values in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from microexp.errors import WeightsError

_MAGIC = "7767517"
_HALF, _SINGLE = 0x01306B47, 0  # what stands before the weights of a convolution
_WITHOUT_VALUES = {
    *("Input", "Split", "Concat", "Eltwise", "BinaryOp", "UnaryOp", "Interp", "PixelShuffle", "Noop"),
    *("ReLU", "Clip", "Sigmoid", "TanH", "Pooling", "Padding", "Crop", "Reshape", "Reorg", "Dropout"),
}
_RRDB_TAIL = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")


@dataclass(frozen=True)
class _Layer:
    """One line of the ``.param`` file."""

    kind: str
    name: str
    numbers: dict[int, str]

    def number(self, key: int, default: int | None = None) -> int:
        try:
            return int(self.numbers[key]) if default is None else int(self.numbers.get(key, default))
        except (KeyError, ValueError) as error:
            raise WeightsError(f"layer {self.name} ({self.kind}) has no whole number {key}=...") from error


def read_ncnn(param: str | Path) -> dict[str, Tensor]:
    """Read the weights of an ncnn network.

    Parameters
    ----------
    param : str or Path
        The ``.param`` file; the ``.bin`` file has the same name and stands beside it.

    Returns
    -------
    dict
        Float32 tensors under the names of `microexp.superres`.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or not of ncnn, or the network is none of the two that are known.
    """
    path = Path(param)
    binary = path.with_suffix(".bin")
    for file in (path, binary):
        if not file.is_file():
            raise WeightsError(
                f"the weight file {file} does not exist; ncnn's weights are a .param and a .bin"
            )
    try:
        tensors = _values(_layers(path), binary)
        return _named(tensors)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def _layers(path: Path) -> list[_Layer]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise WeightsError("no .param file of ncnn, which is text") from error
    if lines[0].strip() != _MAGIC:
        raise WeightsError(f"no .param file of ncnn, which begins with {_MAGIC}")
    words = [line.split() for line in lines[1:] if line.strip()]
    if not words or not words[0][0].isdecimal() or int(words[0][0]) != len(words) - 1:
        raise WeightsError("the .param file is cut: its second line says another number of layers")
    return [_layer(line) for line in words[1:]]


def _layer(words: list[str]) -> _Layer:
    try:
        after = 4 + int(words[2]) + int(words[3])
        pairs = [word.split("=", 1) for word in words[after:]]
        return _Layer(words[0], words[1], {int(key): value for key, value in pairs})
    except (IndexError, ValueError) as error:
        raise WeightsError(f"the line '{' '.join(words)[:60]}' is no layer of ncnn") from error


def _values(layers: list[_Layer], binary: Path) -> list[dict[str, Tensor]]:
    """Return weight and bias of each convolution, and slopes of each PReLU (as weight), in order."""
    reader, tensors = _Reader(binary), []
    for layer in layers:
        if layer.kind == "Convolution":
            tensors.append(_convolution(layer, reader))
        elif layer.kind == "PReLU":
            tensors.append({"weight": reader.floats(layer.number(0))})
        elif layer.kind not in _WITHOUT_VALUES:
            raise WeightsError(f"layer {layer.name} is a {layer.kind}, which no network known here has")
    reader.finish()
    return tensors


def _convolution(layer: _Layer, reader: _Reader) -> dict[str, Tensor]:
    outputs, width, count = layer.number(0), layer.number(1), layer.number(6)
    height = layer.number(11, width)
    area = outputs * width * height
    if area < 1 or count < 1 or count % area:
        raise WeightsError(f"layer {layer.name}: {count} weights are no {width}x{height} kernels")
    found = {"weight": reader.tagged(count, layer.name).view(outputs, count // area, height, width)}
    if layer.number(5, 0):
        found["bias"] = reader.floats(outputs)
    return found


class _Reader:
    """The values of the ``.bin`` file, one after the other."""

    def __init__(self, file: Path) -> None:
        self._file, self._data, self._position = file, file.read_bytes(), 0

    def floats(self, count: int) -> Tensor:
        return self._array(count, "<f4")

    def tagged(self, count: int, layer: str) -> Tensor:
        """Return as many values of the precision that the four bytes before them say."""
        tag = int(self._array(1, "<u4"))
        if tag == _HALF:
            values = self._array(count, "<f2")
            self._position += -self._position % 4
            return values
        if tag != _SINGLE:
            raise WeightsError(
                f"the weights of layer {layer} in {self._file.name} are neither float32 nor float16 "
                f"(tag {tag:#010x}); only these two are read"
            )
        return self.floats(count)

    def finish(self) -> None:
        if self._position != len(self._data):
            raise WeightsError(
                f"{self._file.name} has {len(self._data)} bytes, the .param file speaks of {self._position}: "
                "they do not belong together"
            )

    def _array(self, count: int, kind: str) -> Tensor:
        size = count * np.dtype(kind).itemsize
        if count < 0 or self._position + size > len(self._data):
            raise WeightsError(f"{self._file.name} is cut: it ends after {len(self._data)} bytes")
        values = np.frombuffer(self._data, kind, count, self._position)
        self._position += size
        return torch.from_numpy(values.astype(np.int64 if kind == "<u4" else np.float32))


def _named(tensors: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    if any(one["weight"].ndim == 1 for one in tensors):
        names = _compact_names(tensors)
    else:
        names = _rrdb_names(len(tensors))
    if names is None:
        raise WeightsError(
            f"a network of {len(tensors)} layers with weights that is neither ESRGAN's nor Real-ESRGAN's; "
            "ncnn keeps no names, so no other can be read"
        )
    return {f"{name}.{key}": t for name, one in zip(names, tensors, strict=True) for key, t in one.items()}


def _compact_names(tensors: list[dict[str, Tensor]]) -> list[str] | None:
    """Return the names if convolutions and PReLUs take turns, beginning and ending with a convolution."""
    ranks = [one["weight"].ndim for one in tensors]
    if len(ranks) % 2 == 0 or ranks != [4, 1] * (len(ranks) // 2) + [4]:
        return None
    return [f"body.{i}" for i in range(len(tensors))]


def _rrdb_names(count: int) -> list[str] | None:
    """Return the names if there are as many convolutions as a whole number of blocks has."""
    blocks, rest = divmod(count - 1 - len(_RRDB_TAIL), 15)
    if rest or blocks < 1:
        return None
    body = [f"body.{b}.rdb{r}.conv{c}" for b in range(blocks) for r in range(1, 4) for c in range(1, 6)]
    return ["conv_first", *body, *_RRDB_TAIL]
