"""Every loader against the look-alike of its database, clip for clip. A new one is tested by existing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microexp import datasets
from microexp.clip import Clip
from microexp.datasets import lookalike
from microexp.datasets.lookalike import Expected, read_manifest
from microexp.frames import read_image

MODES = {"full": {"full": True}, "faces": {"subjects": 2, "clips": 2, "size": 48, "nuisance": 0.0}}


@pytest.fixture(params=lookalike.names())
def name(request: pytest.FixtureRequest) -> Any:
    return request.param


def variants(name: str, root: Path) -> list[str]:
    return sorted({variant for clip in read_manifest(root).clips for variant in clip.pictures})


def differences(clip: Clip, expected: Expected, variant: str, root: Path) -> list[str]:
    """In what a clip is not what was written; its pictures are compared as they are."""
    pictures = expected.pictures[variant]
    pairs = {
        "name": (clip.name, expected.name),
        "emotion": (clip.emotion, expected.emotion or None),
        "action units": (tuple(map(str, clip.action_units)), expected.action_units),
        "fps": (clip.fps, expected.fps),
        "frames": (len(clip), pictures.frames),
        "apex": (clip.apex is None, expected.apex is None),
    }
    for number, which in enumerate(("onset", "apex", "offset")):
        annotated = getattr(expected, which)
        pairs[f"{which} number"] = (clip.metadata[f"{which}_number"], annotated)
        file, index = getattr(pictures, which), (clip.onset, clip.apex, clip.offset)[number]
        if file is not None and index is not None:
            same = np.array_equal(clip.frames[index], read_image(root / file))
            pairs[f"{which} picture"] = (same, True)
    return [f"{what}: {got} for {wanted}" for what, (got, wanted) in pairs.items() if got != wanted]


@pytest.mark.parametrize("mode", MODES)
def test_every_clip_is_found_as_it_was_written(name: str, mode: str, look_alike: Callable[..., Path]) -> None:
    root = look_alike(name, **MODES[mode])
    manifest = read_manifest(root)
    for variant in variants(name, root):
        shown = [clip for clip in manifest.clips if variant in clip.pictures]
        expected = {(clip.subject, clip.name): clip for clip in shown}
        assert len(expected) == len(shown) > 0
        reading = datasets.create(name, root=root, variant=variant).read()
        clips = {(clip.subject, clip.name): clip for clip in reading.clips}
        assert list(clips) == list(expected)
        wrong = {key: differences(clips[key], expected[key], variant, root) for key in clips}
        assert {key: told for key, told in wrong.items() if told} == {}
        left_out = {"/".join(odd.row.key) for odd in reading.odds if not odd.kept}
        assert left_out == set(manifest.left_out)


def test_the_full_look_alike_passes_the_check_in_every_variant(
    name: str, look_alike: Callable[..., Path]
) -> None:
    root = look_alike(name, full=True)
    for variant in variants(name, root):
        checks = datasets.create(name, root=root, variant=variant).check()
        assert [check for check in checks if not check.ok] == []
        assert len(checks) > 5


def test_a_look_alike_is_the_same_each_time(name: str, tmp_path: Path) -> None:
    trees = []
    for turn in "ab":
        lookalike.write(name, tmp_path / turn, subjects=1, clips=1, size=48)
        files = sorted(p for p in (tmp_path / turn).rglob("*") if p.is_file())
        pictures = [p for p in files if not p.name.endswith((".xlsx", ".json"))]  # a workbook holds the time
        trees.append([(p.relative_to(tmp_path / turn), p.read_bytes()) for p in pictures])
    assert trees[0] == trees[1]
    assert read_manifest(tmp_path / "a") == read_manifest(tmp_path / "b")


def test_loading_opens_no_picture(
    name: str, look_alike: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = look_alike(name, full=True)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a picture was opened")

    monkeypatch.setattr("PIL.Image.open", refuse)
    database = datasets.create(name, root=root)
    assert database.read().clips
    if database.label_schemes:
        assert len(database.load())
