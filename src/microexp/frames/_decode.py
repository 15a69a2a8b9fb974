"""What both reading and indexing a video need: opening it, whole frames in order, upright pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microexp.errors import DataError

# FFmpeg takes a text and a picture for a video, too, and opens the files that a list names.
_NO_VIDEO = ("tty", "image2", "hls", "dash", "concat", "imf")


class BrokenStreamError(Exception):
    """The stream cannot be decoded any further. Never reaches the user."""


@contextmanager
def opened(file: Path) -> Iterator[tuple[Any, Any]]:
    """Give the container and the video stream of a file.

    Raises
    ------
    DataError
        If it is no video, or has sound (or a cover picture) alone.
    """
    import av

    try:
        # "file:" keeps names with colons from being read as protocols; the option, playlists from fetching.
        with av.open(f"file:{file}", options={"protocol_whitelist": "file"}) as container:
            yield container, _video_stream(container, file)
    except av.error.FFmpegError as error:
        raise DataError(f"{file} cannot be read as a video: {_reason(file, error)}") from error


def go_to(container: Any, stream: Any, start: int | None) -> None:
    """Go on from a key frame; from the beginning if there is none or the container cannot seek."""
    import av

    if start is not None:
        with suppress(av.error.FFmpegError):  # it stays where it is then, and time stamps tell where that is
            container.seek(start, stream=stream, backward=True)


def whole_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames in the order of showing, up to the first damage.

    After a damaged packet a decoder goes on from guesses and does not always say so; hence nothing after it
    is given out. To go on, start from a later key frame.

    Raises
    ------
    BrokenStreamError
        After the last whole frame, if a packet is cut off or cannot be decoded.
    """
    import av

    for packet in container.demux(stream):
        bad = packet.is_corrupt
        try:
            frames = [] if bad else packet.decode()
        except av.error.FFmpegError:
            frames, bad = [], True
        for frame in frames:
            if frame.is_corrupt:
                raise BrokenStreamError
            yield frame
        if bad:
            yield from _held_back(stream, packet.pts)
            raise BrokenStreamError


def _held_back(stream: Any, pts: int | None) -> Iterator[Any]:
    """Yield the frames that the decoder holds and that are shown before the damaged one."""
    import av

    if pts is None:
        return
    try:
        for frame in stream.decode(None):
            if frame.pts is None or frame.pts >= pts or frame.is_corrupt:
                return
            yield frame
    except av.error.FFmpegError:
        return


@dataclass(frozen=True)
class View:
    """How a decoded frame becomes a picture: its size in square pixels, then turned upright.

    Attributes
    ----------
    width, height : int
        Size before turning.
    transpose, flip_x, flip_y : bool
        Rows become columns; then left and right, up and down are swapped.
    """

    width: int
    height: int
    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: Any, stream: Any) -> View:
        """Read the view off a frame and its stream."""
        aspect = float(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
        width = max(1, round(frame.width * aspect))
        matrix = next((m for m in map(_display_matrix, frame.side_data) if m is not None), None)
        if matrix is None:
            return cls(width, frame.height)
        # A point (x, y) of the frame is shown at (a x + c y, b x + d y); of a quarter turn two are zero.
        a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
        if abs(b) > abs(a):
            return cls(width, frame.height, transpose=True, flip_x=c < 0, flip_y=b < 0)
        return cls(width, frame.height, flip_x=a < 0, flip_y=d < 0)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright picture."""
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def picture(self, frame: Any, converter: Any) -> np.ndarray:
        """Return the picture, ``(H, W, 3) uint8 RGB``; a frame of another size is scaled to this one.

        The converter is a `VideoReformatter`: one for all frames, as what it prepares for the first takes
        longer than any frame.
        """
        rgb = converter.reformat(frame, self.width, self.height, "rgb24").to_ndarray()
        if self.transpose:
            rgb = rgb.transpose(1, 0, 2)
        rgb = rgb[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return np.ascontiguousarray(rgb)


def _display_matrix(side_data: Any) -> np.ndarray | None:
    if side_data.type.name != "DISPLAYMATRIX":
        return None
    return np.frombuffer(bytes(side_data), np.int32)


def _video_stream(container: Any, file: Path) -> Any:
    if container.format.name.startswith(_NO_VIDEO) or container.format.name.endswith("_pipe"):
        raise DataError(f"{file} is no video, but a picture, a text or a list of files")
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams:
        raise DataError(f"{file} has no video stream: it holds sound or other data alone")
    return streams[0]


def _reason(file: Path, error: Any) -> str:
    import av

    if isinstance(error, av.error.InvalidDataError):  # else it may not be there to be read
        with file.open("rb") as stream:
            head = stream.read(8)
        if head[4:] == b"ftyp":
            return "an MP4 without its index (moov), as of a recording that broke off or an incomplete copy"
    return error.strerror or str(error)
