from __future__ import annotations

import math
import pickle
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.superres.base import Upscaler
from microexp.superres.bicubic import Bicubic
from microexp.superres.cascade import Cascade, stages_to


@dataclass(eq=False, repr=False)
class Neighbours(Upscaler):
    """A video method: each pixel twice, in the mean of a frame and those beside it."""

    scale: int = 2
    window: int = 2
    margin: int = 1

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        around = np.pad(frames.astype(float), ((1, 1), (0, 0), (0, 0), (0, 0)), mode="edge")
        means = np.rint((around[:-2] + around[1:-1] + around[2:]) / 3).astype(np.uint8)
        return means.repeat(2, axis=1).repeat(2, axis=2)


def frames(count: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 5, 3), dtype=np.uint8)


def test_it_is_one_method_after_the_other() -> None:
    cascade = Cascade((Bicubic(2), Bicubic(3, kernel="opencv")))
    assert cascade.scale == 6
    large = cascade.upscale(frames())
    assert large.shape == (5, 36, 30, 3)
    assert np.array_equal(large, Bicubic(3, kernel="opencv").upscale(Bicubic(2).upscale(frames())))
    assert np.array_equal(cascade.upscale(frames()[1]), large[1])


def test_frames_are_whole_levels_between_the_stages() -> None:
    seen: list[np.ndarray] = []

    class Witness(Bicubic):
        def _upscale(self, pictures: np.ndarray) -> np.ndarray:
            seen.append(pictures)
            return super()._upscale(pictures)

    edge = np.zeros((8, 8, 3), np.uint8)
    edge[:, 4:] = 255
    Cascade((Bicubic(2), Witness(2))).upscale(edge)
    assert [one.dtype for one in seen] == [np.uint8]
    assert np.array_equal(seen[0][0], Bicubic(2).upscale(edge))


@pytest.mark.parametrize(
    "order", [(Neighbours(), Bicubic(2)), (Bicubic(2), Neighbours()), (Neighbours(),) * 2]
)
def test_video_methods_see_beyond_their_window(order: tuple[Upscaler, ...]) -> None:
    wanted = order[1].upscale(order[0].upscale(frames()))
    assert np.array_equal(Cascade(order).upscale(frames()), wanted)
    (large,) = Cascade(order).transform([Clip.from_array(frames())])
    assert large.frames.shape == wanted.shape
    assert np.array_equal(large.frames[:], wanted)


def test_few_frames_are_held() -> None:
    read = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal read
        while True:
            read += 1
            yield frames(1)[0]

    stream = Cascade((Neighbours(), Neighbours())).stream(endless())
    for _ in range(10):
        next(stream)
    assert read < 20


def test_clips_keep_their_annotation() -> None:
    clip = Clip.from_array(frames(), onset=1, apex=2, offset=4, subject="s1", metadata={"a": 1})
    (large,) = Cascade((Bicubic(2), Bicubic(2))).fit_transform([clip])
    assert (large.onset, large.apex, large.offset, large.subject) == (1, 2, 4, "s1")
    assert dict(large.metadata) == {"a": 1}
    assert large.frames.fingerprint() is not None


def test_clone_pickle_and_parameters() -> None:
    cascade = Cascade((Bicubic(2), Bicubic(2)))
    wanted = cascade.upscale(frames())
    copy = clone(cascade)
    assert copy.upscalers[0] is not cascade.upscalers[0]
    assert np.array_equal(copy.upscale(frames()), wanted)
    assert np.array_equal(pickle.loads(pickle.dumps(cascade)).upscale(frames()), wanted)
    assert copy.set_params(upscalers=(Bicubic(3),)).scale == 3


def test_its_identity_is_that_of_its_methods() -> None:
    two, three = Bicubic(2), Bicubic(3)
    identities = {str(Cascade(u).identity()) for u in ((two, three), (three, two), (two,), (two, two))}
    assert len(identities) == 4
    assert Cascade((two, three)).identity() == Cascade((Bicubic(2), Bicubic(3))).identity() is not None


def test_cascades_may_be_nested() -> None:
    nested = Cascade((Cascade((Bicubic(2), Neighbours())), Bicubic(2)))
    flat = Cascade((Bicubic(2), Neighbours(), Bicubic(2)))
    assert nested.scale == 8
    assert np.array_equal(nested.upscale(frames()), flat.upscale(frames()))


@pytest.mark.parametrize("upscalers", [(), None, Bicubic(), (Bicubic(), "edsr"), (Bicubic,)])
def test_what_is_no_method_is_refused(upscalers: object) -> None:
    with pytest.raises(OptionError, match="Cascade: upscalers"):
        Cascade(upscalers).upscale(frames())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="Cascade: upscalers"):
        Cascade(upscalers).transform([])  # type: ignore[arg-type]


def test_wrong_parameters_of_its_methods_and_wrong_frames_are_refused() -> None:
    with pytest.raises(OptionError, match="Bicubic: scale"):
        Cascade((Bicubic(2), Bicubic(1))).upscale(frames())
    with pytest.raises(DataError, match="uint8 RGB"):
        Cascade((Bicubic(2),)).upscale(frames() / 255)


@pytest.mark.parametrize(
    ("scales", "factor", "stages"),
    [
        ((2, 3, 4), 2, (2,)),
        ((2, 3, 4), 4, (4,)),
        ((2, 3, 4), 8, (4, 2)),
        ((2, 3, 4), 16, (4, 4)),
        ((4, 2, 3), 12, (4, 3)),
        ((2, 3, 4, 8, 16), 16, (16,)),
        ((2,), 8, (2, 2, 2)),
        ((4,), 16, (4, 4)),
        ((2, 6, 9), 18, (9, 2)),
        ((4, 6), 36, (6, 6)),
        ((4, 6, 12), 36, (6, 6)),  # 12 divides it, but nothing makes the 3 that is left
    ],
)
def test_stages(scales: tuple[int, ...], factor: int, stages: tuple[int, ...]) -> None:
    assert stages_to(scales, factor) == stages


@given(
    scales=st.sets(st.integers(2, 9), min_size=1), steps=st.lists(st.integers(0, 8), min_size=1, max_size=4)
)
def test_whatever_is_a_product_is_reached(scales: set[int], steps: list[int]) -> None:
    ordered = sorted(scales)
    factor = math.prod(ordered[i % len(ordered)] for i in steps)
    stages = stages_to(scales, factor)
    assert math.prod(stages) == factor
    assert set(stages) <= scales
    assert list(stages) == sorted(stages, reverse=True)


@pytest.mark.parametrize(
    ("scales", "factor"),
    [((4,), 8), ((4,), 2), ((2, 3, 4), 10), ((), 4), ((2, 4), 1), ((2, 4), 0), ((2,), 2.5)],
)
def test_what_is_not_reached_is_an_error(scales: tuple[int, ...], factor: int) -> None:
    with pytest.raises(OptionError, match=f"by {factor} is not reached in steps of"):
        stages_to(scales, factor)
