from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from microexp import datasets, motion, recognize, superres
from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.errors import MicroexpError, OptionError, UnknownNameError
from microexp.evaluate import loso
from microexp.evaluate.prepare import create_step, prepare
from microexp.stateless import Stateless
from microexp.weights import write_weights
from tests.conftest import flow_dataset
from tests.contracts.test_recognize import moving_clip


class LeaveOut(Stateless):
    """Leaves out the clips of some names."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self.names = names

    def transform(self, clips: list[Clip]) -> list[Clip]:
        return [clip for clip in clips if clip.name not in self.names]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Twelve clips of four subjects; every other one has no apex."""
    clips, rows = [], []
    for k in range(12):
        clip = moving_clip(k % 3, seed=k, size=48)
        clip = clip.replace(
            subject=f"s{k // 3}", database="made", name=f"c{k}", apex=None if k % 2 else clip.apex
        )
        clips.append(clip)
        rows.append(("made", clip.subject, clip.name, "x", k % 3))
    table = pd.DataFrame(rows, columns=["database", "subject", "clip", "emotion", "label"])
    return Dataset(table, ("a", "b", "c"), clips=clips, fingerprint="f")


def test_every_clip_has_an_apex_after_it_was_spotted_and_the_remarks_count_them(dataset: Dataset) -> None:
    steps = [create_step("apex", samples=8)]
    seen: list[tuple[int, int]] = []
    ready = prepare(dataset, steps, jobs=2, progress=lambda what, done, total: seen.append((done, total)))
    direct = motion.create("apex", samples=8).transform(dataset.clips)
    assert [clip.apex for clip in ready.clips] == [clip.apex for clip in direct]
    pd.testing.assert_frame_equal(ready.table, dataset.table)
    assert ready.fingerprint != dataset.fingerprint
    assert prepare(dataset, [create_step("apex", samples=9)], jobs=1).fingerprint != ready.fingerprint
    assert any("6 annotated" in remark for remark in ready.remarks)
    assert seen[-1] == (12, 12)


def test_without_an_apex_the_protocol_says_what_to_do_and_with_it_runs(dataset: Dataset) -> None:
    method = recognize.create("linear_svm")
    with pytest.raises(MicroexpError, match=r"6 of 12 clips have no apex: made/s0/c1: .*--prepare apex"):
        loso(method, dataset, jobs=1)
    ready = prepare(dataset, [create_step("apex", samples=8)], jobs=1)
    assert loso(method, ready, jobs=1).confusion().n == 12


def test_clips_that_a_step_leaves_out_leave_with_their_rows(dataset: Dataset) -> None:
    ready = prepare(dataset, [LeaveOut(("c0", "c7"))], jobs=1)
    assert list(ready.table["clip"]) == [clip.name for clip in ready.clips]
    assert set(dataset.table["clip"]) - set(ready.table["clip"]) == {"c0", "c7"}
    assert any("2 of 12 clips were left out" in remark for remark in ready.remarks)
    with pytest.raises(MicroexpError, match="left out every clip"):
        prepare(dataset, [LeaveOut(tuple(f"c{k}" for k in range(12)))], jobs=1)


def test_frames_of_an_aligned_clip_are_warped_when_read() -> None:
    from microexp import datasets

    data = datasets.create("synthetic", n_subjects=1, clips_per_subject=3, size=160, nuisance=0.0).load()
    ready = prepare(data, [create_step("aligner", size=64)], jobs=1)
    assert all(clip.size == (64, 64) for clip in ready.clips)
    assert ready.clips[0].frames[3].dtype == np.uint8


def test_wrong_steps_get_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'aligner'"):
        create_step("align")
    with pytest.raises(OptionError, match="'farneback' does not turn clips into clips; steps that do: "):
        create_step("farneback")
    with pytest.raises(OptionError, match="no parameter 'sice'"):
        create_step("aligner", sice=3)
    with pytest.raises(OptionError, match="holds motion images"):
        prepare(flow_dataset(), [create_step("apex")])


def test_clips_prepared_by_other_weights_are_other_data(tmp_path: Path) -> None:
    """A run keyed by the data must not go on with what weights of the same name made before."""
    data = datasets.create("synthetic", n_subjects=1, clips_per_subject=1, size=48).load()
    settings = {"scale": 2, "channels": 8, "blocks": 1}
    file = tmp_path / "net.safetensors"
    prints = []
    for seed in (0, 1):
        network = superres.create("edsr", weights="random", random_state=seed, **settings)
        write_weights(file, network.module().state_dict(), network.description())
        step = superres.create("edsr", weights=str(file), **settings)
        prints += [prepare(data, [step], jobs=1).fingerprint for _ in range(2)]
    assert prints[0] == prints[1] != prints[2] == prints[3]
