from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skimage.metrics import peak_signal_noise_ratio

from microexp.benchmark.quality import ClipQuality, read_quality
from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.errors import DataError

ONSET, APEX = 1, 3


def clips(seed: int, names: tuple[str, ...] = ("x", "y")) -> list[Clip]:
    rng = np.random.default_rng(seed)
    frames = [rng.integers(0, 256, (5, 24, 24, 3), np.uint8) for _ in names]
    return [
        Clip.from_array(f, onset=ONSET, apex=None if name == "spotless" else APEX, database="d", name=name)
        for f, name in zip(frames, names, strict=True)
    ]


def dataset(made: list[Clip]) -> Dataset:
    table = pd.DataFrame({"database": "d", "subject": "s", "clip": [c.name for c in made], "emotion": "e"})
    return Dataset(table.assign(label=0), ("e",), clips=made)


def task(restored: list[Clip], original: list[Clip], variant: str = "EDSR 64to256") -> ClipQuality:
    factors = {"resolution": 64, "superres": "edsr"}
    return ClipQuality("d", variant, factors, dataset(restored), dataset(original))


def noisy(made: list[Clip]) -> list[Clip]:
    """The same clips, the onset 3 levels off everywhere and the apex 12, other frames black."""
    changed = []
    for clip in made:
        frames = np.zeros(clip.frames.shape, np.uint8)
        for index, by in ((ONSET, 3), (APEX, 12)):
            frame = clip.frames[index].astype(int)
            frames[index] = np.where(frame < 128, frame + by, frame - by)
        changed.append(clip.replace(frames=type(clip.frames)(frames)))
    return changed


def test_quality_is_that_of_onset_and_apex(tmp_path: Path) -> None:
    original = clips(0)
    one = task(noisy(original), original)
    assert not one.is_done(tmp_path)
    one.run(tmp_path)
    assert one.is_done(tmp_path)
    found = read_quality(tmp_path, [one.key])
    assert found["clip"].tolist() == ["d/x", "d/y"]
    assert set(found["variant"]) == {"EDSR 64to256"}
    assert (set(found["resolution"]), set(found["superres"])) == ({64}, {"edsr"})
    closed_form = 10 * np.log10(255**2 / np.array([9, 144])).mean()
    np.testing.assert_allclose(found["psnr"], closed_form)
    pair = [noisy(original)[0].frames[i] for i in (ONSET, APEX)]
    other = [
        peak_signal_noise_ratio(original[0].frames[i], p) for i, p in zip((ONSET, APEX), pair, strict=True)
    ]
    assert found["psnr"][0] == pytest.approx(np.mean(other))
    assert (found["ssim"] < 1).all()


def test_equal_clips_and_clips_without_an_apex(tmp_path: Path) -> None:
    original = clips(1, ("spotless",))
    one = task(original, original)
    one.run(tmp_path)
    assert read_quality(tmp_path, [one.key])[["psnr", "ssim"]].to_numpy().tolist() == [[np.inf, 1.0]]


def test_every_variant_has_a_file_and_the_same_one_each_time(tmp_path: Path) -> None:
    original, restored = clips(0), noisy(clips(0))
    first, second = task(restored, original), task(restored, original, "other")
    for one in (first, second):
        one.run(tmp_path)
    text = first.file(tmp_path).read_bytes()
    task(restored, original).run(tmp_path)
    assert first.file(tmp_path).read_bytes() == text
    assert sorted(p.name for p in (tmp_path / "quality").iterdir()) == sorted(
        f"{t.key}.json" for t in (first, second)
    )
    keys = [second.key, first.key]
    files = read_quality(tmp_path, [*keys, "0" * 12])["file"]
    assert list(dict.fromkeys(files)) == [f"quality/{key}.json" for key in keys]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"variant": "x"}', "\x00"])
def test_a_damaged_file_counts_as_missing(tmp_path: Path, text: str) -> None:
    one = task(clips(0), clips(0))
    one.run(tmp_path)
    one.file(tmp_path).write_text(text)
    assert not one.is_done(tmp_path)
    assert read_quality(tmp_path, [one.key]).empty


def test_other_clips_and_other_sizes_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    original = clips(0)
    small = [c.replace(frames=type(c.frames)(np.zeros((5, 12, 12, 3), np.uint8))) for c in original]
    images = np.zeros((1, 3, 4, 4), np.float32)
    flow = replace(dataset(original[:1]), clips=None, flow_images=images, fingerprint="f")
    with pytest.raises(DataError, match="one shape"):
        task(small, original).run(tmp_path)
    with pytest.raises(DataError, match="the 1 clips of EDSR 64to256 are not the 2 originals"):
        task(original[:1], original).run(tmp_path)
    with pytest.raises(DataError, match="clips are needed"):
        ClipQuality("d", "v", {}, flow, flow).run(tmp_path)
    assert not list(tmp_path.rglob("*.json"))
