from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from microexp.errors import OptionError
from microexp.magnify._temporal import BandPass, check_band


@pytest.mark.parametrize(("band", "fps"), [((0.4, 3.0), 30.0), ((1.0, 20.0), 200.0), ((5.0, 14.9), 30.0)])
def test_it_is_the_filter_of_scipy(band: tuple[float, float], fps: float) -> None:
    signal = np.random.default_rng(0).standard_normal((300, 2, 3))
    passes = BandPass("Test", band, fps)
    expected = sosfilt(butter(1, band, "bandpass", output="sos", fs=fps), signal, axis=0)
    assert np.allclose([passes(array) for array in signal], expected, rtol=0, atol=1e-10)


def test_single_precision_is_enough_for_slow_motion_in_fast_videos() -> None:
    signal = 100 + np.random.default_rng(0).standard_normal((4000, 5))
    single, double = BandPass("Test", (0.4, 3.0), 200.0), BandPass("Test", (0.4, 3.0), 200.0)
    for array in signal:
        error = single(array.astype(np.float32)) - double(array)
        assert np.abs(error).max() < 1e-2


def test_at_the_centre_of_the_band_nothing_changes_and_nothing_is_late() -> None:
    low, high, fps = 0.5, 2.0, 500.0
    passes = BandPass("Test", (low, high), fps)
    signal = np.sin(2 * np.pi * np.sqrt(low * high) / fps * np.arange(20 * 500))
    passed = np.array([passes(np.array(value)) for value in signal])
    assert np.abs(passed - signal)[-1000:].max() < 1e-3


@pytest.mark.parametrize("edge", [0.5, 2.0])
def test_at_its_ends_half_the_power_is_left(edge: float) -> None:
    passes = BandPass("Test", (0.5, 2.0), 100.0)
    passed = np.array([passes(np.array(v)) for v in np.sin(2 * np.pi * edge / 100 * np.arange(4000))])
    assert np.mean(passed[-1000:] ** 2) == pytest.approx(0.25, rel=1e-3)


def test_what_does_not_change_is_forgotten() -> None:
    passes = BandPass("Test", (0.5, 2.0), 30.0)
    passed = [float(passes(np.array(7.0))) for _ in range(1000)]
    assert abs(passed[-1]) < 1e-9


def test_type_and_shape_stay() -> None:
    passes = BandPass("Test", (0.5, 2.0), 30.0)
    for _ in range(3):
        passed = passes(np.ones((4, 5, 3), np.float32))
    assert passed.dtype == np.float32
    assert passed.shape == (4, 5, 3)


@pytest.mark.parametrize(
    "band",
    [1.0, (1.0,), (1.0, 2.0, 3.0), (2.0, 1.0), (1.0, 1.0), (0.0, 1.0), ("1", "2"), (1.0, np.inf), "12"],
)
def test_what_is_no_band_is_refused(band: object) -> None:
    with pytest.raises(OptionError, match="Test: band must be"):
        check_band("Test", band)


def test_a_band_needs_a_frame_rate_that_has_it() -> None:
    with pytest.raises(OptionError, match="needs fps"):
        BandPass("Test", (1.0, 2.0), None)
    for fps in (4.0, 0.0, -30.0, np.nan):
        with pytest.raises(OptionError, match="must end below"):
            BandPass("Test", (1.0, 2.0), fps)
    check_band("Test", (1.0, 2.0))
    check_band("Test", None)
