"""The database: what `load` gives, that it follows from the seed, and what it refuses."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zlib

import numpy as np
import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.datasets.synthetic._truth import SyntheticFrames
from microexp.errors import OptionError

SMALL = {"n_subjects": 2, "clips_per_subject": 3, "size": 64}


def test_the_registry_creates_it_and_its_check_passes() -> None:
    database = datasets.create("synthetic", **SMALL)
    assert all(check.ok for check in database.check())
    assert not Synthetic(n_subjects=0).check()[-1].ok


def test_the_table_tells_what_the_clips_tell() -> None:
    data = Synthetic(**SMALL).load()
    assert len(data) == 6
    assert data.classes == ("negative", "positive", "surprise")
    for clip, (_, row) in zip(data.clips, data.table.iterrows(), strict=True):
        assert (row["database"], row["subject"], row["clip"]) == ("synthetic", clip.subject, clip.name)
        assert (row.onset, row.apex, row.offset, row.fps) == (clip.onset, clip.apex, clip.offset, clip.fps)
        assert row.action_units == "+".join(map(str, clip.action_units))
        assert row.amplitude == pytest.approx(clip.metadata["truth"].amplitude)
        assert clip.emotion == row.emotion == clip.metadata["truth"].emotion


def test_every_subject_shows_several_classes_and_negatives_are_most() -> None:
    data = Synthetic(n_subjects=12, clips_per_subject=8, size=64).load()
    assert data.table.groupby("subject")["label"].nunique().min() >= 2
    share = np.bincount(data.y) / len(data)
    assert share[0] > share[1] > 0.15
    assert share[2] > 0.1


def test_emotion7_leaves_repression_out() -> None:
    database = Synthetic(n_subjects=8, clips_per_subject=8, size=64)
    seven = database.load(labels="emotion7")
    three = database.load()
    assert len(seven.classes) == 7
    assert set(three.table.emotion) - set(seven.table.emotion) == {"repression"}
    assert len(seven) == (three.table.emotion != "repression").sum()
    assert seven.fingerprint != three.fingerprint


def test_clips_keep_to_the_ranges_of_micro_expressions() -> None:
    clips = Synthetic(n_subjects=4, clips_per_subject=8, size=256).clips()
    for clip in clips:
        assert 100 <= clip.fps <= 200
        assert 40 <= len(clip) <= 120
        assert 0 < clip.onset < clip.apex < clip.offset < len(clip)
        assert clip.apex - clip.onset < clip.offset - clip.apex  # the rise is faster than the fall
        assert 0.49 <= clip.metadata["truth"].amplitude <= 3.01
        assert all(0 < unit.intensity <= 1 for unit in clip.action_units)
    assert 0.9 < np.median([clip.metadata["truth"].amplitude for clip in clips]) < 1.8


def test_a_subject_does_not_depend_on_how_many_there_are() -> None:
    few = Synthetic(n_subjects=1, clips_per_subject=1, size=64).clips()[0]
    many = Synthetic(n_subjects=3, clips_per_subject=4, size=64).clips()[0]
    assert few.metadata["truth"].script == many.metadata["truth"].script


def test_other_seeds_give_other_faces_and_movements() -> None:
    one, two = (Synthetic(**SMALL, seed=seed).clips()[0] for seed in (0, 1))
    assert np.abs(one.frames[0].astype(int) - two.frames[0]).mean() > 5
    assert one.metadata["truth"].script.events != two.metadata["truth"].script.events


def test_pictures_are_the_same_bit_for_bit_in_another_process_and_order(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = Synthetic(n_subjects=1, clips_per_subject=2, size=64).clips()[1]
    packed = pickle.dumps(clip)
    assert len(packed) < 4000  # parameters, no pictures
    backwards = [zlib.crc32(clip.frames[i].tobytes()) for i in (clip.apex, clip.onset, 0)]
    (tmp_path / "clip").write_bytes(packed)
    code = (
        "import pickle, sys, zlib; clip = pickle.load(open(sys.argv[1], 'rb'));"
        "print([zlib.crc32(clip.frames[i].tobytes()) for i in (0, clip.onset, clip.apex)])"
    )
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "empty"))  # so that nothing is read from the disk
    command = [sys.executable, "-c", code, str(tmp_path / "clip")]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert told.strip() == str(backwards[::-1])


def test_noise_differs_between_frames(clips: list[Clip]) -> None:
    clip = clips[0]
    difference = clip.frames[0].astype(int) - clip.frames[1].astype(int)
    assert difference.std() > 1


def test_label_noise_changes_the_annotation_and_not_the_truth() -> None:
    clips = Synthetic(n_subjects=6, clips_per_subject=8, size=64, label_noise=0.5).clips()
    wrong = np.mean([clip.emotion != clip.metadata["truth"].emotion for clip in clips])
    assert 0.3 < wrong < 0.7


def test_reading_one_frame_draws_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    read = SyntheticFrames.read

    def counted(self: SyntheticFrames, index: int) -> np.ndarray:
        drawn.append(index)
        return read(self, index)

    monkeypatch.setattr(SyntheticFrames, "read", counted)
    data = Synthetic(**SMALL).load()
    assert not drawn
    clip = data.clips[0]
    assert clip.key_frame("apex").shape == (64, 64, 3)
    assert drawn == [clip.apex]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_subjects", 0),
        ("clips_per_subject", 2.5),
        ("size", 8),
        ("size", "large"),
        ("nuisance", -0.1),
        ("nuisance", float("nan")),
        ("seed", -1),
        ("label_noise", 1.5),
        ("amplitude_scale", 0),
    ],
)
def test_parameters_that_cannot_be_used_are_named(parameter: str, value: object) -> None:
    with pytest.raises(OptionError, match=parameter):
        Synthetic(**{parameter: value}).load()


def test_an_unknown_label_scheme_is_refused() -> None:
    with pytest.raises(OptionError, match="megc3"):
        Synthetic(**SMALL).load(labels="nine")
