from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.errors import OptionError
from microexp.frames import ArrayFrames
from microexp.motion.apex import ApexSpotter
from tests.motion.conftest import texture


def stretched(profile: np.ndarray, drift: float = 0.0, noise: float = 0.0, size: int = 96) -> Clip:
    """A texture that swells about its middle by the profile (pixels), and drifts to the right meanwhile."""
    rng = np.random.default_rng(0)
    image = texture(size)
    y, x = np.mgrid[:size, :size].astype(float)
    push = np.exp(-(((x - size / 2) ** 2 + (y - size / 2) ** 2) / (2 * (size / 4) ** 2)))
    frames = []
    for t, level in enumerate(profile):
        column = x - level * push * np.sign(x - size / 2) * np.abs(x - size / 2) / (size / 4) - drift * t
        whole = np.floor(column).astype(int)
        part = column - whole
        rows = y.astype(int)
        moved = (1 - part) * image[rows, whole % size] + part * image[rows, (whole + 1) % size]
        grey = np.clip(np.rint(128 + 40 * moved + noise * rng.standard_normal(moved.shape)), 0, 255)
        frames.append(np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2))
    return Clip(ArrayFrames(np.stack(frames)), 100.0, onset=0, offset=len(profile) - 1, name="c")


def hump(n: int, apex: int) -> np.ndarray:
    rise, fall = np.linspace(0, 1, apex + 1), np.linspace(1, 0, n - apex)
    return np.sin(np.pi / 2 * np.concatenate([rise, fall[1:]])) ** 2


@pytest.mark.parametrize(("apex", "drift"), [(8, 0.0), (15, 0.05), (22, 0.05)])
def test_the_peak_is_found_whatever_the_drift(apex: int, drift: float) -> None:
    (clip,) = ApexSpotter().transform([stretched(2 * hump(30, apex), drift)])
    assert abs(clip.apex - apex) <= 1
    assert clip.metadata["apex_source"] == "spotted"


def test_a_still_face_and_one_that_only_drifts_get_the_middle() -> None:
    for clip in (stretched(np.zeros(31), noise=2.0), stretched(np.zeros(31))):
        (spotted,) = ApexSpotter().transform([clip])
        assert spotted.apex == 15
        assert spotted.metadata["apex_source"] == "middle"


def test_an_annotated_apex_is_kept_unless_it_is_to_be_overwritten() -> None:
    clip = stretched(2 * hump(30, 8)).replace(apex=20, metadata={"more": 1})
    (kept,) = ApexSpotter().transform([clip])
    assert kept.apex == 20
    assert dict(kept.metadata) == {"more": 1, "apex_source": "annotated"}
    (spotted,) = ApexSpotter(overwrite=True).transform([clip])
    assert abs(spotted.apex - 8) <= 1
    assert dict(spotted.metadata) == {"more": 1, "apex_source": "spotted"}
    assert ApexSpotter().transform([spotted])[0].metadata["apex_source"] == "spotted"


def test_clips_of_one_to_three_frames_and_without_offset(clip_of: Callable[..., Clip]) -> None:
    for onset, offset in ((2, 2), (2, 3), (2, 4)):
        (clip,) = ApexSpotter().transform([clip_of(apex=None, onset=onset, offset=offset)])
        assert onset <= clip.apex <= offset
    (clip,) = ApexSpotter().transform([stretched(2 * hump(30, 12)).replace(offset=None)])
    assert abs(clip.apex - 12) <= 1
    assert clip.offset is None


def test_long_clips_cost_no_more_flows_than_samples() -> None:
    profile = 2 * np.interp(np.arange(200), np.arange(0, 210, 10), hump(21, 8))
    clip = stretched(profile, size=64)
    frames, strain = ApexSpotter(samples=16).curve(clip)
    assert len(frames) == len(strain) <= 17
    assert frames[0] == 0
    assert frames[-1] == 199
    assert abs(ApexSpotter(samples=16).transform([clip])[0].apex - 80) <= 8


def test_on_synthetic_faces_it_is_nearer_than_the_middle() -> None:
    clips = Synthetic(n_subjects=2, clips_per_subject=3, size=96, nuisance=0.0).clips()
    spotted = ApexSpotter(overwrite=True).transform(clips)
    errors = [abs(s.apex - c.apex) for s, c in zip(spotted, clips, strict=True)]
    middle = [abs((c.onset + c.offset) // 2 - c.apex) for c in clips]
    assert np.median(errors) <= 3 < np.median(middle)


@pytest.mark.parametrize("samples", [3, 2.5, True, "8"])
def test_samples_that_cannot_be_used(samples: object) -> None:
    with pytest.raises(OptionError, match="samples must be a whole number"):
        ApexSpotter(samples=samples).transform([])
