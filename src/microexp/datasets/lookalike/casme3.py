"""CAS(ME)^3, part A: long videos with dropped frames, the release of clips, and the sheets in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree
from microexp.errors import UnknownNameError
from microexp.frames import ArrayFrames, Frames

_SHEETS, _KINDS = ("v2", "v1", "types"), ("micro", "macro", "both")
_EMOTIONS = {
    **{"disgust": 250, "surprise": 187, "others": 158, "fear": 86},
    **{"anger": 64, "sad": 57, "happy": 55, "Others": 3},
}
_CLASSES = {
    **{"happy": "I", "surprise": "II", "anger": "III", "disgust": "IV", "sad": "V", "fear": "VI"},
    **{"others": "VII", "Others": "VII"},
}
# Videos of which something is said, with how many micro-expressions they hold here.
_MANY, _NO_OFFSET, _EARLY_APEX = ("spNO.1", "b"), ("spNO.40", "e"), ("spNO.149", "d")
_CAPITAL, _ENDLESS = ("spNO.3", "j"), ("spNO.5", "c")
_GAP, _GAP_AT_APEX = ("spNO.7", "f"), ("spNO.8", "g")
_NOTED = {_MANY: 17, _NO_OFFSET: 2, _EARLY_APEX: 1, _CAPITAL: 2, _ENDLESS: 1, _GAP: 1, _GAP_AT_APEX: 1}
_FIRST_ONSET = {_MANY: 166, _EARLY_APEX: 112}
_OTHER_VIDEOS = "ahikl"  # the rest is dealt out over these, two in each
_PEOPLE = tuple(f"spNO.{n}" for n in (*range(1, 93), 149, 216))
_LONG = 3457  # frames of the one that does not end


@dataclass(frozen=True)
class _Placed:
    """An expression in a video, with its numbers there."""

    kind: str
    emotion: str
    clip: Clip
    onset: int
    apex: int
    offset: int


def write(tree: Tree, studio: Studio, sheet: str = "v2", kind: str = "micro") -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    sheet : {"v2", "v1", "types"}
        The newest sheets of micro- and macro-expressions, the older one of micro-expressions (.xls), or the
        one sheet of both that has no emotions.
    kind : {"micro", "macro", "both"}
        Which expressions are noted down as those to be found; all are written. Macro-expressions are in the
        long videos only.
    """
    for name, value, known in (("sheet", sheet, _SHEETS), ("kind", kind, _KINDS)):
        if value not in known:
            raise UnknownNameError(f"{name} of CAS(ME)^3", value, known)
    rows: dict[str, list[list[Cell]]] = {"micro": [], "macro": []}
    expected: dict[str, list[Expected]] = {"micro": [], "macro": []}
    for subject, video, emotions in tree.each(list(_plan(studio))):
        placed = _place(studio, subject, video, emotions)
        skip = _dropped(subject, video, placed)
        folder = f"part_A/{subject}/{video}"
        shown = [(one.clip, one.onset) for one in placed]
        whole = tree.recording(f"{folder}/color", "{}.jpg", shown, skip)
        tree.frames(f"{folder}/depth", "{}.png", placed[0].clip, placed[0].onset, [placed[0].onset])
        for number, one in enumerate(placed):
            emotion = None if sheet == "types" else one.emotion
            expected[one.kind].append(_expect(tree, subject, video, one, emotion, skip, whole))
            letter = video.upper() if (subject, video) == _CAPITAL and number else video
            rows[one.kind].append(_row(subject, letter, one))
    for which in ("micro", "macro"):
        for found in expected[which] if kind in (which, "both") else ():
            tree.expect(found)
    _write_sheets(tree, rows, sheet)


def _place(studio: Studio, subject: str, video: str, emotions: Sequence[str]) -> list[_Placed]:
    """Film what a video shows, a macro-expression last, and say at which frames."""
    kinds = ["micro"] * len(emotions) + ["macro"] * (video == "a")
    onset, placed = _FIRST_ONSET.get((subject, video), 4), []
    for kind, emotion in zip(kinds, [*emotions, "happy"], strict=False):
        clip = studio.film(int(subject.partition(".")[2]), emotion)
        if (subject, video) == _ENDLESS and studio.full:
            clip = clip.replace(offset=clip.onset + _LONG - 1, frames=_held(clip, _LONG))
        apex, offset = onset + (clip.apex or 0) - clip.onset, onset + (clip.offset or 0) - clip.onset
        placed.append(_Placed(kind, emotion, clip, onset, apex, offset))
        onset = offset + 6
    return placed


def _dropped(subject: str, video: str, placed: Sequence[_Placed]) -> set[int]:
    first = placed[0]
    return {_GAP: {first.apex + 1}, _GAP_AT_APEX: {first.apex}}.get((subject, video), set())


def _expect(
    tree: Tree,
    subject: str,
    video: str,
    one: _Placed,
    emotion: str | None,
    skip: set[int],
    whole: dict[int, str],
) -> Expected:
    """Write the clip alone as well if it is a micro-expression, and say what a loader should find."""
    end = one.apex if (subject, video) == _NO_OFFSET else one.offset
    numbers = [number for number in range(one.onset, end + 1) if number not in skip]
    known = None if (subject, video) == _EARLY_APEX or one.apex in skip else one.apex
    places = {"raw": whole}
    if one.kind == "micro":
        name = f"{subject}_{video}_{one.onset}"
        top = "Part_A_ME_clip"
        places["clips"] = tree.frames(f"{top}/frame/{name}", "{}.jpg", one.clip, one.onset, numbers)
        tree.frames(f"{top}/depth/{name}", "{}.png", one.clip, one.onset, numbers[:1])
    pictures = {
        variant: Pictures(files[one.onset], files[known] if known else None, files[end], len(numbers))
        for variant, files in places.items()
    }
    units = tuple(map(str, one.clip.action_units))
    return Expected(subject, f"{video}_{one.onset}", emotion, units, one.onset, known, end, 30.0, pictures)


def _row(subject: str, video: str, one: _Placed) -> list[Cell]:
    apex, offset = one.apex, one.offset
    if (subject, video) == _NO_OFFSET:
        offset = 0
    elif (subject, video) == _EARLY_APEX:
        apex = 83
    text = "+".join(map(str, one.clip.action_units))
    units: Cell = int(text) if text.isdigit() else text
    return [subject, video, one.onset, apex, offset, units, _CLASSES[one.emotion], one.emotion]


def _write_sheets(tree: Tree, rows: dict[str, list[list[Cell]]], sheet: str) -> None:
    header: list[Cell] = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU"]
    if sheet == "types":
        body = [
            [*row[:6], f"{kind.title()}-expression", row[6]]
            for kind in ("macro", "micro")
            for row in rows[kind]
        ]
        tree.xls("CAS(ME)3_part_A_v2.xls", [[*header, "Expression type", "Objective class"], *body])
        return
    table = [[*header, "Objective class", "emotion"], *rows["micro"]]
    if sheet == "v1":
        tree.xls("annotation/cas(me)3_part_A_ME_label_JpgIndex_v1.xls", table)
    else:
        tree.xlsx("annotation/cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx", {"label": table})
    columns: list[Cell] = ["sub", "seq", "onset", "apex", "offset", "au", "objective class", "emotion"]
    file = "annotation/cas(me)3_part_A_MaE_label_JpgIndex_v2_emotion.xlsx"
    tree.xlsx(file, {"Sheet1": [columns, *rows["macro"]]})


def _plan(studio: Studio) -> Iterator[tuple[str, str, list[str]]]:
    """Subject, video, and the emotions shown in it."""
    videos = dict(_NOTED)
    if studio.full:
        rest = sum(_EMOTIONS.values()) - sum(_NOTED.values())
        for number in range(rest):
            turn, person = divmod(number, len(_PEOPLE))
            key = (_PEOPLE[person], _OTHER_VIDEOS[turn // 2])
            videos[key] = videos.get(key, 0) + 1
    else:
        videos = {
            key: min(count, studio.clips) for key, count in list(_NOTED.items())[1 : studio.subjects + 1]
        }
        videos[_NO_OFFSET[0], "a"] = studio.clips
    deck = [word for word, count in _EMOTIONS.items() for _ in range(count)]
    deck = [deck[i * 7 % len(deck)] for i in range(len(deck))]  # 7 shares no factor with 860
    for (subject, video), count in sorted(videos.items()):
        yield subject, video, [deck.pop() for _ in range(count)]


def _held(clip: Clip, length: int) -> Frames:
    """The frames of a clip, the last one held until there are so many."""
    frames = clip.frames[:]
    return ArrayFrames(np.concatenate([frames, np.repeat(frames[-1:], length, axis=0)]))
