"""The index of a video: how many frames, when each is shown, where to start decoding, what is damaged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microexp.errors import DataError
from microexp.frames._decode import BrokenStreamError, View, go_to, opened, whole_frames

# Codecs of which one packet is one frame. Not so VP8, which has packets that are not shown, and MPEG-4 part
# 2, which may pack two frames in one; their frames are counted by decoding.
_ONE_PACKET_ONE_FRAME = frozenset(
    {
        "av1",
        "libdav1d",
        "ffv1",
        "ffvhuff",
        "h264",
        "hevc",
        "huffyuv",
        "mjpeg",
        "png",
        "prores",
        "rawvideo",
        "vp9",
    }
)
_STAMPED = ("mov", "matroska")  # containers whose packets say when they are shown
_EARLY = 0.1  # seconds that a file may end before its header says


@dataclass(frozen=True)
class VideoIndex:
    """What is known of a video before its pictures are read.

    Attributes
    ----------
    times : numpy.ndarray
        ``(T,) float64``, seconds from the first frame.
    fps : float
        Average rate.
    view : View
        From a decoded frame to the upright picture.
    pts : numpy.ndarray or None
        ``(T,) int64`` ascending: time stamps in units of the stream; None where frames can only be counted.
    keys : numpy.ndarray
        Ascending time stamps of the frames from which decoding can start.
    damage : str or None
        What is damaged and how much is used.
    """

    times: np.ndarray
    fps: float
    view: View
    pts: np.ndarray | None
    keys: np.ndarray
    damage: str | None


@dataclass(frozen=True)
class _Listing:
    """The packets of a video stream, and what the stream says of itself.

    Attributes
    ----------
    pts : numpy.ndarray
        Time stamps of the packets that are shown, ascending; meaningless unless `stamped`.
    keys : numpy.ndarray
        Time stamps of the key frames, ascending, with those that are decoded but not shown.
    packets : int
        How many are shown.
    cut : bool
        Whether a packet is cut off.
    stamped : bool
        Whether time stamps tell the frames apart.
    one_packet_one_frame : bool
        Whether the packets can stand for the frames.
    base, rate, promised : float
        Seconds per unit of the stream, frames per second, seconds that the header promises (0 if none).
    view : View
        How the first frame becomes a picture.
    """

    pts: np.ndarray
    keys: np.ndarray
    packets: int
    cut: bool
    stamped: bool
    one_packet_one_frame: bool
    base: float
    rate: float
    promised: float
    view: View

    @classmethod
    def of(cls, file: Path) -> _Listing:
        """List a file; raise `DataError` if not even its first frame can be decoded."""
        view = _first_view(file)
        with opened(file) as (container, stream):
            # Facts of the packets alone: the packets themselves are the file.
            packets = [
                (p.pts, p.is_keyframe, p.is_discard, p.is_corrupt) for p in container.demux(stream) if p.size
            ]
            shown = [pts for pts, _, discard, _ in packets if not discard]
            keys = [pts for pts, key, _, _ in packets if key and pts is not None]
            intra = len(keys) == len(packets)  # each packet a picture: then AVI's stamps are of showing, too
            told = None not in shown and len(set(shown)) == len(shown)
            stamped = told and (intra or container.format.name.startswith(_STAMPED))
            return cls(
                pts=np.array(sorted(shown) if stamped else [], np.int64),
                keys=np.array(sorted(keys) if stamped else [], np.int64),
                packets=len(shown),
                cut=any(corrupt for *_, corrupt in packets),
                stamped=stamped,
                one_packet_one_frame=stamped and stream.codec_context.name in _ONE_PACKET_ONE_FRAME,
                base=float(stream.time_base or 1),
                rate=float(stream.average_rate or 25),
                promised=_promised(container, stream),
                view=view,
            )

    def ends_whole(self, file: Path) -> bool:
        """Whether the last group of pictures decodes to just the frames that its packets promise."""
        if self.cut or not len(self.keys):
            return False
        start = int(self.keys[self.keys <= self.pts[-1]][-1])
        found, whole = _decoded(file, start)  # with frames shown before the key frame but stored after it
        expected = self.pts[self.pts >= start]
        return whole and [p for p in found if p is not None and p >= start] == expected.tolist()

    def index(self, count: int, pts: np.ndarray | None, whole: bool) -> VideoIndex:
        """Return the index of `count` frames that are shown at `pts`."""
        seconds = np.arange(count) / self.rate if pts is None else pts * self.base
        times = (seconds - seconds[0]).astype(np.float64)
        fps = (count - 1) / float(times[-1]) if count > 1 else self.rate
        if whole:
            damage = self._ends_early(times)
        else:
            lost = max(self.packets - count, 0)
            damage = (
                f"damaged after {times[-1]:.2f} s: the first {count} frames are used, about {lost} are lost"
            )
        return VideoIndex(times, fps, self.view, pts, self.keys, damage)

    def _ends_early(self, times: np.ndarray) -> str | None:
        gap = float(np.diff(times).max()) if len(times) > 1 else 1 / self.rate
        end = float(times[-1]) + gap
        if self.promised - end <= max(_EARLY, 2 * gap):
            return None
        return (
            f"cut off: the file says that it lasts {self.promised:.2f} s, but it ends after {end:.2f} s; "
            f"the {len(times)} frames that are there are used"
        )


def index_video(file: Path) -> VideoIndex:
    """Index a video by its packets where these are frames and the end is whole, else by decoding all.

    The packets of 20 minutes of 640x480 are listed in a fraction of a second; decoding the frames takes some
    seventy times as long (``benchmarks/results/video.json``).

    Raises
    ------
    DataError
        If the file is no video or holds not one whole frame.
    """
    listing = _Listing.of(file)
    if listing.one_packet_one_frame and listing.ends_whole(file):
        return listing.index(len(listing.pts), listing.pts, whole=True)
    found, whole = _decoded(file, None)
    whole = whole and not listing.cut
    exact = listing.stamped and None not in found and len(set(found)) == len(found)
    if not exact:
        return listing.index(len(found), None, whole)
    shown = np.sort(np.array(found, np.int64))
    if not whole and listing.one_packet_one_frame:  # a frame may be missing before others that are there
        there = np.isin(listing.pts, shown)
        shown = listing.pts[: len(there) if there.all() else int(np.argmin(there))]
    if len(shown) == 0:
        raise _no_whole_frame(file)
    return listing.index(len(shown), shown, whole)


def _decoded(file: Path, start: int | None) -> tuple[list[int | None], bool]:
    """Return the time stamps of the whole frames from a key frame on, and whether they go on to the end."""
    found = []
    with opened(file) as (container, stream):
        go_to(container, stream, start)
        try:
            for frame in whole_frames(container, stream):
                found.append(frame.pts)  # noqa: PERF401 (what was found before the damage counts)
        except BrokenStreamError:
            return found, False
    return found, True


def _first_view(file: Path) -> View:
    with opened(file) as (container, stream):
        try:
            for frame in whole_frames(container, stream):
                return View.of(frame, stream)
        except BrokenStreamError:
            pass
    raise _no_whole_frame(file)


def _no_whole_frame(file: Path) -> DataError:
    return DataError(f"{file} is damaged: not one frame of it is whole")


def _promised(container: Any, stream: Any) -> float:
    """Seconds that the header promises for the pictures; 0 where it speaks of sound, too, or guesses."""
    name = container.format.name
    if name.startswith("mov") and stream.duration:
        return float(stream.duration * stream.time_base)
    if name.startswith("matroska") and container.duration and len(container.streams) == 1:
        return container.duration / 1e6
    return 0.0
