"""What every super-resolution method must do. A new one is tested by existing; run one with ``-k name``."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from microexp import superres
from microexp.clip import Clip
from microexp.errors import DataError, MicroexpError, OptionError
from microexp.superres._network import NetworkUpscaler, VideoUpscaler
from microexp.superres.base import Upscaler

NAMES = superres.names()
NETWORKS = [name for name in NAMES if issubclass(superres.get(name), NetworkUpscaler)]
VIDEO = [name for name in NETWORKS if issubclass(superres.get(name), VideoUpscaler)]
# Settings in which a network is small; what they do not name has its default.
SMALL: dict[str, dict[str, Any]] = {
    "edsr": {"channels": 8, "blocks": 1},
    "edvr": {"channels": 8, "deform_groups": 2, "extraction_blocks": 1, "reconstruction_blocks": 1},
    "srgan": {"channels": 8, "blocks": 1},
    "rdn": {"channels": 8, "blocks": 2, "layers": 2, "growth": 8},
    "esrgan": {"channels": 8, "blocks": 1, "growth": 4},
    "real_esrgan": {"channels": 8, "blocks": 1, "growth": 4},
    "glean": {"scale": 2, "in_size": 32, "channels": 8, "blocks": 1, "growth": 4, "bank_channels": 64},
    "basicvsr": {"channels": 8, "blocks": 1},
    "iconvsr": {"channels": 8, "blocks": 1},
    "basicvsr_pp": {"channels": 8, "blocks": 1},
    "real_basicvsr": {"channels": 8, "blocks": 1, "cleaning_blocks": 1},
}


def create(name: str, **params: Any) -> Upscaler:
    weights = {"weights": "random"} if name in NETWORKS else {}
    return superres.create(name, **{**SMALL.get(name, {}), **weights, **params})


def frames(count: int = 3, height: int = 24, width: int = 20, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, height // 4, width // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, axis=1).repeat(4, axis=2)


@pytest.mark.parametrize("name", NAMES)
def test_frames_come_out_larger_and_the_same_every_time(name: str) -> None:
    upscaler, small = create(name), frames()
    large = upscaler.upscale(small)
    assert large.dtype == np.uint8
    assert large.shape == (3, 24 * upscaler.scale, 20 * upscaler.scale, 3)
    assert np.array_equal(create(name).upscale(small), large)
    assert np.array_equal(upscaler.upscale(small[0]).shape, large.shape[1:])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 23)])
def test_any_size_of_a_picture(name: str, height: int, width: int) -> None:
    upscaler = create(name)
    picture = np.zeros((height, width, 3), np.uint8)
    assert upscaler.upscale(picture).shape == (height * upscaler.scale, width * upscaler.scale, 3)


@pytest.mark.parametrize("name", NAMES)
def test_clips_keep_their_annotation_and_frames_are_those_of_upscale(name: str) -> None:
    clip = Clip.from_array(frames(), onset=0, apex=1, offset=2, subject="s1", name="c1", emotion="happiness")
    (large,) = create(name).fit_transform([clip])
    assert (large.onset, large.apex, large.offset) == (0, 1, 2)
    assert large.identity == clip.identity
    assert np.array_equal(large.frames[:], create(name).upscale(frames()))


@pytest.mark.parametrize("name", [n for n in NAMES if n not in VIDEO])
def test_pictures_are_restored_one_by_one(name: str) -> None:
    upscaler = create(name)
    assert np.array_equal(upscaler.upscale(frames())[2], upscaler.upscale(frames()[2]))


@pytest.mark.parametrize("name", VIDEO)
def test_a_long_clip_is_restored_in_windows(name: str) -> None:
    clip = Clip.from_array(frames(7, 16, 16))
    upscaler = create(name, window=3, margin=2)
    streamed = np.stack(list(upscaler.stream(clip.frames)))
    assert streamed.shape[0] == 7
    assert np.array_equal(upscaler.transform([clip])[0].frames[:], streamed)


@pytest.mark.parametrize("name", NAMES)
def test_clone_and_pickle(name: str) -> None:
    upscaler, small = create(name), frames(1)
    wanted = upscaler.upscale(small)
    assert np.array_equal(clone(upscaler).upscale(small), wanted)
    assert np.array_equal(pickle.loads(pickle.dumps(upscaler)).upscale(small), wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4, 3), np.float32), np.zeros((0, 4, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(name: str, bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8 RGB"):
        create(name).upscale(bad)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_parameters_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="scale"):
        create(name, scale=0).upscale(frames(1))
    with pytest.raises(OptionError, match="no parameter"):
        superres.create(name, scales=4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_large_picture_in_tiles_is_nearly_the_whole(name: str) -> None:
    small = frames(1, 64, 48)
    whole = create(name, tile=None).upscale(small).astype(int)
    tiles = create(name, tile=32, overlap=16).upscale(small).astype(int)
    assert np.abs(whole - tiles).mean() < 2


@pytest.mark.parametrize("name", NETWORKS)
def test_recipes_name_stages_that_exist(name: str) -> None:
    presets = (None, *superres.card(name).presets)
    made = {preset: superres.create(name, preset).recipes() for preset in presets}
    stages = {stage for recipes in made.values() for stage in recipes}
    assert all(made.values())
    for recipe in (recipe for recipes in made.values() for recipe in recipes.values()):
        assert recipe.start in ("", *stages)


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_of_microexp(name: str) -> None:
    with pytest.raises(MicroexpError):
        create(name).upscale(np.zeros(3, np.uint8))
