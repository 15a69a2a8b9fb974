"""Bidirectional flow (BOWAM): from the apex back to the onset and on to the offset, fused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from microexp.errors import UnknownNameError
from microexp.motion.base import ClipFlow, FlowEstimator
from microexp.motion.farneback import Farneback

CARD = {
    "class": "Bidirectional",
    "title": "Bidirectional optical flow (BOFM)",
    "summary": "Flows from the apex to the onset and from the apex to the offset, added, multiplied or "
    "stacked.",
    "takes": "clips with onset, apex and offset",
    "gives": "flow (N, H, W, 2) float32, dx then dy, pixels; (N, H, W, 4) when stacked",
    "paper": {
        "authors": "Xie, Weicheng and Xiao, Hang and Fan, Weijia and Wang, Zihan and Yu, Zitong "
        "and Shen, Linlin",
        "title": "Micro-Expression Recognition Based on Bidirectional Optical Flow and Wavelet-Based "
        "Attention Mechanism",
        "venue": "Chinese Journal of Computers",
        "year": 2026,
        "doi": "10.11897/SP.J.1016.2026.00328",
    },
    "published": [
        {"source": "BOWAM, Table 5", "data": "MEGC2019", "fusion": "add", "UF1": 0.9090, "UAR": 0.9103},
        {"source": "BOWAM, Table 5", "data": "MEGC2019", "fusion": "multiply", "UF1": 0.8646, "UAR": 0.8777},
        {"source": "BOWAM, Table 5", "data": "MEGC2019", "fusion": "concat", "UF1": 0.8706, "UAR": 0.8817},
    ],
    "notes": [
        "The published figures are of BOWAM's whole network, its epoch picked on the test subject; they are "
        "no property of this flow.",
        "The sum of an expression displacement e at the apex and a steady head drift of h pixels a frame is "
        "-2e + h[(offset - apex) - (apex - onset)]: the drift cancels only where the apex is midway, not in "
        "general as the paper says.",
        "Parameters of Farneback are not published; ours are OpenCV's tutorial's.",
        "The product has the unit of square pixels and loses the sign of the motion.",
    ],
}

FUSIONS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "add": np.add,
        "multiply": np.multiply,
        "concat": lambda to_onset, to_offset: np.concatenate([to_onset, to_offset], axis=-1),
    }
)


class Bidirectional(ClipFlow):
    """Flow from the apex to the onset and from the apex to the offset, fused.

    Parameters
    ----------
    estimator : FlowEstimator or None
        Computes each of the two flows; None for `Farneback` at its defaults, as in BOWAM.
    fusion : {"add", "multiply", "concat"}
        Element-wise sum or product, or the two flows side by side (to the onset first).
    """

    key_frames = ("onset", "apex", "offset")

    def __init__(self, estimator: FlowEstimator | None = None, fusion: str = "add") -> None:
        self.estimator = estimator
        self.fusion = fusion

    def flow(self, onset: np.ndarray, apex: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Return the fused flow of three pictures.

        Parameters
        ----------
        onset, apex, offset : numpy.ndarray
            ``(H, W, 3) uint8 RGB``, of one size.

        Returns
        -------
        numpy.ndarray
            ``(H, W, 2) float32``, pixels; ``(H, W, 4)`` with ``fusion="concat"``: dx and dy to the onset,
            then dx and dy to the offset.

        Raises
        ------
        DataError
            If the pictures are not RGB of 8 bits or differ in size.
        UnknownNameError
            If there is no such fusion.
        """
        if self.fusion not in FUSIONS:
            raise UnknownNameError("fusion of flows", self.fusion, FUSIONS)
        estimator = self.estimator if self.estimator is not None else Farneback()
        return FUSIONS[self.fusion](estimator.flow(apex, onset), estimator.flow(apex, offset))

    def _flow_of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        onset, apex, offset = pictures
        return self.flow(onset, apex, offset)
