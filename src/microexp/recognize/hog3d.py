"""3DHOG with a linear SVM: gradient orientations in space and time, in regions of the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.faces.alignment import landmarks_of
from microexp.faces.regions import hog3d_regions
from microexp.motion.bi_woof import direction_bin
from microexp.recognize._grey_histograms import GreyHistograms
from microexp.recognize._lbp import grey_frames

CARD = {
    "class": "HOG3D",
    "title": "3DHOG",
    "summary": "Gradient orientations on XY, XT and YT in 12 regions of the face, and a linear SVM.",
    "takes": "clips (aligned faces) of at least two frames, or features (N, 288) float32",
    "gives": "labels (N,) int64, uncalibrated scores (N, K)",
    "paper": {
        "authors": "Polikovsky, Senya and Kameda, Yoshinari and Ohta, Yuichi",
        "title": "Facial Micro-Expressions Recognition Using High Speed Camera and 3D-Gradient Descriptor",
        "venue": "International Conference on Imaging for Crime Detection and Prevention (ICDP)",
        "year": 2009,
        "doi": "10.1049/ic.2009.0244",
    },
    "presets": {"sr_mer": {"size": 256, "divisions": 1}},
    "notes": [
        "Known of the paper are 12 rectangles about points marked by hand and histograms of 3-D gradients; "
        "of the SR-MER benchmark one division in time and a linear SVM. Ours are the rectangles, at "
        "landmarks; 8 directions on each plane; magnitudes as weights; each region's 24 numbers divided by "
        "their length. So there is no preset 'paper'.",
        "Bins begin at the axes: a shift by less than a pixel a frame turns the gradient of XT or YT by less "
        "than 45 degrees, and only so do the two senses of a slow motion fall into different bins.",
        "Regions are at the landmarks that the aligner found, else at those of the canonical face, as for "
        "MDMO.",
        "Time is counted in frames and space in pixels of the grey frames, so the balance of space and time "
        "depends on frame rate and size.",
        "The benchmark's frames are 256x256 (preset 'sr_mer'); the defaults of 64x64 pixels and C = 100 "
        "without class weights are ours, as for LBP-TOP.",
    ],
}

_BINS = 8


@dataclass(eq=False, repr=False)
class HOG3D(GreyHistograms):
    """Gradient histograms, then a linear SVM; other parameters as `GreyHistograms`.

    Parameters
    ----------
    divisions : int
        Parts in time that onset to offset is cut into, each with histograms of its own.
    """

    divisions: int = 1

    def histograms(self, clip: Clip) -> np.ndarray:
        """Return ``(divisions * 12 * 24,) float32``; see `gradient_histograms`."""
        frames, (height, width) = grey_frames(clip, self.size), clip.size
        landmarks = (landmarks_of(clip) + 0.5) * self.size / (width, height) - 0.5
        masks = np.stack([region.mask(self.size, self.size) for region in hog3d_regions(landmarks)])
        return gradient_histograms(frames, masks, self.divisions)


def gradient_histograms(frames: np.ndarray, masks: np.ndarray, divisions: int = 1) -> np.ndarray:
    """Return the 3DHOG histograms of one clip.

    Gradients are central differences (one-sided at the ends) along x, y and time. On each of the planes XY,
    XT and YT a pixel counts for the bin of its gradient's direction as much as that gradient is long.

    Parameters
    ----------
    frames : numpy.ndarray
        ``(T, H, W)`` grey, T at least 2 and at least `divisions`.
    masks : numpy.ndarray
        ``(R, H, W) bool``: the regions; they may overlap.
    divisions : int
        Parts of equal length in time (within a frame).

    Returns
    -------
    numpy.ndarray
        ``(divisions * R * 24,) float32``: divisions, in each the regions, in each the planes XY, XT, YT, in
        each 8 bins, bin k from 45 k degrees on, counted from the plane's first axis towards its second. The
        24 numbers of a region have length 1, or are zeros where there is no gradient.

    Raises
    ------
    DataError
        If the frames are not ``(T, H, W)``, too few, or of another size than the masks.
    OptionError
        If `divisions` is less than 1.
    """
    if divisions < 1:
        raise OptionError(f"3DHOG: divisions must be at least 1, got {divisions}")
    frames, masks = np.asarray(frames, np.float32), np.asarray(masks)
    if frames.ndim != 3 or frames.shape[1:] != masks.shape[1:] or min(frames.shape) < 2:
        raise DataError(
            f"3DHOG takes at least 2 grey frames (T, H, W) and masks (R, H, W), got {frames.shape} and "
            f"{masks.shape}"
        )
    if len(frames) < divisions:
        raise DataError(f"3DHOG: {len(frames)} frames cannot be cut into {divisions} divisions")
    t, y, x = np.gradient(frames)
    votes = np.concatenate([_votes(*plane, divisions) for plane in ((x, y), (x, t), (y, t))], axis=-1)
    histograms = masks.reshape(len(masks), -1).astype(np.float32) @ votes
    length = np.linalg.norm(histograms, axis=-1, keepdims=True)
    return np.divide(histograms, length, out=np.zeros_like(histograms), where=length > 0).ravel()


def _votes(first: np.ndarray, second: np.ndarray, divisions: int) -> np.ndarray:
    """Return what each pixel votes on a plane over time, ``(divisions, H W, 8) float32``."""
    length, pixels = len(first), first[0].size
    part = np.arange(length) * divisions // length
    cell = part[:, np.newaxis] * pixels + np.arange(pixels)
    direction = direction_bin(np.stack([first, second], axis=-1), _BINS, start=0.0)
    index = cell * _BINS + direction.reshape(length, pixels)
    votes = np.bincount(index.ravel(), np.hypot(first, second).ravel(), divisions * pixels * _BINS)
    return votes.reshape(divisions, pixels, _BINS).astype(np.float32)
