import numpy as np
import pytest

from microexp.clip import Clip


def texture(size=96, blur=2.5, seed=0):
    """A periodic random texture of zero mean and unit variance, (size, size) float64."""
    x = np.fft.fftfreq(size)
    low_pass = np.exp(-2 * (np.pi * blur) ** 2 * (x[:, None] ** 2 + x**2))
    noise = np.random.default_rng(seed).random((size, size))
    image = np.fft.ifft2(np.fft.fft2(noise) * low_pass).real
    return (image - image.mean()) / image.std()


def shifted(image, dx, dy):
    """The periodic image moved by exactly (dx, dy) pixels, by the Fourier shift theorem."""
    f = np.fft.fftfreq(len(image))
    phase = np.exp(-2j * np.pi * (f * dx + f[:, None] * dy))
    return np.fft.ifft2(np.fft.fft2(image) * phase).real


def rgb8(image):
    grey = np.clip(np.rint(128 + 40 * image), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


@pytest.fixture
def moving():
    """A function: shifts [(dx, dy), ...] -> pictures (n, 96, 96, 3) of one moving texture."""

    def make(shifts, size=96, seed=0):
        image = texture(size, seed=seed)
        return np.stack([rgb8(shifted(image, dx, dy)) for dx, dy in shifts])

    return make


@pytest.fixture
def clip_of(moving):
    def make(size=96, seed=0, **annotation):
        frames = moving([(0, 0), (0.4, -0.2), (0.8, -0.4), (0.4, -0.2), (0, 0)], size, seed)
        known = {"apex": 2, "offset": 4, "subject": "s", "name": f"c{seed}"} | annotation
        return Clip.from_array(frames, **known)

    return make
