"""MMI: videos of posed and spontaneous expressions, with an emotion or action units in XML files.

Layout of the copy, a folder for each session::

    Sessions/1767/session.xml               the view of the camera
    Sessions/1767/S001-001.avi
    Sessions/1767/S001-001.xml              Metatag Name="Emotion" Value="4"
    Sessions/1767/S001-001-oao_aucs.xml     for each ActionUnit its Markers: onset, apex, offset

Any of the XML files may be missing. Frames are counted from 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from microexp.datasets.annotated import FIRST, LAST, AnnotatedDatabase, Copy, Row, Rules

CARD = {
    "class": "MMI",
    "title": "MMI Facial Expression Database",
    "summary": "Videos of expressions from neutral to neutral, with an emotion, or with timed action units.",
    "takes": "the folder with Sessions",
    "gives": "clips (T, H, W, 3) uint8 RGB of whole videos at their own rate; onset, apex, offset if coded",
    "paper": {
        "authors": "Pantic, Maja and Valstar, Michel and Rademaker, Ron and Maat, Ludo",
        "title": "Web-Based Database for Facial Expression Analysis",
        "venue": "IEEE International Conference on Multimedia and Expo",
        "year": 2005,
        "doi": "10.1109/ICME.2005.1521424",
    },
    "licence": "licensed by the authors on request; not redistributed here",
    "notes": [
        "Macro-expressions: for training before micro-expressions, and for comparison.",
        "The layout and the meaning of the numbers are those of public code: emotions 1 anger, 2 disgust, "
        "3 fear, 4 happiness, 5 sadness, 6 surprise; markers 0 neutral, 1 onset, 2 apex, 3 offset. Other "
        "numbers of emotions stay in the metadata (emotion_code), and the clip has none.",
        "Of several action units the clip's onset is the earliest, its apex the frame in which the last of "
        "them reaches its own, its offset the frame before all are neutral again. Without markers the clip "
        "goes from the first to the last frame and its apex is unknown.",
        "The metadata has the view of the camera (0 frontal, 2 with a mirror): many videos show a profile, "
        "and some lie on their side.",
        "People share a database that grows, so the number of clips is not checked.",
    ],
}

_EMOTIONS = ("", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
_NEUTRAL, _ONSET, _APEX, _OFFSET = range(4)
_VIDEO = re.compile(r"([^.]+)\.(?:avi|xml)", re.IGNORECASE)
_MARKERS = "-oao_aucs"


class MMI(AnnotatedDatabase):
    """MMI, read from the user's copy.

    Parameters
    ----------
    root : path
        Folder of the copy, the folder above it, or its folder Sessions.
    variant : {"raw"}, optional
        Which videos.
    missing_apex : {"keep", "middle", "drop"}
        As for `AnnotatedDatabase`.
    """

    label_schemes = ("emotion7", "megc3", "mer4")
    variants: ClassVar = {"raw": ("Sessions/{session}/{name}.avi",)}
    rules = Rules(has_apex=False)

    def __init__(
        self, root: str | Path | None = None, variant: str | None = None, missing_apex: str = "keep"
    ) -> None:
        super().__init__(root, variant, missing_apex=missing_apex)

    def rows(self, copy: Copy) -> Iterator[Row]:
        top = copy.path("Sessions")
        for session in sorted(copy.names(top), key=lambda name: (len(name), name)):
            found = (_VIDEO.fullmatch(name) for name in copy.names(top / session))
            stems = {match[1] for match in found if match and match[1].lower() != "session"}
            names = sorted(stem for stem in stems if not stem.lower().endswith(_MARKERS))
            if not names and (top / session).is_dir():
                names = ["*"]  # told as a video that is missing
            for name in names:
                yield _row(copy, session, name)


def _row(copy: Copy, session: str, name: str) -> Row:
    remarks: list[str] = []
    folder = copy.path("Sessions", session)
    tags = _xml(copy, folder, f"{name}.xml", remarks)
    codes = [tag.get("Value", "") for tag in _all(tags, "Metatag") if tag.get("Name") == "Emotion"]
    code = int(codes[0]) if codes and codes[0].isdecimal() else 0
    if codes and not code:
        remarks.append(f"the emotion '{codes[0]}' in {name}.xml is no number from 1 on")
    times = _times(_xml(copy, folder, f"{name}{_MARKERS}.xml", remarks), remarks)
    views = [track.get("view", "") for track in _all(_xml(copy, folder, "session.xml", remarks), "track")]
    return Row(
        file=folder / f"{name}.xml",
        number=0,
        subject=name.partition("-")[0],
        name=name,
        frames=copy.frames(session=session, name=name),
        fps=0,
        onset=times.onset,
        apex=times.apex,
        offset=times.offset,
        emotion=_EMOTIONS[code] if code < len(_EMOTIONS) else "",
        action_units="+".join(times.units),
        first_number=1,
        remarks=tuple(remarks),
        extra={"session": session, "emotion_code": code or None, "view": views[0] if views else ""},
    )


@dataclass(frozen=True)
class _Times:
    """What the markers of all action units say together."""

    units: tuple[str, ...] = ()
    onset: str = FIRST
    apex: str = ""
    offset: str = LAST


def _times(coding: ElementTree.Element | None, remarks: list[str]) -> _Times:
    units, onsets, apexes, ends = [], [], [], []
    for unit in _all(coding, "ActionUnit"):
        units.append(unit.get("Number", "?"))
        markers = sorted(_markers(unit, remarks))
        onsets += [frame for frame, kind in markers if kind == _ONSET][:1]
        apexes += [frame for frame, kind in markers if kind == _APEX][:1]
        after = max((frame for frame, kind in markers if kind == _OFFSET), default=None)
        ends += [frame - 1 for frame, kind in markers if after and kind == _NEUTRAL and frame > after][:1]
    if not onsets:
        return _Times(tuple(units))
    return _Times(
        tuple(units),
        str(min(onsets)),
        str(max(apexes)) if apexes else "",
        str(max(ends)) if len(ends) == len(units) else LAST,
    )


def _markers(unit: ElementTree.Element, remarks: list[str]) -> Iterator[tuple[int, int]]:
    """Frame and kind of each marker of an action unit."""
    for marker in _all(unit, "Marker"):
        frame, kind = marker.get("Frame", ""), marker.get("Type", "")
        if frame.isdecimal() and kind.isdecimal():
            yield int(frame), int(kind)
        else:
            remarks.append(f"a marker of action unit {unit.get('Number')} has Frame '{frame}', Type '{kind}'")


def _all(element: ElementTree.Element | None, tag: str) -> list[ElementTree.Element]:
    """Elements of a name, whatever their namespace."""
    return [] if element is None else list(element.iterfind(f".//{{*}}{tag}"))


def _xml(copy: Copy, folder: Path, name: str, remarks: list[str]) -> ElementTree.Element | None:
    """Read an XML file of a session; None if it is not there, or cannot be read, which is remarked."""
    file = copy.path(*folder.relative_to(copy.home).parts, name)
    if not copy.holds(file):
        return None
    try:
        text = _decoded(file.read_bytes())
        if "<!ENTITY" in text:  # what is looked through is what is parsed, so no encoding can hide one
            remarks.append(f"{name} declares entities, as no file of MMI does: it is not read")
            return None
        return ElementTree.fromstring(text)  # noqa: S314
    except OSError as error:
        remarks.append(f"{name} cannot be read: {error.strerror}")
    except ElementTree.ParseError as error:
        remarks.append(f"{name} is no XML, or damaged ({error})")
    return None


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
