"""MMI on its look-alike: videos, markers of several action units, XML that is damaged or meant to harm."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets.base import Check
from microexp.datasets.lookalike import read_manifest
from microexp.errors import DamageWarning
from tests.conftest import copy_tree

PLACE = "Sessions/95"  # the first session: S001-001


@pytest.fixture
def copy(tmp_path: Path, look_alike: Callable[..., Path]) -> Path:
    return copy_tree(look_alike("mmi", full=True), tmp_path / "MMI", "Sessions")


def checks(root: Path) -> dict[str, Check]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        return {check.what: check for check in datasets.create("mmi", root=root).check()}


def odd(root: Path) -> list[str]:
    check = checks(root)["odd rows"]
    assert not check.ok
    return list(check.details)


def clips(root: Path) -> dict[str, Clip]:
    return {clip.name: clip for clip in datasets.create("mmi", root=root).read().clips}


def rewrite(root: Path, name: str, content: str | bytes) -> Path:
    file = root / PLACE / name
    file.unlink(missing_ok=True)  # it may be a link to the fixture's
    file.write_bytes(content.encode("latin-1") if isinstance(content, str) else content)
    return file


def coding(*units: tuple[str, str]) -> str:
    """XML of action units, each with its markers as ``"5:1 9:2"``: frame and type."""
    lines = [
        f'<ActionUnit Number="{number}">'
        + "".join('<Marker Frame="{}" Type="{}"/>'.format(*m.split(":")) for m in markers.split())
        + "</ActionUnit>"
        for number, markers in units
    ]
    return f'<AUCoding xmlns="http://example.org/facs">{"".join(lines)}</AUCoding>'


def test_the_frames_are_those_of_the_video(look_alike: Callable[..., Path]) -> None:
    root = look_alike("mmi", full=True)
    database = datasets.create("mmi", root=root)
    for clip in database.read().clips[:20]:  # each frame is 10 shades brighter than the one before
        shades = np.array([frame.mean() for frame in clip.frames])
        assert np.abs(shades - np.arange(20, 20 + 10 * len(clip), 10)).max() < 4
        assert clip.fps == 24.0


def test_sessions_without_an_emotion_or_a_coding_are_clips(look_alike: Callable[..., Path]) -> None:
    root = look_alike("mmi", full=True)
    database = datasets.create("mmi", root=root)
    written = read_manifest(root).clips
    named = [clip for clip in written if clip.emotion]
    assert len(database.load()) == len(named) < len(database.read().clips) == len(written) == 213
    found = clips(root)
    assert {clip.metadata["view"] for clip in found.values()} == {"0", "2"}
    assert {clip.metadata["emotion_code"] for clip in found.values()} == {None, 1, 2, 3, 4, 5, 6, 7}
    assert all(clip.emotion is None for clip in found.values() if clip.metadata["emotion_code"] in (None, 7))
    uncoded = [clip for clip in found.values() if not clip.action_units]
    assert uncoded
    assert all((c.onset, c.apex, c.offset) == (0, None, len(c) - 1) for c in uncoded)
    drop = datasets.create("mmi", root=root, missing_apex="drop").load()
    assert len(drop) == sum(bool(clip.emotion) and clip.apex is not None for clip in written)


def test_the_markers_of_several_units_make_one_expression(copy: Path) -> None:
    units = (("4", "1:0 3:1 5:2 7:3 8:0"), ("L12", "1:0 2:1 6:2 7:3 9:0"), ("R10", "1:0 4:1 5:2 7:3 9:0"))
    rewrite(copy, "S001-001-oao_aucs.xml", coding(*units))
    clip = clips(copy)["S001-001"]
    assert [str(unit) for unit in clip.action_units] == ["4", "L12", "R10"]
    assert (clip.onset, clip.apex, clip.offset) == (1, 5, 7)  # numbers 2, 6 and 8
    rewrite(copy, "S001-001-oao_aucs.xml", coding(("4", "3:1 5:2"), ("12", "2:1")))
    clip = clips(copy)["S001-001"]
    assert (clip.onset, clip.apex, clip.offset) == (1, 4, len(clip) - 1)


@pytest.mark.parametrize(
    ("markers", "told"),
    [
        ("3:1 99:2 99:3 100:0", "frames are missing"),
        ("9:1 3:2 9:3 10:0", "the apex 3 comes before the onset 9; kept with the apex unknown"),
        ("3:1 x:2 7:3 8:0", "a marker of action unit 4 has Frame 'x', Type '2'"),
    ],
)
def test_markers_that_make_no_sense_are_named(copy: Path, markers: str, told: str) -> None:
    rewrite(copy, "S001-001-oao_aucs.xml", coding(("4", markers)))
    found = checks(copy)
    text = "\n".join((*found["odd rows"].details, *found["clips with all frames"].details))
    assert "S001-001.xml, S001/S001-001: " in text
    assert told in text


def test_xml_that_would_expand_is_not_read(copy: Path) -> None:
    bomb = '<!DOCTYPE b [<!ENTITY a "ha">' + "".join(
        f'<!ENTITY a{i} "{f"&a{i - 1 if i else str()};" * 10}">' for i in range(12)
    )
    text = f'{bomb}]><Annotation><Metatag Name="Emotion" Value="&a11;"/></Annotation>'
    secret = copy / "secret.txt"
    secret.write_text("4")
    outside = (
        f'<!DOCTYPE b [<!ENTITY a SYSTEM "file://{secret}">]>'
        '<Annotation><Metatag Name="Emotion" Value="4"/>&a;</Annotation>'
    )
    start = time.process_time()
    for content in (text, text.encode("utf-16"), outside, outside.encode("utf-16")):
        rewrite(copy, "S001-001.xml", content)
        (told,) = odd(copy)
        assert "S001-001.xml declares entities, as no file of MMI does: it is not read" in told
        assert clips(copy)["S001-001"].emotion is None
    assert time.process_time() - start < 60


def test_xml_of_any_encoding_is_read_and_damaged_xml_named(copy: Path) -> None:
    text = '<?xml version="1.0" encoding="{}"?><a><Metatag Name="Emotion" Value="2"/>é</a>'
    for encoding in ("utf-8", "latin-1", "utf-16"):
        rewrite(copy, "S001-001.xml", text.format(encoding).encode(encoding))
        assert clips(copy)["S001-001"].emotion == "disgust"
    rewrite(copy, "S001-001.xml", text[:60])
    assert "S001-001.xml is no XML, or damaged" in odd(copy)[0]
    rewrite(copy, "S001-001.xml", "")
    assert "S001-001.xml is no XML, or damaged" in odd(copy)[0]
    rewrite(copy, "S001-001.xml", '<a><Metatag Name="Emotion" Value="happy"/></a>')
    assert "the emotion 'happy' in S001-001.xml is no number from 1 on" in odd(copy)[0]


def test_videos_that_are_lost_or_damaged_are_named(copy: Path) -> None:
    (copy / PLACE / "S001-001.avi").unlink()
    whole = (copy / "Sessions/98/S002-001.avi").read_bytes()
    (copy / "Sessions/98/S002-001.avi").unlink()
    (copy / "Sessions/98/S002-001.avi").write_bytes(b"")
    (copy / "Sessions/101/S003-001.avi").unlink()
    (copy / "Sessions/101/S003-001.avi").write_bytes(whole[: len(whole) * 3 // 4])
    (copy / "Sessions/2000").mkdir()
    found = checks(copy)
    text = "\n".join(found["clips with all frames"].details)
    assert f"S001-001.avi is missing in {copy / PLACE} (1 clip)" in text
    assert "S002-001.avi is empty (0 bytes)" in text
    assert f"*.avi is missing in {copy / 'Sessions/2000'} (1 clip)" in text
    told = [*found["clips with all frames"].details, *found["frames matched with a remark"].details]
    assert any("S003-001" in line and "damaged" in line for line in told)


def test_the_root_may_be_the_folder_of_sessions(copy: Path) -> None:
    (copy / "Sessions" / ".DS_Store").write_text("x")
    (copy / "Sessions" / "readme.txt").write_text("x")
    assert len(datasets.create("mmi", root=copy / "Sessions").read().rows) == 213
    assert all(check.ok for check in checks(copy).values())
