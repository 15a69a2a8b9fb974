"""Reading and writing weight files, and putting them into a network key by key."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from microexp.errors import WeightsError
from microexp.weights.identify import identify

# Where training programs put a network's tensors, the running mean first.
_NESTED = ("params_ema", "params", "state_dict", "generator_ema", "generator", "model")

# What PyTorch raises, depending on where a file is cut or overwritten.
_DAMAGED = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


def read_weights(file: str | Path) -> dict[str, Tensor]:
    """Read the named tensors of a ``.safetensors`` or PyTorch (``.pth``, ``.pt``) file.

    Of a training checkpoint those of the network are read: what stands under "params_ema", "params",
    "state_dict", "generator_ema", "generator" or "model", the first of these that is there.

    Raises
    ------
    WeightsError
        If the file is missing, damaged, or holds anything but tensors (a pickle with code is refused
        and not executed).
    """
    path = Path(file)
    if not path.is_file():
        raise WeightsError(f"the weight file {path} does not exist")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} holds more than plain tensors, or is damaged. Nothing in it was executed. "
            "Ask its author for a file of tensors only (a state_dict, or safetensors)."
        ) from error
    except _DAMAGED as error:
        raise WeightsError(f"{path} is not a readable PyTorch weight file: {error}") from error
    content = _inner(content)
    if not isinstance(content, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    ):
        raise WeightsError(f"{path} is not a state_dict: it must map names to tensors")
    return dict(content)


def read_metadata(file: str | Path) -> dict[str, str]:
    """Return what a ``.safetensors`` file says of itself; of other files nothing is known.

    Raises
    ------
    WeightsError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(file)
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as content:
            return content.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error


def write_weights(file: str | Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors as safetensors, under a temporary name first so that no half file is left."""
    from safetensors.torch import save_file

    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, temporary, dict(metadata))
    temporary.replace(path)


def load_into(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Put named tensors into a network; every key and every shape must match.

    Raises
    ------
    WeightsError
        Saying what the tensors are of where that is known, and naming the keys that are missing, left over
        or of another shape.
    """
    check_fit(module, state, source)
    module.load_state_dict(dict(state), strict=False)


def check_fit(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Raise `WeightsError` as `load_into` does; the network may be one without values, on "meta"."""
    wanted = module.state_dict()
    # Files from before PyTorch 0.4.1 lack this counter, and nothing but momentum=None reads it.
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    extra = [k for k in state if k not in wanted]
    shapes = [
        f"{k} is {tuple(state[k].shape)}, should be {tuple(wanted[k].shape)}"
        for k in wanted
        if k in state and state[k].shape != wanted[k].shape
    ]
    faults = [
        f"{title} {', '.join(items[:5])}{' ...' if len(items) > 5 else ''}"
        for title, items in (("missing", missing), ("not of this network:", extra), ("shape:", shapes))
        if items
    ]
    if faults:
        held, here = identify(state), identify(wanted) or type(module).__name__
        what = f"holds {held}, not {here}" if held and held != here else f"does not fit {here}"
        raise WeightsError(f"{source} {what}: {'; '.join(faults)}")


def _inner(content: object) -> object:
    """Return the network's own tensors of a training checkpoint, which nests them."""
    while isinstance(content, Mapping):
        inner = next((content[k] for k in _NESTED if isinstance(content.get(k), Mapping)), None)
        if inner is None:
            break
        content = inner
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is not a readable safetensors file: {error}") from error
