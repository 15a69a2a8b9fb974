from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.frames import Frames
from microexp.superres.bicubic import Bicubic
from microexp.superres.degradation import (
    DEGRADATIONS,
    Blur,
    Downscale,
    GanPaperDegradation,
    Noise,
    Pass,
    RealWorld,
    RealWorldDegradation,
    _jpeg,
    degrade,
)
from microexp.superres.resize import KERNELS, matlab_resize, resize

RANDOM = (GanPaperDegradation, RealWorldDegradation)
STAGES = (Downscale, *RANDOM)
DRAWS = 3000


def frames(count: int = 3, height: int = 32, width: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def clip(name: str = "c1", pictures: np.ndarray | None = None) -> Clip:
    pictures = frames() if pictures is None else pictures
    truth = {"truth": "kept"}
    annotation = {"onset": 0, "apex": 1, "offset": 2, "emotion": "surprise", "metadata": truth}
    return Clip.from_array(pictures, database="db", subject="s1", name=name, **annotation)


class Counted(Frames):
    """Frames that count how often they are read."""

    def __init__(self) -> None:
        self.reads = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return 3, 32, 24, 3

    def read(self, index: int) -> np.ndarray:
        self.reads += 1
        return frames()[index]


# --- clips


@pytest.mark.parametrize("stage", STAGES)
def test_clips_become_small_and_keep_what_is_known(stage: type) -> None:
    (small,) = stage(factor=4).fit_transform([clip()])
    assert small.frames.shape == (3, 8, 6, 3)
    assert small.frames[:].shape == (3, 8, 6, 3)
    assert small.frames[:].dtype == np.uint8
    assert (small.onset, small.apex, small.offset, small.emotion) == (0, 1, 2, "surprise")
    assert small.identity == "db/s1/c1"
    assert dict(small.metadata) == {"truth": "kept"}


@pytest.mark.parametrize("stage", STAGES)
def test_frames_are_read_when_they_are_wanted(stage: type) -> None:
    source = Counted()
    (small,) = stage().transform([Clip(source, fps=200)])
    assert source.reads == 0
    small.frames[1]
    assert source.reads == 1


@pytest.mark.parametrize("stage", STAGES)
def test_frames_have_an_identity_that_says_how_they_were_made(stage: type) -> None:
    first, again = (stage().transform([clip()])[0].frames.fingerprint() for _ in range(2))
    assert first is not None
    assert first == again
    assert stage(factor=2).transform([clip()])[0].frames.fingerprint() != first
    other = clip(pictures=frames(seed=1))
    assert stage().transform([other])[0].frames.fingerprint() != first


@pytest.mark.parametrize("stage", STAGES)
def test_stages_can_be_cloned_pickled_and_chained(stage: type) -> None:
    wanted = stage(factor=2).transform([clip()])[0].frames[:]
    for copy in (clone(stage(factor=2)), pickle.loads(pickle.dumps(stage(factor=2)))):
        assert np.array_equal(copy.transform([clip()])[0].frames[:], wanted)
    (again,) = pickle.loads(pickle.dumps(stage(factor=2).transform([clip()])))
    assert np.array_equal(again.frames[:], wanted)
    (restored,) = make_pipeline(stage(factor=2), Bicubic(2)).fit_transform([clip()])
    assert restored.frames.shape == (3, 32, 24, 3)
    assert np.array_equal(restored.frames[:], Bicubic(2).upscale(wanted))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("factor", "side"), [(2, 16), (4, 8), (8, 4), (16, 2)])
def test_downscale_is_a_resize(kernel: str, factor: int, side: int) -> None:
    face = clip(pictures=frames(3, 32, 32))
    (by_factor,) = Downscale(factor, kernel=kernel).transform([face])
    (by_size,) = Downscale(size=side, kernel=kernel).transform([face])
    wanted = resize(frames(3, 32, 32), (side, side), kernel)
    assert np.array_equal(by_factor.frames[:], wanted)
    assert np.array_equal(by_size.frames[:], wanted)


def test_downscale_to_height_and_width() -> None:
    (small,) = Downscale(size=(20, 7)).transform([clip()])
    assert np.array_equal(small.frames[:], matlab_resize(frames(), (20, 7)))


def test_bad_options_and_clips_are_refused() -> None:
    for size in (0, 2.5, (4, 4, 4), (4, -1)):
        with pytest.raises(OptionError, match="Downscale: size"):
            Downscale(size=size).transform([clip()])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="db/s1/c1: frames of 32x24 are smaller than 32x32"):
        Downscale(size=32).transform([clip()])
    with pytest.raises(UnknownNameError, match="matlab"):
        Downscale(kernel="matlap").transform([clip()])
    for stage in STAGES:
        with pytest.raises(DataError, match="db/s1/c1.*multiples of 5.*32x24"):
            stage(factor=5).transform([clip()])
        for factor in (0, 2.0, "4"):
            with pytest.raises(OptionError, match="whole number"):
                stage(factor=factor).transform([clip()])
    for stage in RANDOM:
        with pytest.raises(OptionError, match="random_state"):
            stage(random_state=None).transform([clip()])


# --- the same from a seed and a name


@pytest.mark.parametrize("stage", RANDOM)
def test_a_clip_is_degraded_alike_in_any_company_and_by_any_seed_differently(stage: type) -> None:
    names = [f"c{i}" for i in range(12)]
    alone = [stage().transform([clip(name)])[0].frames[0].tobytes() for name in names]
    together = [c.frames[0].tobytes() for c in stage().transform([clip(name) for name in names][::-1])]
    assert alone == together[::-1]
    assert len(set(alone)) > 1
    other = [c.frames[0].tobytes() for c in stage(random_state=1).transform([clip(n) for n in names])]
    assert other != alone


def test_another_process_degrades_alike() -> None:
    program = (
        "import hashlib, numpy as np\n"
        "from microexp.clip import Clip\n"
        "from microexp.superres.degradation import GanPaperDegradation, RealWorldDegradation\n"
        "f = np.random.default_rng(0).integers(0, 256, (3, 32, 24, 3), dtype=np.uint8)\n"
        "c = [Clip.from_array(f, database='db', subject='s1', name=f'c{i}') for i in range(4)]\n"
        "small = GanPaperDegradation().transform(c) + RealWorldDegradation().transform(c)\n"
        "print(hashlib.sha256(b''.join(s.frames[:].tobytes() for s in small)).hexdigest())\n"
    )
    there = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    ).stdout.strip()
    clips = [clip(f"c{i}") for i in range(4)]
    here = [small for stage in RANDOM for small in stage().transform(clips)]
    assert there == hashlib.sha256(b"".join(c.frames[:].tobytes() for c in here)).hexdigest()


def test_all_frames_of_a_clip_are_degraded_alike_but_for_noise() -> None:
    still = np.broadcast_to(frames(1), (4, 32, 24, 3)).copy()
    for name in ("a", "b", "c"):
        (small,) = GanPaperDegradation().transform([clip(name, still)])
        assert (small.frames[:] == small.frames[0]).all()
        (noisy,) = RealWorldDegradation(factor=1).transform([clip(name, still)])
        assert not np.array_equal(noisy.frames[0], noisy.frames[1])
        assert np.array_equal(noisy.frames[1], noisy.frames[1])
        assert np.array_equal(noisy.frames[[2, 1]], noisy.frames[:][[2, 1]])


# --- the paper on GANs


def by_hand(picture: np.ndarray, factor: int, median: bool) -> np.ndarray:
    small = matlab_resize(picture, 1 / factor).astype(float)
    weights = np.outer([1, 2, 1], [1, 2, 1])[..., np.newaxis] / 16
    blurred = np.floor(ndimage.convolve(small, weights, mode="mirror") + 0.5)
    return ndimage.median_filter(blurred, (3, 3, 1), mode="nearest") if median else blurred


def test_gan_paper_is_smaller_blurred_and_for_half_of_the_clips_a_median() -> None:
    count = 200
    medians = 0
    with_median, without = (by_hand(frames()[1], 4, median) for median in (True, False))
    assert not np.array_equal(with_median, without)
    for small in GanPaperDegradation().transform([clip(f"c{i}") for i in range(count)]):
        found = small.frames[1]
        is_median = np.array_equal(found, with_median)
        assert is_median or np.array_equal(found, without)
        medians += is_median
    assert stats.binomtest(medians, count, 0.5).pvalue > 1e-4


# --- what Real-ESRGAN draws


@pytest.fixture(scope="module")
def drawn() -> list[RealWorld]:
    generator = np.random.default_rng(0)
    return [RealWorld.draw(generator) for _ in range(DRAWS)]


def assert_share(hits: list[bool], probability: float) -> None:
    """Compare a share with its probability; a right program fails once in a million."""
    assert stats.binomtest(sum(hits), len(hits), probability).pvalue > 1e-6


def assert_uniform(values: list[float], low: float, high: float) -> None:
    assert low <= min(values)
    assert max(values) <= high
    assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-6


PROBABILITIES = {
    "iso": 0.405,
    "aniso": 0.225,
    "generalised-iso": 0.108,
    "generalised-aniso": 0.027,
    "plateau-iso": 0.108,
    "plateau-aniso": 0.027,
    "sinc": 0.1,
}


@pytest.mark.parametrize(("order", "has_blur", "sigma"), [("first", 1.0, 3.0), ("second", 0.8, 1.5)])
def test_blurs(drawn: list[RealWorld], order: str, has_blur: float, sigma: float) -> None:
    passes: list[Pass] = [getattr(values, order) for values in drawn]
    assert_share([one.blur is not None for one in passes], has_blur)
    blurs = [one.blur for one in passes if one.blur is not None]
    for kind, probability in PROBABILITIES.items():
        assert_share([blur.kind == kind for blur in blurs], probability)
    for side in range(7, 22, 2):
        assert_share([blur.side == side for blur in blurs], 1 / 8)
    gaussians = [blur for blur in blurs if blur.kind != "sinc"]
    assert_uniform([blur.sigmas[0] for blur in gaussians], 0.2, sigma)
    turned = [blur for blur in gaussians if blur.kind.endswith("aniso")]
    assert_uniform([blur.sigmas[1] for blur in turned], 0.2, sigma)
    assert_uniform([blur.angle for blur in turned], -np.pi, np.pi)
    assert all(blur.sigmas[0] == blur.sigmas[1] for blur in gaussians if not blur.kind.endswith("aniso"))
    assert all(blur.beta == 1 for blur in blurs if blur.kind in ("iso", "aniso"))
    general = [blur.beta for blur in blurs if blur.kind.startswith("general")]
    assert_share([beta < 1 for beta in general], 0.5)
    assert_uniform([beta for beta in general if beta < 1], 0.5, 1)
    assert_uniform([beta for beta in general if beta > 1], 1, 4)
    plateaus = [blur.beta for blur in blurs if blur.kind.startswith("plateau")]
    assert_share([beta == 1 for beta in plateaus], 0.5)
    assert_uniform([beta for beta in plateaus if beta != 1], 1, 2)
    sincs = [blur for blur in blurs if blur.kind == "sinc"]
    assert_uniform([blur.cutoff for blur in sincs if blur.side < 13], np.pi / 3, np.pi)
    assert_uniform([blur.cutoff for blur in sincs if blur.side >= 13], np.pi / 5, np.pi)


@pytest.mark.parametrize(
    ("order", "directions", "factors"),
    [("first", (0.2, 0.7, 0.1), (0.15, 1.5)), ("second", (0.3, 0.4, 0.3), (0.3, 1.2))],
)
def test_resizings(
    drawn: list[RealWorld], order: str, directions: tuple[float, ...], factors: tuple[float, float]
) -> None:
    passes: list[Pass] = [getattr(values, order) for values in drawn]
    up, down, keep = directions
    assert_share([one.factor > 1 for one in passes], up)
    assert_share([one.factor < 1 for one in passes], down)
    assert_share([one.factor == 1 for one in passes], keep)
    assert_uniform([one.factor for one in passes if one.factor > 1], 1, factors[1])
    assert_uniform([one.factor for one in passes if one.factor < 1], factors[0], 1)
    for name in ("bilinear", "area", "bicubic"):
        assert_share([one.interpolation == name for one in passes], 1 / 3)
        assert_share([values.interpolation == name for values in drawn], 1 / 3)


@pytest.mark.parametrize(
    ("order", "gaussian", "poisson", "quality"),
    [("first", (1, 30), (0.05, 3), (30, 95)), ("second", (1, 25), (0.05, 2.5), (5, 50))],
)
def test_noise_and_jpeg(
    drawn: list[RealWorld],
    order: str,
    gaussian: tuple[float, float],
    poisson: tuple[float, float],
    quality: tuple[int, int],
) -> None:
    passes: list[Pass] = [getattr(values, order) for values in drawn]
    noises = [one.noise for one in passes]
    assert_share([noise.kind == "gaussian" for noise in noises], 0.5)
    assert {noise.kind for noise in noises} == {"gaussian", "poisson"}
    for kind, ends in (("gaussian", gaussian), ("poisson", poisson)):
        of_kind = [noise for noise in noises if noise.kind == kind]
        assert_share([noise.grey for noise in of_kind], 0.4)
        assert_uniform([noise.strength for noise in of_kind], *ends)
    qualities = [one.quality for one in passes]
    assert (min(qualities), max(qualities)) == quality
    counts = np.bincount(np.array(qualities) - quality[0])
    assert stats.chisquare(counts).pvalue > 1e-6


def test_last_filter_and_order(drawn: list[RealWorld]) -> None:
    sincs = [values.sinc for values in drawn if values.sinc is not None]
    assert_share([values.sinc is not None for values in drawn], 0.8)
    assert_share([values.jpeg_last for values in drawn], 0.5)
    assert {blur.kind for blur in sincs} == {"sinc"}
    assert_uniform([blur.cutoff for blur in sincs], np.pi / 3, np.pi)
    for side in range(7, 22, 2):
        assert_share([blur.side == side for blur in sincs], 1 / 8)


# --- what it does with them


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_blurs_keep_brightness_and_are_symmetric(seed: int) -> None:
    blur = Blur.draw((0.2, 3), np.random.default_rng(seed))
    kernel = blur.kernel()
    assert kernel.shape == (blur.side, blur.side)
    assert np.isclose(kernel.sum(), 1)
    assert np.allclose(kernel, kernel[::-1, ::-1])
    assert np.unravel_index(kernel.argmax(), kernel.shape) == (blur.side // 2, blur.side // 2)
    flat = np.full((9, 5, 3), 0.4, np.float32)
    assert np.allclose(blur.apply(flat), 0.4, atol=1e-6)


def test_gaussian_blurs() -> None:
    across, along = (cv2.getGaussianKernel(21, sigma)[:, 0] for sigma in (2.5, 0.7))
    assert np.allclose(Blur("iso", 21, (2.5, 2.5)).kernel(), np.outer(across, across))
    assert np.allclose(Blur("aniso", 21, (2.5, 0.7)).kernel(), np.outer(along, across))
    assert np.allclose(Blur("aniso", 21, (2.5, 0.7), np.pi / 2).kernel(), np.outer(across, along))
    assert np.allclose(
        Blur("generalised-aniso", 9, (2, 1), 0.3, 1.0).kernel(), Blur("aniso", 9, (2, 1), 0.3).kernel()
    )


def test_blurs_of_other_shapes() -> None:
    flat, peaked = (Blur("generalised-iso", 21, (3, 3), beta=beta).kernel() for beta in (4, 0.5))
    # exp(-q^beta / 2) at one and at two standard deviations, relative to the middle.
    assert np.allclose(flat[10, [13, 16]] / flat[10, 10], np.exp([-0.5, -(4.0**4) / 2]))
    assert np.allclose(peaked[10, [13, 16]] / peaked[10, 10], np.exp([-0.5, -1]))
    plateau = Blur("plateau-iso", 21, (3, 3), beta=2).kernel()
    assert np.allclose(plateau[10, [13, 16]] / plateau[10, 10], [1 / 2, 1 / 17])


def test_the_sinc_lets_only_low_frequencies_through() -> None:
    kernel = np.zeros((128, 128))
    kernel[:21, :21] = Blur("sinc", 21, cutoff=np.pi / 2).kernel()
    response = np.abs(np.fft.fft2(kernel))
    frequency = 2 * np.pi * np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    assert np.abs(response[frequency < 0.3 * np.pi] - 1).max() < 0.15
    assert response[(frequency > 0.7 * np.pi) & (frequency < np.pi)].max() < 0.15


@pytest.mark.parametrize("grey", [False, True])
def test_gaussian_noise_has_its_strength(grey: bool) -> None:
    grid = np.full((200, 200, 3), 0.5, np.float32)
    noise = Noise("gaussian", 10, grey).apply(grid, np.random.default_rng(0)) - grid
    assert np.isclose(noise.std() * 255, 10, rtol=0.03)
    assert abs(noise.mean() * 255) < 0.2
    assert np.allclose(noise, noise[..., :1], atol=1e-7) == grey


@pytest.mark.parametrize("grey", [False, True])
def test_poisson_noise_has_the_variance_of_counts(grey: bool) -> None:
    grid = np.full((200, 200, 3), 0.4, np.float32)
    grid[:, 100:] = 0.6
    noise = Noise("poisson", 0.25, grey).apply(grid, np.random.default_rng(0)) - grid
    for part, level in ((noise[:, :100], 0.4), (noise[:, 100:], 0.6)):  # two levels: two events at 1
        assert np.isclose(part.var(), 0.25**2 * level / 2, rtol=0.05)
        assert abs(part.mean()) < 0.01
    assert np.allclose(noise, noise[..., :1], atol=1e-7) == grey


def test_a_jpeg_keeps_colours_and_is_worse_at_low_quality() -> None:
    halves = np.zeros((32, 32, 3), np.float32)
    halves[:, :16], halves[:, 16:] = (0.9, 0.2, 0.1), (0.1, 0.3, 0.8)
    halves += np.random.default_rng(0).normal(0, 0.02, (32, 32, 1)).astype(np.float32)
    fine, coarse = (np.abs(_jpeg(halves, quality) - halves).mean() for quality in (95, 5))
    assert fine < 0.02 < coarse


def test_real_world_degrades_but_keeps_what_is_there() -> None:
    _, x = np.mgrid[:64, :64]
    half = np.where((x > 31)[..., np.newaxis], (230, 40, 30), (20, 60, 200)).astype(np.uint8)
    generator = np.random.default_rng(3)
    for _ in range(20):
        small = degrade(half, "real-world", 4, generator).astype(float)
        left, right = small[:, :5].mean((0, 1)), small[:, -5:].mean((0, 1))
        assert right[0] > left[0] + 60  # red stays red, and is not taken for blue
        assert left[2] > right[2] + 60


# --- degrade


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_degrade_takes_both_kinds_of_pictures(name: str, factor: int) -> None:
    large = frames()
    small = degrade(large[0], name, factor, np.random.default_rng(5))
    assert small.shape == (32 // factor, 24 // factor, 3)
    assert small.dtype == np.uint8
    floating = degrade((large[0] / 255).astype(np.float32), name, factor, np.random.default_rng(5))
    assert floating.dtype == np.float32
    assert np.array_equal(np.rint(floating * 255), small)
    sequence = degrade(large, name, factor, np.random.default_rng(5))
    assert sequence.shape == (3, *small.shape)
    assert np.array_equal(sequence[0], small)


def test_degrade_bicubic_is_matlab() -> None:
    small = degrade(frames(), "bicubic", 4, np.random.default_rng(0))
    assert np.array_equal(small, matlab_resize(frames(), (8, 6)))


def test_a_sequence_is_degraded_in_one_way() -> None:
    still = np.broadcast_to(frames(1), (6, 32, 24, 3))
    for seed in range(6):
        paper = degrade(still, "gan-paper", 2, np.random.default_rng(seed))
        assert (paper == paper[0]).all()
        noisy = degrade(still, "real-world", 2, np.random.default_rng(seed))
        assert not (noisy == noisy[0]).all()


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    factor=st.integers(1, 5),
    seed=st.integers(0, 10_000),
    name=st.sampled_from(DEGRADATIONS),
)
def test_any_size_that_the_factor_divides(size: tuple[int, int], factor: int, seed: int, name: str) -> None:
    large = frames(1, size[0] * factor, size[1] * factor, seed)[0]
    assert degrade(large, name, factor, np.random.default_rng(seed)).shape == (*size, 3)


def test_what_cannot_be_degraded_is_refused() -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(UnknownNameError, match="real-world"):
        degrade(frames()[0], "realworld", 4, generator)
    with pytest.raises(DataError, match="multiples of 3"):
        degrade(frames()[0], "bicubic", 3, generator)
    with pytest.raises(OptionError, match="whole number"):
        degrade(frames()[0], "bicubic", 0, generator)
    for bad in (np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), int), np.zeros((8, 8, 4), np.uint8)):
        with pytest.raises(DataError, match="a picture is|RGB"):
            degrade(bad, "bicubic", 2, generator)
