"""What every magnification method must do. A new one is tested by existing; run one with ``-k name``."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from microexp import magnify
from microexp.clip import Clip
from microexp.errors import DataError, MicroexpError, OptionError
from microexp.magnify._network import NetworkMagnifier
from microexp.magnify.base import Magnifier

NAMES = magnify.names()
NETWORKS = [name for name in NAMES if issubclass(magnify.get(name), NetworkMagnifier)]
# Settings in which a network is small; what they do not name has its default.
SMALL: dict[str, dict[str, Any]] = {
    "memm": {"width": 4},
    "single_image": {"width": 0.125, "blocks": 1, "flow_channels": 8, "size": 32},
}


def create(name: str, **params: Any) -> Magnifier:
    weights = {"weights": "random"} if name in NETWORKS else {}
    return magnify.create(name, **{**SMALL.get(name, {}), **weights, **params})


def frames(count: int = 3, height: int = 48, width: int = 40, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (count, height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@pytest.mark.parametrize("name", NAMES)
def test_frames_keep_their_form_and_come_out_the_same_every_time(name: str) -> None:
    weak = frames()
    strong = create(name).magnify(weak, fps=100.0)
    assert strong.dtype == np.uint8
    assert strong.shape == weak.shape
    assert np.array_equal(create(name).magnify(weak, fps=100.0), strong)


@pytest.mark.parametrize("name", NAMES)
def test_one_picture_and_its_onset(name: str) -> None:
    weak = frames()
    assert create(name).magnify(weak[1], weak[0], 100.0).shape == weak.shape[1:]


@pytest.mark.parametrize("name", NAMES)
def test_an_onset_is_asked_for_where_it_is_needed(name: str) -> None:
    magnifier = create(name)
    if not magnifier.needs_onset:
        assert np.array_equal(magnifier.magnify(frames()[1]), magnifier.magnify(frames())[1])
        return
    with pytest.raises(DataError, match="onset"):
        magnifier.magnify(frames()[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (41, 53)])
def test_any_size_of_a_picture(name: str, height: int, width: int) -> None:
    weak = np.zeros((2, height, width, 3), np.uint8)
    assert create(name).magnify(weak, fps=100.0).shape == weak.shape


@pytest.mark.parametrize("name", NAMES)
def test_clips_keep_their_annotation_and_frames_are_those_of_the_stream(name: str) -> None:
    clip = Clip.from_array(
        frames(4), 100.0, onset=1, apex=2, offset=3, subject="s1", name="c1", emotion="happiness"
    )
    (strong,) = create(name).fit_transform([clip])
    assert (strong.onset, strong.apex, strong.offset) == (1, 2, 3)
    assert strong.identity == clip.identity
    streamed = np.stack(list(create(name).stream(clip.frames, clip.frames[1], 100.0)))
    assert np.array_equal(strong.frames[:], streamed)


@pytest.mark.parametrize("name", NAMES)
def test_clone_and_pickle(name: str) -> None:
    magnifier, weak = create(name), frames(2)
    wanted = magnifier.magnify(weak, fps=100.0)
    assert np.array_equal(clone(magnifier).magnify(weak, fps=100.0), wanted)
    assert np.array_equal(pickle.loads(pickle.dumps(magnifier)).magnify(weak, fps=100.0), wanted)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4), np.uint8), np.zeros((1, 4, 4, 3), np.float32), np.zeros((0, 4, 4, 3), np.uint8)],
)
def test_what_is_no_picture_is_refused(name: str, bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="uint8 RGB"):
        create(name).magnify(bad)


@pytest.mark.parametrize("name", NAMES)
def test_frames_of_two_sizes_are_refused(name: str) -> None:
    pictures = [np.zeros((32, 32, 3), np.uint8), np.zeros((32, 40, 3), np.uint8)]
    with pytest.raises(DataError, match="one size"):
        list(create(name).stream(pictures, fps=100.0))


@pytest.mark.parametrize("name", [n for n in NAMES if "factor" in magnify.get(n)().get_params()])
def test_a_factor_below_one_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="factor"):
        create(name, factor=0.5).magnify(frames(), fps=100.0)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="no parameter"):
        magnify.create(name, strength=4)


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_of_microexp(name: str) -> None:
    with pytest.raises(MicroexpError):
        create(name).magnify(np.zeros(3, np.uint8))
