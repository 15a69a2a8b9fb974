from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microexp import magnify
from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.magnify.phase import Phase
from tests.magnify.moving import frame, motion, moved, texture

PYRAMIDS = ["steerable", "riesz"]
# A Riesz pyramid has one orientation at each place; a steerable one has all.
SPREAD = {"steerable": np.pi, "riesz": 0.25}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("band", [None, (1.0, 3.0)])
def test_a_factor_of_one_changes_nothing(pyramid: str, band: tuple[float, float] | None) -> None:
    weak = noise(4, 33, 40)
    assert np.array_equal(Phase(factor=1, pyramid=pyramid, band=band).magnify(weak, fps=30.0), weak)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("band", [None, (1.0, 3.0)])
def test_what_does_not_move_stays(pyramid: str, band: tuple[float, float] | None) -> None:
    weak = np.repeat(noise(1, 33, 40), 3, axis=0)
    assert np.array_equal(Phase(factor=20, pyramid=pyramid, band=band).magnify(weak, fps=30.0), weak)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
@pytest.mark.parametrize("factor", [2, 5, 10, 20])
def test_a_tenth_of_a_pixel_becomes_factor_tenths(pyramid: str, factor: int) -> None:
    picture = texture(128, 8, 16, SPREAD[pyramid])
    swing = 0.1 * np.sin(2 * np.pi * np.array([1, 2, 5]) / 8)
    weak = np.stack([frame(moved(picture, d)) for d in swing])
    strong = Phase(factor=factor, pyramid=pyramid).magnify(weak, onset=frame(picture))
    gain = np.dot([motion(picture, one) for one in strong], swing) / np.dot(swing, swing)
    assert gain == pytest.approx(factor, rel=0.15)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_motion_up_and_down_is_magnified_as_well(pyramid: str) -> None:
    picture = texture(128, 8, 16, SPREAD[pyramid])
    onset, weak = frame(picture), frame(moved(picture, 0.1))
    upright = Phase(factor=5, pyramid=pyramid).magnify(weak.swapaxes(0, 1), onset.swapaxes(0, 1))
    assert motion(picture, upright.swapaxes(0, 1)) == pytest.approx(0.5, rel=0.15)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_in_a_band_motion_is_magnified_at_its_centre_and_not_far_from_it(pyramid: str) -> None:
    picture, fps = texture(64, 8, 16, SPREAD[pyramid]), 30.0
    time = np.arange(70) / fps
    gains = []
    for frequency in (1.5, 0.03):
        swing = 0.1 * np.sin(2 * np.pi * frequency * time)
        weak = (frame(moved(picture, d)) for d in swing)
        magnifier = Phase(factor=5, pyramid=pyramid, orientations=4, band=(0.75, 3.0))
        strong = list(magnifier.stream(weak, fps=fps))[50:]
        shown = [motion(picture, one, 16) for one in strong]
        gains.append(np.dot(shown, swing[50:]) / np.dot(swing[50:], swing[50:]))
    assert gains[0] == pytest.approx(5, rel=0.15)
    assert gains[1] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_in_a_band_large_slow_motion_is_unwrapped(pyramid: str) -> None:
    """A drift of two wavelengths, far below the band, must not spoil a small swing."""
    x = np.arange(96)
    fps, count = 30.0, 160
    time = np.arange(count) / fps
    swing = 0.1 * np.sin(2 * np.pi * 3 * time)

    def wave(pixels: float) -> np.ndarray:
        return np.tile(128 + 60 * np.cos(2 * np.pi * (x - pixels) / 8), (32, 1))

    drift = 16 * time / time[-1]
    magnifier = Phase(factor=5, pyramid=pyramid, orientations=2, levels=3, band=(2.0, 4.5))
    strong = magnifier.stream((frame(wave(d + s)) for d, s in zip(drift, swing, strict=True)), fps=fps)
    carrier = np.exp(-2j * np.pi * x[24:72] / 8)
    angles = np.unwrap([np.angle((one[16, 24:72, 0] * carrier).sum()) for one in strong])
    shown = (angles[0] - angles) * 8 / (2 * np.pi) - drift
    late = slice(100, None)
    centred = shown[late] - shown[late].mean()
    gain = np.dot(centred, swing[late]) / np.dot(swing[late], swing[late])
    assert gain == pytest.approx(5, rel=0.15)


@pytest.mark.parametrize("factor", [2, 10, 50])
def test_of_a_grey_wall_noise_is_moved_and_not_amplified(factor: int) -> None:
    """Phases leave amplitudes as they are, and a tight frame gives no more energy than it is given."""
    still = 128 + 4 * np.random.default_rng(0).standard_normal((2, 96, 96, 1))
    onset, weak = np.rint(still).astype(np.uint8).repeat(3, axis=-1)
    strong = Phase(factor=factor).magnify(weak, onset)
    assert strong.std() < 1.1 * weak.std()


def test_colour_differences_stay() -> None:
    onset, weak = (100 + noise(2, 40, 40) / 8).astype(np.uint8)
    strong = Phase(factor=6).magnify(weak, onset).astype(int)
    assert np.abs(strong - weak).max() > 4
    assert np.array_equal(np.diff(strong, axis=2), np.diff(weak.astype(int), axis=2))


def test_averaging_phases_keeps_noise_from_moving_a_picture() -> None:
    picture = texture(96, 8, 16)
    generator = np.random.default_rng(0)
    onset, weak = (frame(picture + 4 * generator.standard_normal(picture.shape)) for _ in range(2))
    errors = [
        np.abs(Phase(factor=8, blur=b).magnify(weak, onset) - picture[..., None]).mean() for b in (0, 2)
    ]
    assert errors[1] < 0.8 * errors[0]


def test_a_clip_in_a_band_is_magnified_at_its_own_frame_rate() -> None:
    weak = noise(4, 32, 32)
    magnifier = Phase(band=(1.0, 4.0), pyramid="riesz")
    assert not magnifier.by_frame
    assert Phase().by_frame
    (strong,) = magnifier.transform([Clip.from_array(weak, 50.0, onset=2)])
    assert np.array_equal(strong.frames[:], magnifier.magnify(weak, fps=50.0))


def test_the_preset_is_the_riesz_pyramid() -> None:
    assert magnify.create("phase", "riesz").pyramid == "riesz"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"factor": 0.5}, "factor"),
        ({"pyramid": "reisz"}, "Did you mean 'riesz'"),
        ({"orientations": 1}, "orientations"),
        ({"levels": 0}, "levels"),
        ({"blur": -1}, "blur"),
        ({"band": 3.0}, "band"),
        ({"band": (1.0, 3.0)}, "needs fps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        magnify.create("phase", **params).magnify(noise(2, 32, 32))
