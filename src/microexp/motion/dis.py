"""DIS optical flow: the fastest dense flow here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np

from microexp.errors import UnknownNameError
from microexp.motion.base import FlowEstimator

CARD = {
    "class": "DIS",
    "title": "DIS optical flow",
    "summary": "Dense flow by inverse search of patches on a coarse grid, then refined.",
    "takes": "two frames (H, W, 3) uint8 RGB, or clips (onset to apex)",
    "gives": "flow (H, W, 2) float32, dx then dy, pixels; (N, H, W, 2) of clips",
    "paper": {
        "authors": "Kroeger, Till and Timofte, Radu and Dai, Dengxin and Van Gool, Luc",
        "title": "Fast Optical Flow Using Dense Inverse Search",
        "venue": "European Conference on Computer Vision (ECCV)",
        "year": 2016,
        "doi": "10.1007/978-3-319-46493-0_29",
    },
    "notes": [
        "OpenCV's implementation and its three presets, unchanged. 'medium' refines at a finer scale than "
        "'fast' and 'ultrafast', which are off by up to 0.1 px on a known sub-pixel shift.",
        "A picture must be at least 12 pixels wide and high.",
    ],
}

PRESETS: Mapping[str, int] = MappingProxyType(
    {
        "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
        "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
        "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    }
)


class DIS(FlowEstimator):
    """OpenCV's ``DISOpticalFlow`` on grey pictures.

    Parameters
    ----------
    preset : {"medium", "fast", "ultrafast"}
        From accurate to quick.

    Raises
    ------
    UnknownNameError
        When used, if there is no such preset.
    """

    def __init__(self, preset: str = "medium") -> None:
        self.preset = preset

    def _flow(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        if self.preset not in PRESETS:
            raise UnknownNameError("DIS preset", self.preset, PRESETS)
        no_start = np.zeros((0, 0), np.float32)
        return cv2.DISOpticalFlow.create(PRESETS[self.preset]).calc(first, second, no_start)
