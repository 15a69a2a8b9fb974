"""Whole recordings with their intervals, on the look-alike of every database of long videos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from microexp import datasets
from microexp.datasets.long_videos import Interval, LongVideos
from microexp.errors import DataError, MicroexpWarning, OptionError
from tests.conftest import copy_tree

NAMES = [name for name in datasets.names() if issubclass(datasets.get(name), LongVideos)]
MACRO = ("casme_sq", "casme3", "samm_lv")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_there_are_some() -> None:
    assert set(NAMES) >= {"casme_sq", "casme3", "casme3_c", "samm_lv"}


def test_every_clip_is_an_interval_of_its_recording(name: str, look_alike: Callable[..., Path]) -> None:
    options = {"variant": datasets.get(name).long[0], "kind": "both", "missing_apex": "drop"}
    database = datasets.create(name, root=look_alike(name, full=True), **options)
    recordings = database.recordings()
    assert len({(one.subject, one.name) for one in recordings}) == len(recordings)
    found = {
        (one.subject, interval.name): (one, interval)
        for one in recordings
        for interval in one.metadata["intervals"]
    }
    database.missing_apex = "keep"
    clips = database.read().clips
    assert len(found) == len(clips) > 100
    for clip in clips:
        recording, interval = found[clip.subject, clip.name]
        assert isinstance(interval, Interval)
        assert (interval.kind, interval.emotion) == (clip.metadata["kind"], clip.emotion)
        assert (interval.apex is None) == (clip.apex is None)
        assert interval.offset - interval.onset == clip.offset - clip.onset
        assert recording.frames.names[interval.onset] == clip.frames.names[clip.onset]
        assert recording.fps == clip.fps
    clip = clips[len(clips) // 2]
    recording, interval = found[clip.subject, clip.name]
    cut = recording.frames[interval.onset : interval.offset + 1]
    assert np.array_equal(cut, clip.frames[clip.onset : clip.offset + 1])


@pytest.mark.parametrize("name", ["casme_sq", "samm_lv"])
def test_recordings_in_which_nobody_shows_anything_are_there(
    name: str, look_alike: Callable[..., Path]
) -> None:
    recordings = datasets.create(name, root=look_alike(name, full=True)).recordings()
    quiet = [one for one in recordings if not one.metadata["intervals"]]
    assert len(quiet) in (11, 12)
    assert all(one.subject and one.name.startswith(one.subject) for one in quiet)


@pytest.mark.parametrize("name", MACRO)
def test_kinds_are_told_apart(name: str, look_alike: Callable[..., Path]) -> None:
    root = look_alike(name, full=True)
    counts = {
        kind: len(datasets.create(name, root=root, kind=kind).read().clips)
        for kind in ("micro", "macro", "both")
    }
    assert counts["micro"] + counts["macro"] == counts["both"]
    assert min(counts.values()) > 50
    with pytest.raises(OptionError, match="kind is one of micro, macro, both, not 'tiny'"):
        datasets.create(name, root=root, kind="tiny").read()


def test_the_table_says_the_kind(look_alike: Callable[..., Path]) -> None:
    data = datasets.create("casme_sq", root=look_alike("casme_sq", full=True), kind="both").load("mer4")
    assert data.table["kind"].value_counts().to_dict() == {"macro": 300, "micro": 57}


def test_what_has_no_recordings_or_no_classes_says_so(look_alike: Callable[..., Path]) -> None:
    cut = datasets.create("casme_sq", root=look_alike("casme_sq", full=True), variant="cropped")
    with pytest.raises(OptionError, match="'cropped' of casme_sq has no whole recordings; use variant=raw"):
        cut.recordings()
    with pytest.raises(OptionError, match=r"has no emotions, so no classes; read\(\) gives its clips"):
        datasets.create("casme3_c", root=look_alike("casme3_c", full=True)).load()
    with pytest.raises(DataError, match=r"none of 340 clips has an emotion.*micro_codes=FILE"):
        datasets.create("samm_lv", root=look_alike("samm_lv", full=True), kind="macro").load()


def test_an_expression_that_cannot_be_used_is_said_with_its_recording(
    tmp_path: Path, look_alike: Callable[..., Path]
) -> None:
    root = copy_tree(look_alike("samm_lv", full=True), tmp_path, "SAMM_LongVideos_V3_Release.xlsx")
    copy_tree(look_alike("samm_lv", full=True), tmp_path, "SAMM_longvideos/031_1", "SAMM_longvideos/006_1")
    (root / "SAMM_longvideos" / "040_1").mkdir()
    with pytest.warns(MicroexpWarning, match="samm_lv: left out: .*040_1 holds no numbered picture"):
        one, other = datasets.create("samm_lv", root=root).recordings()
    assert (one.subject, one.name, one.metadata["left_out"]) == ("006", "006_1", ())
    (told,) = other.metadata["left_out"]
    assert "031_1_2_macro: the onset is 0: it was not seen; left out" in told
