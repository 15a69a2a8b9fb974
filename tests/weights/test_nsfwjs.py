from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from microexp.errors import WeightsError
from microexp.weights.convert import read_any
from microexp.weights.nsfwjs import read_nsfwjs

KERNEL = np.random.default_rng(0).integers(0, 256, (3, 1, 2, 4), np.uint8)
DENSE = np.arange(6, dtype=np.uint8).reshape(2, 3)
BIAS = np.array([0.5, -1, 2], np.float32)
MODEL = (
    '{modelTopology:{model_config:{config:{trainable:!1,axis:[1,1],rate:.5}}},weightsManifest:[{paths:["a-1","a-2"],'
    'weights:[{name:"conv2d_1/kernel",shape:[3,1,2,4],dtype:"float32",'
    'quantization:{min:-.25,scale:.125,dtype:"uint8"}},'
    '{name:"dense_1/kernel",shape:[2,3],dtype:"float32",quantization:{min:5e-1,scale:2,dtype:"uint8"}},'
    '{name:"dense_1/bias",shape:[3],dtype:"float32"}]}]}'
)


def script(name: str, value: str) -> str:
    """A CommonJS module as browserify wraps it."""
    start = (
        f'!function(d){{("undefined"!=typeof window?window:global).{name}=d()}}(function(){{return function'
    )
    return f"{start} f(){{}}({{1:[function(d,h,Z){{h.exports={value}}},{{}}]}},{{}},[1])(1)}});\n"


def write(folder: Path, model: str = MODEL, cut: int = 0) -> Path:
    data = KERNEL.tobytes() + DENSE.tobytes() + BIAS.tobytes()
    data = data[: len(data) - cut]
    for name, part in (("a-1", data[:11]), ("a-2", data[11:])):
        text = base64.b64encode(part).decode()
        (folder / f"{name}.min.js").write_text(script(name.replace("-", "_"), f'"{text}"'))
    (folder / "model.min.js").write_text(script("model", model))
    return folder / "model.min.js"


@pytest.mark.parametrize("read", [read_nsfwjs, read_any])
def test_values_are_those_of_the_scale(tmp_path: Path, read: type) -> None:
    found = read(write(tmp_path))
    assert list(found) == ["conv2d_1.weight", "dense_1.weight", "dense_1.bias"]
    wanted = (KERNEL * 0.125 - 0.25).transpose(3, 2, 0, 1)
    assert np.array_equal(found["conv2d_1.weight"].numpy(), wanted)
    assert np.array_equal(found["dense_1.weight"].numpy(), DENSE * 2 + 0.5)
    assert np.array_equal(found["dense_1.bias"].numpy(), BIAS)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("weightsManifest", "somethingElse", "has no list of weights"),
        ('dtype:"uint8"', 'dtype:"int3"', "is damaged"),
        ("shape:", "size:", "is damaged"),
        ("min:-.25", "min:f()", "is damaged"),
        ('"a-2"', '"a-3"', r"a-3\.min\.js does not exist"),
        ('"a-2"', '"../a-2"', "does not stand beside it"),
        ("shape:[3],", "shape:[4],", r"are cut: dense_1/bias"),
        ("shape:[3],", "shape:[2],", r"have 42 bytes, the model speaks of 38"),
    ],
)
def test_damage_is_told(tmp_path: Path, old: str, new: str, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        read_nsfwjs(write(tmp_path, MODEL.replace(old, new)))


def test_shards_that_are_cut_or_no_text_are_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="are cut"):
        read_nsfwjs(write(tmp_path, cut=1))
    model = write(tmp_path)
    (tmp_path / "a-1.min.js").write_text(script("a_1", "[1,2]"))
    with pytest.raises(WeightsError, match=r"a-1\.min\.js is no shard"):
        read_nsfwjs(model)
    (tmp_path / "a-1.min.js").write_text(script("a_1", '"abc"'))
    with pytest.raises(WeightsError, match="is damaged"):
        read_nsfwjs(model)
    with pytest.raises(WeightsError, match="does not exist"):
        read_nsfwjs(tmp_path / "other.min.js")
