"""LBP-SIP with a linear SVM: local binary patterns of six intersection points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.clip import Clip
from microexp.recognize._grey_histograms import GreyHistograms
from microexp.recognize._lbp import grey_frames, lbp_sip

CARD = {
    "class": "LBPSIP",
    "title": "LBP-SIP",
    "summary": "Local binary patterns of the four neighbours in space and the two in time, and a linear SVM.",
    "takes": "clips (aligned faces), or features (N, 500) float32",
    "gives": "labels (N,) int64, uncalibrated scores (N, K)",
    "paper": {
        "authors": "Wang, Yandan and See, John and Phan, Raphael C.-W. and Oh, Yee-Hui",
        "title": "LBP with Six Intersection Points: Reducing Redundant Information in LBP-TOP for "
        "Micro-expression Recognition",
        "venue": "Asian Conference on Computer Vision (ACCV)",
        "year": 2014,
        "doi": "10.1007/978-3-319-16865-4_34",
    },
    "published": [
        {
            "source": "LBP-SIP, abstract",
            "data": "CASME II, its own classes",
            "accuracy": 0.6721,
            "protocol": "leave one sample out: clips of the test subject are in the training set",
        },
    ],
    "presets": {
        "sr_mer": {"n_frames": None, "size": 256, "blocks": 5, "radii": (1, 3), "levels": 1},
        "paper": {"n_frames": None, "levels": 2},
    },
    "notes": [
        "20 bins a block where LBP-TOP has 48: 16 of the neighbours in space, 4 of those in time. 5x5 blocks "
        "without overlap; histograms sum to 1.",
        "The SR-MER benchmark says only that R is 1 and 3; here that is 1 in space and 3 in time. The work "
        "it cites for LBP-SIP is another one, on colour spaces. Its frames are 256x256; it names temporal "
        "interpolation for another method only, so preset 'sr_mer' has none.",
        "The paper joins the histograms of all levels of a Gaussian pyramid. How many levels, which radii "
        "and which kernel is in no source that could be opened: preset 'paper' has a pyramid, of 2 levels, "
        "and is ours in all else.",
        "Ours, as for LBP-TOP: TIM to 10 frames and 64x64 pixels by area as defaults; C = 100 without class "
        "weights.",
    ],
}


@dataclass(eq=False, repr=False)
class LBPSIP(GreyHistograms):
    """LBP-SIP histograms, then a linear SVM; other parameters as `GreyHistograms`.

    Parameters
    ----------
    n_frames : int or None
        Frames after temporal interpolation of onset to offset, > 2 * radii[1]; None for the clip's own
        frames from onset to offset.
    blocks : int
        Blocks along each side.
    radii : tuple of int
        Distance of the neighbours in space and in time.
    levels : int
        Levels of the Gaussian pyramid; each halves the frames.
    """

    n_frames: int | None = 10
    blocks: int = 5
    radii: tuple[int, int] = (1, 3)
    levels: int = 1

    def histograms(self, clip: Clip) -> np.ndarray:
        """Return ``(levels * blocks * blocks * 20,) float32``; see `lbp_sip`."""
        frames = grey_frames(clip, self.size, self.n_frames)
        return lbp_sip(frames, self.blocks, self.radii, self.levels)
