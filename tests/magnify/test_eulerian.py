from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from microexp import magnify
from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.magnify.eulerian import Eulerian
from tests.magnify.moving import frame, motion, moved, texture


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@pytest.mark.parametrize("params", [{}, {"band": (1.0, 3.0)}, {"wavelength": 16.0}, {"chroma": 1.0}])
def test_a_factor_of_one_changes_nothing(params: dict[str, Any]) -> None:
    weak = noise(4, 33, 40)
    assert np.array_equal(Eulerian(factor=1, **params).magnify(weak, fps=30.0), weak)


@pytest.mark.parametrize("band", [None, (1.0, 3.0)])
def test_what_does_not_move_stays(band: tuple[float, float] | None) -> None:
    weak = np.repeat(noise(1, 33, 40), 5, axis=0)
    assert np.array_equal(Eulerian(factor=50, band=band).magnify(weak, fps=30.0), weak)


@pytest.mark.parametrize("factor", [2, 5, 10])
def test_a_tenth_of_a_pixel_becomes_factor_tenths(factor: int) -> None:
    picture = texture(128, 16, 32)
    swing = 0.1 * np.sin(2 * np.pi * np.arange(1, 8) / 8)
    weak = np.stack([frame(moved(picture, d)) for d in swing])
    strong = Eulerian(factor=factor).magnify(weak, onset=frame(picture))
    gain = np.dot([motion(picture, one) for one in strong], swing) / np.dot(swing, swing)
    assert gain == pytest.approx(factor, rel=0.15)


@pytest.mark.parametrize("factor", [5, 20])
def test_of_a_wave_the_motion_falls_behind_as_an_arc_tangent(factor: int) -> None:
    """The wave exp(-ip) of a motion becomes 1 + factor (exp(-ip) - 1), whose phase is known."""
    y, x = np.mgrid[:128, :128]
    picture = 128 + 50 * np.cos(2 * np.pi * (16 * x + 3 * y) / 128)
    strong = Eulerian(factor=factor, untouched=0).magnify(frame(moved(picture, 0.1)), frame(picture))
    phase = 2 * np.pi * 0.1 / 8
    expected = np.arctan2(factor * np.sin(phase), 1 - factor * (1 - np.cos(phase))) * 8 / (2 * np.pi)
    assert motion(picture, strong) == pytest.approx(expected, rel=0.05)
    assert (expected < 0.09 * factor) == (factor == 20)  # an eighth of the wavelength is 1 pixel


def test_in_a_band_motion_is_magnified_at_its_centre_and_not_far_from_it() -> None:
    picture, fps = texture(96, 16, 32), 30.0
    time = np.arange(110) / fps
    gains = []
    for frequency in (1.5, 0.03):
        swing = 0.1 * np.sin(2 * np.pi * frequency * time)
        weak = (frame(moved(picture, d)) for d in swing)
        stream = Eulerian(factor=5, band=(0.75, 3.0)).stream(weak, fps=fps)
        shown = [motion(picture, one) for one in list(stream)[90:]]
        gains.append(np.dot(shown, swing[90:]) / np.dot(swing[90:], swing[90:]))
    assert gains[0] == pytest.approx(5, rel=0.15)
    assert gains[1] == pytest.approx(1, abs=0.2)


def test_levels_that_are_not_touched_stay() -> None:
    onset, weak = noise(2, 48, 48)
    assert np.array_equal(Eulerian(factor=9, levels=3, untouched=3).magnify(weak, onset), weak)


def test_below_the_cut_off_wavelength_the_factor_falls_in_proportion() -> None:
    onset, weak = np.full((2, 64, 64, 3), 128, np.uint8)
    weak = onset + np.random.default_rng(0).integers(0, 8, (64, 64, 1), dtype=np.uint8)

    def change(**params: Any) -> np.ndarray:
        strong = Eulerian(untouched=0, levels=1, **params).magnify(weak, onset)
        return strong.astype(float) - weak

    # The only level's waves are of 2^1.5 pixels, so a limit four times as long leaves a quarter of 12.
    assert np.array_equal(change(factor=12, wavelength=4 * 2**1.5), change(factor=3))
    assert np.array_equal(change(factor=12, wavelength=2.0), change(factor=12))
    assert not change(factor=12, wavelength=100.0).any()


def test_with_all_of_the_chroma_each_colour_is_magnified_alone() -> None:
    onset, weak = (128 + noise(2, 40, 40) / 8).astype(np.uint8)
    strong = Eulerian(chroma=1.0).magnify(weak, onset)
    for channel in range(3):
        one = [np.repeat(p[..., channel : channel + 1], 3, axis=2) for p in (weak, onset)]
        alone = Eulerian().magnify(*one)[..., 0]
        assert np.abs(strong[..., channel].astype(int) - alone).max() <= 1


def test_without_chroma_colour_differences_stay() -> None:
    onset, weak = (128 + noise(2, 40, 40) / 16).astype(np.uint8)
    strong = Eulerian(chroma=0.0, factor=6).magnify(weak, onset).astype(int)
    assert np.abs(strong - weak).max() > 4
    differences = np.diff(strong, axis=2) - np.diff(weak.astype(int), axis=2)
    assert np.abs(differences).max() <= 1


def test_noise_grows_less_where_the_finest_level_is_left_alone() -> None:
    still = 128 + 2 * np.random.default_rng(0).standard_normal((2, 96, 96, 3))
    onset, weak = np.rint(still).astype(np.uint8)
    levels = [Eulerian(factor=5, untouched=n).magnify(weak, onset).astype(float).std() for n in (0, 1, 2)]
    assert levels[0] > levels[1] > levels[2] > weak.std()


def test_a_clip_in_a_band_is_magnified_at_its_own_frame_rate() -> None:
    weak = noise(6, 32, 32)
    magnifier = Eulerian(band=(1.0, 4.0))
    assert not magnifier.by_frame
    assert Eulerian().by_frame
    (strong,) = magnifier.transform([Clip.from_array(weak, 50.0, onset=2)])
    assert np.array_equal(strong.frames[:], magnifier.magnify(weak, fps=50.0))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"factor": 0.5}, "factor"),
        ({"levels": 0}, "levels"),
        ({"untouched": -1}, "untouched"),
        ({"chroma": -0.1}, "chroma"),
        ({"wavelength": 0}, "wavelength"),
        ({"band": (3.0, 1.0)}, "band"),
        ({"band": (1.0, 3.0)}, "needs fps"),
    ],
)
def test_settings_that_make_no_sense_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        magnify.create("eulerian", **params).magnify(noise(2, 32, 32))
