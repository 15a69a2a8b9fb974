"""The models in the npm package nsfwjs (``model.min.js`` and its shards). In: the files. Out: named tensors.

They are models of TensorFlow.js put into scripts: the ``model.json`` as a literal of JavaScript, each shard
as text in base 64. Scripts are read as text; nothing in them is executed.
"""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from torch import Tensor

from microexp.errors import WeightsError
from microexp.weights.tfjs import group_tensors, plain_name

_ENDING = ".min.js"
_MANIFEST = re.compile(r"weightsManifest:(\[.*?\}\]\}\])")  # groups, in them weights, these with braces
_SHARD = re.compile(r'\.exports="([^"]*)"')
_KEY = re.compile(r"([{,])(\w+):")
_FRACTION = re.compile(r"([:,\[]-?)\.(?=\d)")


def read_nsfwjs(model: str | Path) -> dict[str, Tensor]:
    """Read the weights of a model of nsfwjs.

    Parameters
    ----------
    model : str or Path
        The ``model.min.js``; its shards, ``NAME.min.js`` too, stand beside it.

    Returns
    -------
    dict
        Float32 tensors under the names of the model, with dots for slashes: convolutions
        ``(out, in, height, width)``, all others as they are stored.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or not of nsfwjs.
    """
    path = Path(model)
    manifest = _MANIFEST.search(_text(path))
    if manifest is None:
        raise WeightsError(f"{path} is no model of nsfwjs: it has no list of weights")
    try:
        tensors: dict[str, Tensor] = {}
        for group in json.loads(_as_json(manifest[1])):
            data = b"".join(_shard(path, name) for name in group["paths"])
            tensors.update(group_tensors(path, group["weights"], data))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path} is no model of nsfwjs, or is damaged ({error!r})") from error
    return {plain_name(name): tensor for name, tensor in tensors.items()}


def _as_json(literal: str) -> str:
    """Quote the keys of a literal of JavaScript, and write .5 as 0.5."""
    return _FRACTION.sub(r"\g<1>0.", _KEY.sub(r'\1"\2":', literal))


def _shard(path: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise WeightsError(f"{path} names the file {name}, which does not stand beside it")
    file = path.parent / f"{name}{_ENDING}"
    content = _SHARD.search(_text(file))
    if content is None:
        raise WeightsError(f"{file} is no shard of a model of nsfwjs: it has no text in base 64")
    return base64.b64decode(content[1], validate=True)


def _text(file: Path) -> str:
    if not file.is_file():
        raise WeightsError(f"the weight file {file} does not exist")
    return file.read_text(encoding="utf-8", errors="replace")
