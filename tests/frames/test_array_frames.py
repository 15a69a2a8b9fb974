from __future__ import annotations

import numpy as np
import pytest

from microexp.errors import DataError, OptionError
from microexp.frames import ArrayFrames, as_rgb8


def pictures(n: int) -> np.ndarray:
    """Pictures whose brightness tells their number."""
    return np.stack([np.full((16, 24, 3), 20 * i, np.uint8) for i in range(n)])


class Half:
    """A function with a fingerprint."""

    def __init__(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        return picture[::2, ::2]


def test_arrays_must_follow_the_array_law() -> None:
    with pytest.raises(DataError, match=r"\(T, H, W, 3\) uint8"):
        ArrayFrames(np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(DataError, match="float64"):
        ArrayFrames(np.zeros((3, 4, 4, 3)))


def test_mapped_frames_are_lazy() -> None:
    calls = []

    def half(picture: np.ndarray) -> np.ndarray:
        calls.append(1)
        return picture[::2, ::2]

    mapped = ArrayFrames(pictures(6)).map(half)
    assert len(mapped) == 6
    assert not calls
    assert mapped[2].shape == (8, 12, 3)
    assert mapped.shape == (6, 8, 12, 3)
    assert len(calls) == 2


def test_the_fingerprint_of_an_array_is_that_of_its_bytes() -> None:
    frames, same, other = (ArrayFrames(pictures(6)) for _ in range(3))
    other._array[3, 0, 0, 0] += 1
    assert frames.fingerprint() == same.fingerprint() != other.fingerprint()
    assert frames.fingerprint([0, 5]) == other.fingerprint([0, 5]) == frames.fingerprint([0, -1])
    assert frames.fingerprint([3]) != other.fingerprint([3])
    assert ArrayFrames(frames._array.reshape(6, 24, 16, 3)).fingerprint() != frames.fingerprint()
    with pytest.raises(IndexError):
        frames.fingerprint([6])


def test_mapped_frames_have_a_fingerprint_if_the_function_says_its_own() -> None:
    frames = ArrayFrames(pictures(6))
    assert frames.map(lambda picture: picture).fingerprint() is None
    one, same, other = (frames.map(Half(name)).fingerprint() for name in ("half 1", "half 1", "half 2"))
    assert one == same != other
    assert one != frames.fingerprint()
    assert frames.map(lambda picture: picture).map(Half("half")).fingerprint() is None


def test_as_rgb8_rounds_and_clips() -> None:
    assert as_rgb8(np.array([-0.1, 0.0, 0.5, 1.2], np.float32)).tolist() == [0, 0, 128, 255]
    with pytest.raises(OptionError):
        as_rgb8(np.zeros(3, np.int64))
