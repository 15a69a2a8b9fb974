"""Flow pictures of a clip at its apex and at frames beside it: the input of BOWAM and its baseline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microexp.clip import Clip
from microexp.errors import UnknownNameError
from microexp.motion.base import ClipFlow, FlowEstimator
from microexp.motion.bidirectional import FUSIONS, Bidirectional
from microexp.motion.farneback import Farneback
from microexp.motion.flow_image import FlowImage

FLOWS = (*FUSIONS, "traditional", "mdmo")
ENCODINGS = ("hsv", "uvs", "uvm", "oms")
SHIFTS = (0, -2, -1, 1, 2)  # frames from the annotated apex, which comes first
BINS = 8  # of the directions of MDMO


class MainDirection(ClipFlow):
    """Flow from onset to apex, kept only where it goes the main way of its region.

    After MDMO (main directional mean optical flow): the main direction of a region is the fullest of eight
    bins. The regions are the cells of a grid, as flow pictures come without landmarks.

    Parameters
    ----------
    estimator : FlowEstimator or None
        Computes the flow; None for `Farneback` at its defaults.
    cells : int
        Cells along each side; 6 gives 36 regions, as many as MDMO's.
    """

    key_frames = ("onset", "apex")

    def __init__(self, estimator: FlowEstimator | None = None, cells: int = 6) -> None:
        self.estimator = estimator
        self.cells = cells

    def _flow_of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        estimator = self.estimator if self.estimator is not None else Farneback()
        return keep_main_direction(estimator.flow(*pictures), self.cells)


def keep_main_direction(flow: np.ndarray, cells: int = 6) -> np.ndarray:
    """Return a flow ``(H, W, 2)`` that is zero where it leaves the fullest of 8 directions of its cell.

    The bins are 45 degrees wide, the first centred on the motion to the right. Pixels at rest do not count.
    """
    height, width = flow.shape[:2]
    u, v = flow[..., 0], flow[..., 1]
    direction = np.rint(np.arctan2(v, u) * BINS / (2 * np.pi)).astype(np.int64) % BINS
    cell = cells * (np.arange(height) * cells // height)[:, None] + np.arange(width) * cells // width
    moves = (np.hypot(u, v) > 0).ravel().astype(np.float64)
    counts = np.bincount((BINS * cell + direction).ravel(), moves, BINS * cells**2)
    main = counts.reshape(-1, BINS).argmax(axis=1)
    return np.where((direction == main[cell])[..., None], flow, np.float32(0))


def flow_source(flow: str, estimator: FlowEstimator | None) -> ClipFlow:
    """Return what computes the flow of that name: one of `FLOWS`.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    """
    if flow in FUSIONS:
        return Bidirectional(estimator, flow)
    if flow not in FLOWS:
        raise UnknownNameError("flow", flow, FLOWS)
    if flow == "mdmo":
        return MainDirection(estimator)
    return estimator if estimator is not None else Farneback()


def encode_flow(flow: np.ndarray, encoding: str, size: int) -> np.ndarray:
    """Return flows as pictures of three channels each.

    Parameters
    ----------
    flow : numpy.ndarray
        ``(H, W, 2 K)``, pixels.
    encoding : {"hsv", "uvs", "uvm", "oms"}
        "hsv": the colours of `FlowImage`, in [0, 1]. "uvs", "uvm": u, v and strain or magnitude, scaled
        "signed" by `FlowImage`, in [-1, 1]. "oms": orientation (a full turn is 1; 0 is to the right, 1/4
        downwards), magnitude and strain, the latter two min-max, in [0, 1].
    size : int
        Height and width, pixels.

    Returns
    -------
    numpy.ndarray
        ``(3 K, size, size) float32``.

    Raises
    ------
    UnknownNameError
        If there is no such encoding.
    """
    if encoding == "hsv":
        return FlowImage(channels="hsv", size=size).images(flow[None])[0]
    if encoding in ("uvs", "uvm"):
        third = "strain" if encoding == "uvs" else "magnitude"
        return FlowImage(channels=("u", "v", third), scaling="signed", size=size).images(flow[None])[0]
    if encoding != "oms":
        raise UnknownNameError("encoding of flow", encoding, ENCODINGS)
    plain = FlowImage(channels=("u", "v"), scaling="none", size=size).images(flow[None])[0]
    scaled = FlowImage(channels=("magnitude", "strain"), size=size).images(flow[None])[0]
    pairs = zip(plain.reshape(-1, 2, size, size), scaled.reshape(-1, 2, size, size), strict=True)
    pictures = []
    for (u, v), (magnitude, strain) in pairs:
        pictures += [np.arctan2(v, u) / (2 * np.pi) % 1, magnitude, strain]
    return np.stack(pictures).astype(np.float32)


def shifted_apexes(clip: Clip, shifts: Sequence[int] = SHIFTS) -> list[int]:
    """Return the apex of a clip moved by each of `shifts` frames, kept strictly between onset and offset.

    The annotated apex itself is always allowed; where the offset is unknown the clip's last frame is the
    limit.

    Raises
    ------
    DataError
        If the apex is not annotated.
    """
    apex = clip.key_index("apex")
    last = len(clip) - 1 if clip.offset is None else clip.offset - 1
    low, high = min(clip.onset + 1, apex), max(last, apex)
    return [min(max(apex + shift, low), high) for shift in shifts]


def flow_views(clip: Clip, source: ClipFlow, encoding: str, size: int, shifts: Sequence[int]) -> np.ndarray:
    """Return the flow pictures of a clip with its apex where it is and moved, ``(V, C, size, size) float32``.

    Raises
    ------
    DataError
        If the clip lacks the annotation of a frame that is needed.
    """
    apexes = shifted_apexes(clip, shifts)
    known = {
        apex: encode_flow(source.clip_flow(clip.replace(apex=apex)), encoding, size) for apex in set(apexes)
    }
    return np.stack([known[apex] for apex in apexes])
