"""What the classical methods make of a motion of a tenth of a pixel, and of noise.

    python benchmarks/eulerian_gain.py [--side 192] [--seed 0]

prints the tables and writes benchmarks/results/eulerian_gain.json. Textures of random waves move by 0.1
pixel in a sine over time, exactly, by the Fourier shift theorem, as frames of 8 bits. Gain is the slope of
the motion that the magnified frames show (least squares against exactly moved pictures) over the true one,
divided by the factor: 1 is right. Noise of standard deviation 2 lies on a still clip; its gain is the
deviation of the magnified frames from the clip without noise over that of the noisy ones. One thread.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from microexp import magnify  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402

RESULT = Path(__file__).parent / "results" / "eulerian_gain.json"
METHODS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "linear": ("eulerian", {}),
    "linear, finest level too": ("eulerian", {"untouched": 0}),
    "linear, wavelength 16": ("eulerian", {"untouched": 0, "wavelength": 16.0}),
    "steerable": ("phase", {}),
    "steerable, no blur": ("phase", {"blur": 0.0}),
    "Riesz": ("phase", {"pyramid": "riesz"}),
    "Riesz, no blur": ("phase", {"pyramid": "riesz", "blur": 0.0}),
}
FACTORS = (2, 5, 10, 20, 40)
WAVES = ((4, 8), (8, 16), (16, 32), (32, 64))  # pixels
SPREADS = {"all directions": 90.0, "within 15 degrees of the motion": 15.0}
AMPLITUDE, NOISE, FPS, BAND = 0.1, 2.0, 30.0, (0.75, 3.0)  # pixels, grey levels, Hz


def texture(side: int, waves: tuple[int, int], degrees: float, seed: int) -> np.ndarray:
    """Random waves, ``(side, side)``, of mean 128 and deviation 40, periodic."""
    y, x = np.meshgrid(*[np.fft.fftfreq(side)] * 2, indexing="ij")
    radius, angle = np.hypot(x, y), np.degrees(np.arctan2(np.abs(y), np.abs(x)))
    kept = (radius >= 1 / waves[1]) & (radius <= 1 / waves[0]) & (angle <= degrees)
    white = np.random.default_rng(seed).standard_normal((side, side))
    picture = np.fft.ifft2(np.fft.fft2(white) * kept).real
    return 128 + 40 * picture / picture.std()


def moved(picture: np.ndarray, pixels: float) -> np.ndarray:
    turned = np.exp(-2j * np.pi * np.fft.fftfreq(picture.shape[1]) * pixels)
    return np.fft.ifft(np.fft.fft(picture, axis=1) * turned, axis=1).real


def frame(picture: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(np.rint(picture), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def shown(picture: np.ndarray, magnified: np.ndarray) -> float:
    """By how many pixels a frame shows the picture moved, of any contrast, its outer quarters left out."""
    pixels, border = 0.0, picture.shape[0] // 4
    inner = (slice(border, -border),) * 2
    seen = magnified[..., 0][inner].ravel().astype(float)
    for _ in range(6):
        before, here, after = (moved(picture, pixels + d)[inner].ravel() for d in (-0.01, 0, 0.01))
        terms = np.stack([here, (after - before) / 0.02, np.ones_like(here)], axis=1)
        contrast, step, _ = np.linalg.lstsq(terms, seen, rcond=None)[0]
        wave = terms[:, 1].std() / here.std()  # radians a pixel, so that one wave is found at once
        pixels += float(np.arctan2(step * wave, contrast) / wave)
    return pixels


def since_onset(picture: np.ndarray, method: str, factor: int) -> float:
    """Gain over factor of a motion since the onset, at four moments of its sine."""
    name, params = METHODS[method]
    swing = AMPLITUDE * np.sin(2 * np.pi * np.array([1, 2, 5, 6]) / 8)
    magnifier = magnify.create(name, factor=factor, **params)
    strong = magnifier.stream((frame(moved(picture, d)) for d in swing), frame(picture))
    found = [shown(picture, one) for one in strong]
    return float(np.dot(found, swing) / np.dot(swing, swing) / factor)


def in_band(picture: np.ndarray, method: str, factor: int) -> float:
    """Gain over factor of a motion of 1.5 Hz, the band's centre, from the second second to the fourth."""
    name, params = METHODS[method]
    swing = AMPLITUDE * np.sin(2 * np.pi * np.sqrt(np.prod(BAND)) * np.arange(round(4 * FPS)) / FPS)
    magnifier = magnify.create(name, factor=factor, band=BAND, **params)
    strong = magnifier.stream((frame(moved(picture, d)) for d in swing), fps=FPS)
    late = slice(round(2 * FPS), None, 3)
    found = [shown(picture, one) for one in list(strong)[late]]
    return float(np.dot(found, swing[late]) / np.dot(swing[late], swing[late]) / factor)


def noise_gain(picture: np.ndarray, method: str, factor: int, seed: int) -> float:
    """Deviation from a still picture of its magnified frames with noise, over that of the frames."""
    name, params = METHODS[method]
    generator = np.random.default_rng(seed)
    noisy = [frame(picture + NOISE * generator.standard_normal(picture.shape)) for _ in range(5)]
    strong = magnify.create(name, factor=factor, **params).magnify(np.stack(noisy[1:]), noisy[0])
    deviations = [np.std(frames - picture[..., None]) for frames in (strong, np.stack(noisy[1:]))]
    return float(deviations[0] / deviations[1])


def measure(side: int, seed: int) -> dict[str, Any]:
    textures = {
        f"{low} to {high} px, {spread}": texture(side, (low, high), degrees, seed)
        for spread, degrees in SPREADS.items()
        for low, high in WAVES
    }
    grounds = {
        "a grey wall": np.full((side, side), 128.0),
        "a texture of 8 to 64 px, all directions": texture(side, (8, 64), 90.0, seed),
    }
    slow = {name: textures[name] for name in textures if name.startswith("16 ")}
    return {
        "gain over factor, since the onset": {
            name: {method: row(lambda f, p=p, m=method: since_onset(p, m, f)) for method in METHODS}
            for name, p in textures.items()
        },
        "gain over factor, in a band, factor 5": {
            name: {method: round(in_band(p, method, 5), 3) for method in METHODS} for name, p in slow.items()
        },
        "gain of noise": {
            name: {method: row(lambda f, p=p, m=method: noise_gain(p, m, f, seed)) for method in METHODS}
            for name, p in grounds.items()
        },
    }


def row(figure: Any) -> dict[str, float]:
    """A figure at every factor."""
    return {str(factor): round(figure(factor), 3) for factor in FACTORS}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=192, help="of the pictures, pixels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    settings = {
        "side, px": options.side,
        "seed": options.seed,
        "motion, px": AMPLITUDE,
        "noise, grey levels": NOISE,
        "band, Hz": BAND,
        "frames a second": FPS,
        "methods": {name: {"method": m, **params} for name, (m, params) in METHODS.items()},
    }
    result: dict[str, Any] = {"settings": settings, **measure(options.side, options.seed)}
    for table in list(result)[1:]:
        print(table)
        for ground, rows in result[table].items():
            print(f"  {ground}")
            for method, figures in rows.items():
                print(f"    {method:26s} {figures}")
    known = versions()
    result["versions"] = {
        "microexp": known["microexp"],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
