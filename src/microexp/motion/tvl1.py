"""TV-L1 optical flow: accurate at sub-pixel motion and sharp at its borders, but slow."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from microexp.errors import MicroexpError, UnknownNameError
from microexp.motion.base import FlowEstimator

CARD = {
    "class": "TVL1",
    "title": "TV-L1 optical flow",
    "summary": "Dense flow that minimises the L1 brightness difference plus the total variation of the flow.",
    "takes": "two frames (H, W, 3) uint8 RGB, or clips (onset to apex)",
    "gives": "flow (H, W, 2) float32, dx then dy, pixels; (N, H, W, 2) of clips",
    "paper": {
        "authors": "Zach, Christopher and Pock, Thomas and Bischof, Horst",
        "title": "A Duality Based Approach for Realtime TV-L1 Optical Flow",
        "venue": "DAGM Symposium on Pattern Recognition",
        "year": 2007,
        "doi": "10.1007/978-3-540-74936-3_22",
    },
    "notes": [
        "OpenCV's implementation, DualTVL1OpticalFlow, which follows Sanchez Perez, Meinhardt-Llopis and "
        "Facciolo (IPOL 2013, doi 10.5201/ipol.2013.26), the implementation that STSTNet names.",
        "'default' are OpenCV's own parameters; STSTNet publishes none. 'fast' (2 warps, 4 scales, 4 outer "
        "and 10 inner iterations, epsilon 0.02) is ours: 4 to 6 times faster; docs/flow_error.md compares "
        "them.",
    ],
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": {},
        "fast": {"warps": 2, "nscales": 4, "outerIterations": 4, "innnerIterations": 10, "epsilon": 0.02},
    }  # "innner" is OpenCV's spelling
)


class TVL1(FlowEstimator):
    """OpenCV's ``DualTVL1OpticalFlow`` on grey pictures.

    Parameters
    ----------
    preset : {"default", "fast"}
        OpenCV's own parameters, or fewer warps, scales and iterations.

    Raises
    ------
    MicroexpError
        When used, if the installed cv2 lacks the ``optflow`` module.
    UnknownNameError
        When used, if there is no such preset.
    """

    def __init__(self, preset: str = "default") -> None:
        self.preset = preset

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if self.preset not in PRESETS:
            raise UnknownNameError("TV-L1 preset", self.preset, PRESETS)
        optflow: Any = getattr(cv2, "optflow", None)
        if optflow is None:
            raise MicroexpError(
                "TV-L1 needs cv2.optflow, which this cv2 lacks: the opencv-* wheels overwrite each other, so "
                "uninstall all of them, then install opencv-contrib-python-headless alone"
            )
        method = optflow.DualTVL1OpticalFlow_create(**PRESETS[self.preset])
        return method.calc(first, second, None)
