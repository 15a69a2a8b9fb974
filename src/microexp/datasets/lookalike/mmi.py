"""MMI: a folder for each session with a video and XML files, of which some are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice

from microexp.clip import Clip
from microexp.datasets.lookalike._studio import Studio
from microexp.datasets.lookalike._tree import Expected, Pictures, Tree

_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")  # Value 1 to 6
_SESSIONS, _PEOPLE, _RATE = 213, 30, 24
_PROLOG = '<?xml version="1.0" encoding="ISO-8859-1"?>\n'


@dataclass(frozen=True)
class _Planned:
    number: int
    person: int
    take: int
    value: int  # 0: no emotion in the file; 7: one that is none of the six; -1: no such file

    @property
    def name(self) -> str:
        return f"S{self.person:03d}-{self.take:03d}"

    @property
    def emotion(self) -> str:
        return _EMOTIONS[self.value - 1] if 0 < self.value <= len(_EMOTIONS) else ""


def write(tree: Tree, studio: Studio) -> None:
    """Write the look-alike; `tree` and `studio` say where to and with whom."""
    for planned in tree.each(list(_plan(studio))):
        _session(tree, studio.film(planned.person, planned.emotion or "others"), planned)


def _session(tree: Tree, clip: Clip, planned: _Planned) -> None:
    """Write one session and note what a loader should find."""
    folder = f"Sessions/{95 + planned.number * 3}"
    tree.video(f"{folder}/{planned.name}.avi", clip, _RATE)
    coded = planned.number % 4 != 3
    _describe(tree, folder, planned, coded)
    if planned.value >= 0:
        tag = f'  <Metatag Name="Emotion" Value="{planned.value}"/>\n' if planned.value else ""
        tags = f'  <Metatag Name="Pose" Value="é"/>\n{tag}'
        tree.text(f"{folder}/{planned.name}.xml", f"{_PROLOG}<Annotation>\n{tags}</Annotation>\n", "latin-1")
    units: tuple[str, ...] = ()
    onset, apex, offset = 1, None, len(clip)
    if coded:
        units = tuple(map(str, clip.action_units))
        onset, apex, offset = (1 + (index or 0) for index in (clip.onset, clip.apex, clip.offset))
        tree.text(f"{folder}/{planned.name}-oao_aucs.xml", _coding(units, onset, apex, offset))
    who, name, shown = f"S{planned.person:03d}", planned.name, {"raw": Pictures(None, None, None, len(clip))}
    tree.expect(Expected(who, name, planned.emotion, units, onset, apex, offset, float(_RATE), shown))


def _describe(tree: Tree, folder: str, planned: _Planned, coded: bool) -> None:
    files = [f"{planned.name}.xml", *([f"{planned.name}-oao_aucs.xml"] if coded else [])]
    annotations = "".join(f'  <annotation filename="{file}"/>\n' for file in files)
    track = f'<track filename="{planned.name}.avi" view="{2 * (planned.number % 2)}">\n{annotations}</track>'
    tree.text(f"{folder}/session.xml", f"{_PROLOG}<session>\n{track}\n</session>\n")


def _coding(units: tuple[str, ...], onset: int, apex: int, offset: int) -> str:
    """Markers of type 0 neutral, 1 onset, 2 apex, 3 offset and 0 again, for each action unit.

    The first one starts first, the last one reaches its apex last.
    """
    lines = []
    for place, unit in enumerate(units):
        late = int(place > 0 and apex - onset > 1)
        early = place + 1 < len(units)
        frames = ((1, 0), (onset + late, 1), (apex - early * late, 2), (offset, 3), (offset + 1, 0))
        markers = "".join(f'    <Marker Frame="{frame}" Type="{kind}"/>\n' for frame, kind in frames)
        lines.append(f'  <ActionUnit Number="{unit}">\n{markers}  </ActionUnit>\n')
    return f"{_PROLOG}<AUCoding>\n{''.join(lines)}</AUCoding>\n"


def _plan(studio: Studio) -> Iterator[_Planned]:
    """Who shows what: every tenth or so has none of the six emotions."""
    people = _PEOPLE if studio.full else studio.subjects
    count = _SESSIONS if studio.full else studio.subjects * studio.clips
    values = islice(cycle((4, 6, 1, 2, 0, 3, 5, 4, 6, 7, 5, 1, 3, 2, -1)), count)
    takes: dict[int, int] = {}
    for number, value in enumerate(values):
        person = 1 + number % people
        takes[person] = takes.get(person, 0) + 1
        yield _Planned(number, person, takes[person], value)
