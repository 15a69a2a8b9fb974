"""Pictures that are moved by a known fraction of a pixel, and how far a picture was moved."""

from __future__ import annotations

import numpy as np


def texture(side: int, shortest: float, longest: float, spread: float = np.pi, seed: int = 0) -> np.ndarray:
    """Random waves, ``(side, side)``, of mean 128 and deviation 40, periodic.

    Wavelengths in pixels; directions differ by at most `spread` from horizontal motion's.
    """
    y, x = np.meshgrid(*[np.fft.fftfreq(side)] * 2, indexing="ij")
    radius = np.hypot(x, y)
    kept = (
        (radius >= 1 / longest)
        & (radius <= 1 / shortest)
        & (np.abs(y) <= np.tan(min(spread, 1.57)) * np.abs(x))
    )
    waves = np.fft.fft2(np.random.default_rng(seed).standard_normal((side, side))) * kept
    picture = np.fft.ifft2(waves).real
    return 128 + 40 * picture / picture.std()


def moved(picture: np.ndarray, pixels: float) -> np.ndarray:
    """The picture, periodic, moved to the right: exactly, by the Fourier shift theorem."""
    phases = np.exp(-2j * np.pi * np.fft.fftfreq(picture.shape[1]) * pixels)
    return np.fft.ifft(np.fft.fft(picture, axis=1) * phases, axis=1).real


def frame(picture: np.ndarray) -> np.ndarray:
    """As a grey frame ``(H, W, 3) uint8``."""
    return np.repeat(np.clip(np.rint(picture), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def motion(picture: np.ndarray, magnified: np.ndarray, border: int = 24) -> float:
    """By how many pixels a frame shows the picture moved, by least squares (Gauss-Newton), borders left out.

    It compares with exactly moved pictures, of any contrast, so it needs no calibration.
    """
    pixels, inner = 0.0, (slice(border, -border),) * 2
    shown = magnified.mean(axis=2)[inner].ravel()
    for _ in range(5):
        before, here, after = (moved(picture, pixels + d)[inner].ravel() for d in (-0.01, 0, 0.01))
        terms = np.stack([here, (after - before) / 0.02, np.ones_like(here)], axis=1)
        contrast, step, _ = np.linalg.lstsq(terms, shown, rcond=None)[0]
        wave = terms[:, 1].std() / here.std()  # radians a pixel, so that one wave is found at once
        pixels += float(np.arctan2(step * wave, contrast) / wave)
    return pixels
