"""What a look-alike is written with: pictures and sheets into a folder, and a list of what was meant."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from microexp.clip import Clip
from microexp.errors import PathMissingError

MANIFEST = "lookalike.json"
Cell = str | int | float | None


@dataclass(frozen=True)
class Pictures:
    """Files of a clip in one variant: paths below the root, and how many frames a loader should give.

    `apex` is None where the annotation has none that can be used; all three are in a video.
    """

    onset: str | None
    apex: str | None
    offset: str | None
    frames: int


@dataclass(frozen=True)
class Expected:
    """A clip that a loader should find.

    Attributes
    ----------
    subject, name, emotion : str
        As the loader should give them; `emotion` is None where the database has none.
    action_units : tuple of str
        Codes without intensity, as ``"L12"``.
    onset, apex, offset : int
        Frame numbers of the annotation; `apex` is None where it has none that can be used.
    fps : float
        Frames per second.
    pictures : mapping of str to Pictures
        For each of the loader's variants.
    """

    subject: str
    name: str
    emotion: str | None
    action_units: tuple[str, ...]
    onset: int
    apex: int | None
    offset: int
    fps: float
    pictures: Mapping[str, Pictures]


@dataclass(frozen=True)
class Manifest:
    """What was written.

    Attributes
    ----------
    layout, options : str, mapping
        Which look-alike.
    clips : tuple of Expected
        Clips that a loader should find, in the order of the annotation.
    left_out : tuple of str
        Rows that cannot be used, as ``subject/name``.
    """

    layout: str
    options: Mapping[str, Any]
    clips: tuple[Expected, ...]
    left_out: tuple[str, ...] = ()


class Tree:
    """A folder that a look-alike is written into.

    Parameters
    ----------
    root : Path
        An empty folder.
    progress : callable or None
        Told of each clip as ``progress("clips", done, total)``.
    """

    def __init__(self, root: Path, progress: Callable[[str, int, int], None] | None = None) -> None:
        self.root = root
        self._tell = progress or (lambda what, done, total: None)
        self._clips: list[Expected] = []
        self._left_out: list[str] = []

    def inside(self, folder: str) -> Tree:
        """Return the tree of a folder in this one, with a list of clips of its own."""
        return Tree(self.root / folder, lambda what, done, total: self._tell(folder, done, total))

    @property
    def clips(self) -> tuple[Expected, ...]:
        """What a loader should find, as noted so far."""
        return tuple(self._clips)

    def each(self, plan: Sequence[Any]) -> Iterator[Any]:
        """Go through what is planned and tell how far the work is."""
        for done, planned in enumerate(plan):
            self._tell("clips", done, len(plan))
            yield planned
        self._tell("clips", len(plan), len(plan))

    def frames(
        self, folder: str, name: str, clip: Clip, onset: int, numbers: Iterable[int], crop: float = 0.0
    ) -> dict[int, str]:
        """Write frames of a clip as numbered pictures.

        Parameters
        ----------
        folder : str
            Below the root.
        name : str
            Of a file, the number in braces, as ``"img{}.jpg"`` or ``"{:05d}.png"``; its suffix says the kind.
        clip : Clip
            The frames; before its first and after its last one these are held.
        onset : int
            Number of the clip's onset frame.
        numbers : iterable of int
            Which to write.
        crop : float
            Part of the width and height to cut off at each side, 0 to .4.

        Returns
        -------
        dict of int to str
            Number -> path below the root.
        """
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        written, encoded = {}, {}
        for number in numbers:
            index = min(max(number - onset + clip.onset, 0), len(clip) - 1)
            file = name.format(number)
            if index not in encoded:
                encoded[index] = _encoded(_cropped(clip.frames[index], crop), Path(file).suffix)
            (place / file).write_bytes(encoded[index])
            written[number] = f"{folder}/{file}"
        return written

    def video(self, file: str, clip: Clip, fps: int) -> None:
        """Write the frames of a clip as a video of which each packet is a picture."""
        import av

        with av.open(str(self._file(file)), "w", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("mjpeg", rate=fps)
            stream.height, stream.width = clip.size
            stream.pix_fmt = "yuvj444p"
            for picture in clip.frames:
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    def recording(
        self, folder: str, name: str, shown: Sequence[tuple[Clip, int]], skip: Iterable[int] = ()
    ) -> dict[int, str]:
        """Write a recording of several expressions, a few frames before, between and after them as well.

        Parameters
        ----------
        folder, name
            As for `frames`.
        shown : sequence of (Clip, int)
            Expressions in the order of time, each with the number of its onset frame.
        skip : iterable of int
            Frames that the camera dropped.

        Returns
        -------
        dict of int to str
            As of `frames`.
        """
        dropped, written = set(skip), {}
        begin = max(shown[0][1] - 3, 1)
        for clip, onset in shown:
            end = onset + (clip.offset or 0) - clip.onset + 3
            numbers = [number for number in range(begin, end) if number not in dropped]
            written.update(self.frames(folder, name, clip, onset, numbers))
            begin = end
        return written

    def xlsx(
        self, file: str, sheets: Mapping[str, Sequence[Sequence[Cell]]], merge: Sequence[str] = ()
    ) -> None:
        """Write a workbook: sheet name -> rows of cells, None for a blank; ranges to merge in the first."""
        import openpyxl

        book = openpyxl.Workbook()
        book.remove(book.active)
        for title, rows in sheets.items():
            sheet = book.create_sheet(title)
            for row in rows:
                sheet.append(list(row))
        for area in merge:
            book.worksheets[0].merge_cells(area)
        book.save(self._file(file))

    def xls(self, file: str, rows: Sequence[Sequence[Cell]]) -> None:
        """Write one sheet in the oldest Excel format (BIFF 2), which has Latin text and no sheet names."""
        records = [struct.pack("<HHHH", 0x0009, 4, 2, 0x0010)]
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                place = struct.pack("<HH3x", r, c)
                if isinstance(value, int | float):
                    records.append(struct.pack("<HH", 0x0003, 15) + place + struct.pack("<d", value))
                elif value:
                    text = value.encode("latin-1")
                    body = place + struct.pack("<B", len(text)) + text
                    records.append(struct.pack("<HH", 0x0004, len(body)) + body)
        self._file(file).write_bytes(b"".join(records) + struct.pack("<HH", 0x000A, 0))

    def text(self, file: str, content: str, encoding: str = "utf-8") -> None:
        """Write a text file."""
        self._file(file).write_text(content, encoding)

    def expect(self, clip: Expected) -> None:
        """Note a clip that a loader should find."""
        self._clips.append(clip)

    def expect_left_out(self, subject: str, name: str) -> None:
        """Note a row that cannot be used."""
        self._left_out.append(f"{subject}/{name}")

    def finish(self, layout: str, options: Mapping[str, Any]) -> Manifest:
        """Write down what a loader should find."""
        manifest = Manifest(layout, dict(options), tuple(self._clips), tuple(self._left_out))
        self.text(MANIFEST, json.dumps(asdict(manifest), indent=1))
        return manifest

    def _file(self, file: str) -> Path:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def read_manifest(directory: str | Path) -> Manifest:
    """Read what a look-alike was written as.

    Raises
    ------
    PathMissingError
        If the folder is not a look-alike.
    """
    file = Path(directory) / MANIFEST
    if not file.is_file():
        raise PathMissingError(f"{directory} holds no {MANIFEST}: it is no look-alike, or one half-written")
    told = json.loads(file.read_text(encoding="utf-8"))
    clips = tuple(
        Expected(
            **{
                **clip,
                "action_units": tuple(clip["action_units"]),
                "pictures": {v: Pictures(**pictures) for v, pictures in clip["pictures"].items()},
            }
        )
        for clip in told["clips"]
    )
    return Manifest(told["layout"], told["options"], clips, tuple(told["left_out"]))


def _cropped(picture: np.ndarray, part: float) -> np.ndarray:
    y, x = (int(side * part) for side in picture.shape[:2])
    return picture[y : picture.shape[0] - y, x : picture.shape[1] - x]


def _encoded(picture: np.ndarray, suffix: str) -> bytes:
    file = io.BytesIO()
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP"}[suffix.lower()]
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(np.ascontiguousarray(picture)).save(file, kind, **options)
    return file.getvalue()
