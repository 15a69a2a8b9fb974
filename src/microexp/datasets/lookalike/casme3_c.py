"""CAS(ME)^3, part C: a long video of each person, and a sheet without apexes and emotions."""

from __future__ import annotations

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Cell, Expected, Pictures, Tree

_PEOPLE, _CLIPS = 31, 166
_CYCLE = ("disgust", "fear", "surprise")


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike.

    Parameters
    ----------
    tree, studio
        Where to, and with whom.
    """
    people = _PEOPLE if studio.full else studio.subjects
    rows: list[list[Cell]] = []
    for person in tree.each(list(range(1, people + 1))):
        count = len(range(person, _CLIPS + 1, people)) if studio.full else studio.clips
        clips = [studio.film(person, _CYCLE[n % len(_CYCLE)]) for n in range(count)]
        rows += _person(tree, person, clips, first=not rows)
    tree.xlsx("CAS(ME)3_part_C_ME.xlsx", {"Sheet1": [["sub", "count", "onset", "offset", "au"], *rows]})


def _person(tree: Tree, person: int, clips: list[Clip], first: bool) -> list[list[Cell]]:
    """Write one person's video and return the rows of it; in the first row of all a comma is full-width."""
    onsets = [4]
    for clip in clips:
        onsets.append(onsets[-1] + (clip.offset or 0) - clip.onset + 6)
    folder = f"part_C/{person:02d}/a"
    files = tree.recording(f"{folder}/color", "{}.jpg", list(zip(clips, onsets[:-1], strict=True)))
    tree.frames(f"{folder}/depth", "{}.png", clips[0], onsets[0], [onsets[0]])
    rows: list[list[Cell]] = []
    for count, (clip, onset) in enumerate(zip(clips, onsets[:-1], strict=True), start=1):
        offset = onset + (clip.offset or 0) - clip.onset
        units = tuple(map(str, clip.action_units))
        pictures = {"raw": Pictures(files[onset], None, files[offset], offset - onset + 1)}
        name = f"a_{onset}"
        tree.expect(Expected(f"{person:02d}", name, None, units, onset, None, offset, 30.0, pictures))
        comma = "，" if first and count == 1 else "+"
        rows.append([person, count, onset, offset, comma.join(units)])
    return rows
