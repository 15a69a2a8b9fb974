"""Bi-WOOF: directions of the flow in blocks, weighted by how far it goes and how much it strains the skin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.motion.base import FlowEstimator
from microexp.motion.strain import optical_strain
from microexp.motion.tvl1 import TVL1
from microexp.stateless import Stateless

CARD = {
    "class": "BiWOOF",
    "title": "Bi-weighted oriented optical flow (Bi-WOOF)",
    "summary": "Histograms of flow direction in 5x5 blocks, weighted by magnitude within and strain between "
    "blocks.",
    "takes": "clips (aligned faces) with onset and apex",
    "gives": "features (N, 200) float32 of length 1, >= 0",
    "paper": {
        "authors": "Liong, Sze-Teng and See, John and Wong, KokSheik and Phan, Raphael C.-W.",
        "title": "Less is More: Micro-Expression Recognition from Video Using Apex Frame",
        "venue": "Signal Processing: Image Communication",
        "year": 2018,
        "doi": "10.1016/j.image.2017.11.006",
        "url": "https://arxiv.org/abs/1606.01721",
    },
    "notes": [
        "A block weighs as much as the mean of its strain, as in the paper; its authors' code takes the sum "
        "(strain='sum'). With blocks of equal size that is the same, as the whole is scaled to length 1.",
        "Blocks share no pixel, and their sides differ by one at most; in the authors' code they overlap by "
        "one or two pixels.",
        "TV-L1 at OpenCV's own parameters; the authors' code starts from flow that is already computed, and "
        "does not say how.",
        "Directions are of image axes, y downwards; 8 bins of 45 degrees from -180.",
        "Flow without strain (a rigid translation) gives zeros, where the authors' code divides by zero.",
    ],
}

POOLINGS = ("mean", "sum")


class BiWOOF(Stateless):
    """`bi_woof` of the flow from onset to apex.

    Parameters
    ----------
    estimator : FlowEstimator or None
        Computes the flow; None for `TVL1` at its defaults.
    blocks : int
        Blocks along each side.
    bins : int
        Directions.
    strain : {"mean", "sum"}
        Weight of a block: mean or sum of its strain.
    """

    def __init__(
        self, estimator: FlowEstimator | None = None, blocks: int = 5, bins: int = 8, strain: str = "mean"
    ) -> None:
        self.estimator = estimator
        self.blocks = blocks
        self.bins = bins
        self.strain = strain

    def transform(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the descriptor of each clip, ``(N, blocks * blocks * bins) float32``.

        The clips may differ in size.

        Raises
        ------
        DataError
            If there is no clip, or one lacks an apex or is too small for the blocks.
        OptionError
            If a parameter has a value that cannot be used.
        """
        if len(clips) == 0:
            raise DataError("there are no clips to describe by Bi-WOOF")
        return np.stack([self._describe(clip) for clip in clips])

    def _describe(self, clip: Clip) -> np.ndarray:
        estimator = self.estimator if self.estimator is not None else TVL1()
        flow = estimator.clip_flow(clip)
        try:
            return bi_woof(flow, self.blocks, self.bins, self.strain)
        except DataError as error:
            raise DataError(f"{clip.identity}: {error}") from error


def bi_woof(flow: np.ndarray, blocks: int = 5, bins: int = 8, strain: str = "mean") -> np.ndarray:
    """Return the Bi-WOOF descriptor of one flow (Liong et al. 2018).

    In each block a pixel counts for the bin of its direction as much as its flow is long; the histogram is
    divided by its sum, then multiplied by the mean (or sum) of the block's strain; the whole is divided by
    its length.

    Parameters
    ----------
    flow : numpy.ndarray
        ``(H, W, 2)``, dx then dy, pixels.
    blocks : int
        Blocks along each side.
    bins : int
        Directions: equal sectors from -180 degrees, towards the y axis (clockwise on screen).
    strain : {"mean", "sum"}
        Weight of a block.

    Returns
    -------
    numpy.ndarray
        ``(blocks * blocks * bins,) float32``, >= 0, of length 1; zeros where nothing is strained. Blocks row
        by row, in each the bins.

    Raises
    ------
    DataError
        If the flow is not ``(H, W, 2)`` or has fewer pixels than blocks along a side.
    OptionError
        If `blocks` or `bins` is less than 1, or there is no such weight.
    """
    if blocks < 1 or bins < 1:
        raise OptionError(f"Bi-WOOF: blocks and bins must be at least 1, got {blocks} and {bins}")
    if strain not in POOLINGS:
        raise UnknownNameError("weight of Bi-WOOF's blocks", strain, POOLINGS)
    flow = np.asarray(flow, np.float64)
    if flow.ndim != 3 or flow.shape[2] != 2 or min(flow.shape[:2]) < max(blocks, 2):
        raise DataError(
            f"Bi-WOOF of {blocks}x{blocks} blocks takes flow (H, W, 2), each block at least a pixel, "
            f"got {flow.shape}"
        )
    block = _block_of_pixel(flow.shape[0], flow.shape[1], blocks)
    weights = np.hypot(flow[..., 0], flow[..., 1])
    cell = block * bins + direction_bin(flow, bins)
    histograms = np.bincount(cell.ravel(), weights.ravel(), blocks**2 * bins).reshape(-1, bins)
    strained = np.bincount(block.ravel(), optical_strain(flow).ravel(), blocks**2)
    weight = strained / np.bincount(block.ravel()) if strain == "mean" else strained
    weighted = _over(histograms, histograms.sum(axis=1, keepdims=True)) * weight[:, np.newaxis]
    return _over(weighted, np.linalg.norm(weighted)).ravel().astype(np.float32)


def direction_bin(flow: np.ndarray, bins: int, start: float = -1.0) -> np.ndarray:
    """Return the sector of the direction of each vector.

    Parameters
    ----------
    flow : numpy.ndarray
        ``(..., 2)``, dx then dy.
    bins : int
        Equal sectors of the full turn.
    start : float
        Where sector 0 begins, in half turns from the x axis towards the y axis.

    Returns
    -------
    numpy.ndarray
        ``(...) int64``, 0 to bins - 1. A vector of length 0 counts as pointing along the x axis.
    """
    half_turns = np.arctan2(flow[..., 1], flow[..., 0]) / np.pi - start
    return np.floor(half_turns * bins / 2).astype(np.int64) % bins


def _block_of_pixel(height: int, width: int, blocks: int) -> np.ndarray:
    """Return the block each pixel lies in, ``(height, width) int64``, numbered row by row."""
    rows, columns = np.arange(height) * blocks // height, np.arange(width) * blocks // width
    return rows[:, np.newaxis] * blocks + columns


def _over(values: np.ndarray, total: np.ndarray | np.floating) -> np.ndarray:
    """Return values / total, zero where the total is zero."""
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)
