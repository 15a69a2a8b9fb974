"""Pictures, folders and videos on disk, magnified: faces aligned where a method needs them so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from microexp.clip import Clip
from microexp.errors import DataError, MicroexpWarning, OptionError
from microexp.faces.aligner import FaceAligner, NoFaceError
from microexp.faces.alignment import Alignment
from microexp.faces.geometry import invert, transform_points
from microexp.flow_colours import colour_flow
from microexp.frames import Frames, read_image
from microexp.frames.base import file_identity
from microexp.magnify.base import Magnifier
from microexp.media import LeftOutError, Process, Progress, Shot, Work, describe, process_path, titled

FACE_SIZE = 224  # side of aligned faces, pixels
SMALLEST_FACE = 32  # pixels; in smaller ones landmarks are off by more than half a hundredth of the face
_PANEL = 320  # pixels each side of a panel of the contact sheet is shown in, at most
_SMALLEST_FLOW = 12  # pixels that the flow estimator needs, and a quarter of the longer side
_DIFFERENCE = 4  # factor on the difference that is shown


def magnify_path(
    source: str | Path,
    target: str | Path,
    magnifier: Magnifier,
    progress: Progress,
    *,
    onset: str | Path | int | None = None,
    fps: float | None = None,
    align: bool | None = None,
    size: int = FACE_SIZE,
) -> list[Path]:
    """Magnify a picture, a folder of pictures (with its sub-folders) or a video.

    Beside the result stand a record of what made it (method, settings, weights and their checksum, onset,
    alignment) and a contact sheet: input, magnified, flow to the magnified frame, difference. What is there
    already, of the same making, is passed over. A method whose frames depend on each other goes through all
    of them again nevertheless.

    Methods that take a single picture take those of a folder one by one; for others the pictures of each
    folder are consecutive frames, in order of their number.

    Parameters
    ----------
    source, target, progress
        As of `microexp.media.process_path`.
    magnifier : Magnifier
        What magnifies.
    onset : path, int or None
        What motion is measured from: a picture of the same recording with the face at rest, or for frames in
        order the number of one of them from 0; None for the first of them.
    fps : float or None
        Frames a second, for a folder of frames; of a video in place of what the file says.
    align : bool or None
        Whether faces are aligned first, and the aligned faces magnified; None for what the method needs. A
        video is followed slowly (`FaceAligner`, mode "smooth"); a folder of frames, and whatever has an onset
        from a file, is aligned by its onset alone.
    size : int
        Side of the aligned faces, pixels.

    Returns
    -------
    list of Path
        The result, the record, and the contact sheet.

    Warns
    -----
    MicroexpWarning
        If there is more than one face, or none in some frames; and for pictures of a folder left out.

    Raises
    ------
    PathMissingError
        If there is nothing at `source` or `onset`.
    OptionError
        If an option or parameter cannot be used, or `target` holds what was made otherwise.
    LeftOutError
        If there is no face, or too small a one.
    """
    magnifier.check_parameters()
    if fps is not None and not 0 < fps < np.inf:
        raise OptionError(f"fps must be more than 0 frames a second, got {fps}")
    onset = Path(onset) if isinstance(onset, str) else onset
    align = magnifier.aligned if align is None else align
    return process_path(source, target, _Magnifying(magnifier, onset, fps, align, size), progress)


def contact_sheet(rows: Sequence[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return one picture; each row shows the input, the magnified picture, flow and difference.

    Parameters
    ----------
    rows : sequence of (str, numpy.ndarray, numpy.ndarray, numpy.ndarray)
        Title, input, magnified, and the picture that the flow to the magnified one is measured from,
        ``(H, W, 3) uint8 RGB``, all of one size.

    Returns
    -------
    numpy.ndarray
        ``(rows (h + 24), 4 w, 3) uint8 RGB``, h and w at most 320. The colours of the flow are those of
        `microexp.flow_colours.colour_flow`: hue says where to, saturation how far, white is no motion;
        its title gives the length of the longest arrow. Differences are four times as large.
    """
    return np.vstack([_row(*row) for row in rows])


@dataclass(frozen=True)
class _Magnifying(Process):
    """How pictures are magnified."""

    word: ClassVar[str] = "magnified"
    record: ClassVar[str] = "magnified.json"
    shown: ClassVar[str] = "contact_sheet"

    magnifier: Magnifier
    onset: Path | int | None
    fps: float | None
    align: bool
    size: int

    @property
    def in_order(self) -> bool:
        return self.magnifier.needs_onset or not self.magnifier.by_frame

    def description(self) -> dict[str, Any]:
        aligned = {"size": self.size, "landmarks": FaceAligner().landmarks}
        return {
            **describe(self.magnifier),
            "onset": self.onset.name if isinstance(self.onset, Path) else self.onset,
            "fps": self.fps,
            "alignment": aligned if self.align else None,
        }

    def begin(self, shot: Shot) -> Work:
        if shot.alone and not self.magnifier.by_frame:
            raise OptionError(
                f"{shot.name} is one picture, but a band of frequencies is of frames in order: give a video "
                "or a folder of frames, or no band"
            )
        frames, onset = self._with_onset(shot)
        found: dict[str, Any] = {}
        if self.align:
            frames, found = self._aligned(shot, frames, onset)
        return _Magnification(self.magnifier, frames, onset, len(shot.results), self.fps or shot.fps, found)

    def _with_onset(self, shot: Shot) -> tuple[Frames, int | None]:
        """Return the frames, led by the onset if it is a file, and where among them the onset is."""
        if isinstance(self.onset, Path):
            return _Led(self.onset, shot), 0
        if not shot.alone:
            number = self.onset or 0
            if not 0 <= number < len(shot.frames):
                raise OptionError(
                    f"{shot.name} has {len(shot.frames)} frames, 0 to {len(shot.frames) - 1}: there is no "
                    f"onset {number}"
                )
            return shot.frames, number
        if self.onset is not None:
            raise OptionError(
                f"{shot.name} is taken as a picture by itself: its onset is a file, not frame {self.onset}"
            )
        if self.magnifier.needs_onset:
            raise OptionError(
                f"{type(self.magnifier).__name__} magnifies the motion between two frames: with the picture "
                f"{shot.name} give the face at rest, too (--onset FILE)"
            )
        return shot.frames, None

    def _aligned(self, shot: Shot, frames: Frames, onset: int | None) -> tuple[Frames, dict[str, Any]]:
        """Return the aligned frames, and what the record says of the alignment."""
        height, width = shot.frames.shape[1:3]
        if min(height, width) < SMALLEST_FACE:
            raise _too_small(shot.name, f"the picture is {width}x{height} pixels")
        follow = shot.fps is not None and not isinstance(self.onset, Path)
        aligner = FaceAligner(
            self.size, mode="smooth" if follow else "onset", missing="hold" if follow else "raise"
        )
        clip = Clip(frames, self.fps or shot.fps or 1.0, onset=onset or 0, name=shot.name)
        try:
            (aligned,) = aligner.transform([clip])
        except NoFaceError as error:
            where = " in any frame looked at" if follow else " in its onset" if onset is not None else ""
            raise LeftOutError(
                f"{shot.name}: no face is found{where}. What is an aligned face already is magnified with "
                "align=False (--no-align)"
            ) from error
        alignment: Alignment = aligned.metadata["alignment"]
        return aligned.frames, _look(shot.name, alignment, clip.onset)


class _Led(Frames):
    """The frames of a shot with its onset, from a file, before the first."""

    def __init__(self, onset: Path, shot: Shot) -> None:
        self._file, self._onset, self._rest = onset, read_image(onset), shot.frames
        if self._onset.shape != self._rest.shape[1:]:
            raise DataError(
                f"{onset} is {self._onset.shape[1]}x{self._onset.shape[0]} pixels, {shot.name} "
                f"{self._rest.shape[2]}x{self._rest.shape[1]}: the onset must be of the same recording"
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        count, height, width, channels = self._rest.shape
        return count + 1, height, width, channels

    def read(self, index: int) -> np.ndarray:
        return self._onset if index == 0 else self._rest[index - 1]

    def identity(self, indices: Sequence[int]) -> object:
        parts = file_identity(self._file), self._rest.fingerprint([i - 1 for i in indices if i > 0])
        return None if None in parts else parts


class _Magnification(Work):
    """The magnifying of one picture, or of frames in order; the last `count` of `frames` are magnified."""

    def __init__(
        self,
        magnifier: Magnifier,
        frames: Frames,
        onset: int | None,
        count: int,
        fps: float | None,
        found: dict[str, Any],
    ) -> None:
        self._magnifier, self._frames, self._fps = magnifier, frames, fps
        self._onset, self._first = onset, len(frames) - count
        self.found = found

    def make(self, wanted: Sequence[int]) -> Iterator[np.ndarray]:
        if not wanted:
            return
        seen = wanted if self._magnifier.by_frame else range(wanted[-1] + 1)
        coming = (self._input(i) for i in seen)
        chosen = set(wanted)
        for i, strong in zip(seen, self._magnifier.stream(coming, self._start(), self._fps), strict=True):
            if i in chosen:
                yield strong

    def comparison(self, results: Sequence[np.ndarray]) -> np.ndarray:
        start = self._start()
        rows = []
        for i in self._telling(results):
            weak, strong = self._input(i), results[i]
            title = "input" if len(results) == 1 else f"input, frame {i}"
            rows.append((title, weak, strong, weak if start is None else start))
        return contact_sheet(rows)

    def _telling(self, results: Sequence[np.ndarray]) -> list[int]:
        """Return the onset if it is a frame, the one that differs from it most once magnified, the last."""
        start = self._start()
        if start is None or len(results) == 1:
            return [0]
        away = [float(cv2.absdiff(result, start).mean()) for result in results]
        shown = {int(np.argmax(away)), len(results) - 1}
        return sorted(shown | ({self._onset} if self._first == 0 and self._onset is not None else set()))

    def _start(self) -> np.ndarray | None:
        return None if self._onset is None else self._frames[self._onset]

    def _input(self, index: int) -> np.ndarray:
        return self._frames[self._first + index]


def _look(name: str, alignment: Alignment, onset: int) -> dict[str, Any]:
    """Say what of the faces the user should know; return what the record says of them.

    Raises
    ------
    LeftOutError
        If the face is too small.
    """
    matrix = alignment.matrix(onset)
    points = transform_points(alignment.landmarks, invert(matrix))
    low, high = points.min(0), points.max(0)
    across = float((high - low).max())
    if across < SMALLEST_FACE:
        raise _too_small(name, f"its face is {across:.0f} pixels across")
    looked = alignment.looked_at
    if alignment.several:
        where = "" if looked == 1 else f" in {len(alignment.several)} of {looked} frames looked at"
        x, y = (low + high) / 2
        _tell(
            f"{name}: more than one face{where}; taken is the largest (of those as large the most central), "
            f"{across:.0f} pixels across, its middle at x {x:.0f}, y {y:.0f}"
        )
    if alignment.missing:
        _tell(
            f"{name}: no face in {len(alignment.missing)} of {looked} frames looked at; they are aligned as "
            "the nearest frames with one"
        )
    return {
        "looked_at": looked,
        "without_face": len(alignment.missing),
        "several_faces": len(alignment.several),
        "face_pixels": round(across, 1),
        "onset_matrix": matrix.round(6).tolist(),
    }


def _tell(message: str) -> None:
    warnings.warn(message, MicroexpWarning, stacklevel=2)


def _too_small(name: str, what: str) -> LeftOutError:
    return LeftOutError(
        f"{name}: {what}, too small to be magnified: a face must be at least {SMALLEST_FACE} pixels across. "
        "Enlarge it first (microexp upscale)"
    )


def _row(title: str, weak: np.ndarray, strong: np.ndarray, start: np.ndarray) -> np.ndarray:
    flow = _flow(start, strong)
    longest = float(np.hypot(flow[..., 0], flow[..., 1]).max())
    panels = {
        title: weak,
        "magnified": strong,
        f"flow, to {longest:.1f} px": colour_flow(flow, longest or None),
        f"difference x{_DIFFERENCE}": np.minimum(cv2.absdiff(weak, strong), 255 // _DIFFERENCE) * _DIFFERENCE,
    }
    return np.hstack([titled(_panel(panel), text) for text, panel in panels.items()])


def _panel(picture: np.ndarray) -> np.ndarray:
    scale = min(_PANEL / max(picture.shape[:2]), 1.0)
    if scale == 1:
        return picture
    shape = max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1)
    return cv2.resize(picture, shape, interpolation=cv2.INTER_AREA)


def _flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the flow ``(H, W, 2)`` from a picture to another, pixels; small ones are widened for it."""
    height, width = first.shape[:2]
    least = max(_SMALLEST_FLOW, max(height, width) // 4)
    below, right = max(least - height, 0), max(least - width, 0)
    wide = (cv2.copyMakeBorder(p, 0, below, 0, right, cv2.BORDER_REPLICATE) for p in (first, second))
    grey, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in wide)
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return estimator.calc(grey, other, np.zeros((0, 0), np.float32))[:height, :width]
