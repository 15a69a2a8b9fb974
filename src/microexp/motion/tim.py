"""Temporal interpolation (TIM): every clip resampled to the same number of frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from microexp.cache import source_hash
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.frames import Frames
from microexp.stateless import Stateless

CARD = {
    "class": "TIM",
    "title": "Temporal interpolation model (TIM)",
    "summary": "Resamples a clip, onset to offset, to a fixed number of frames on a path-graph manifold.",
    "takes": "clips",
    "gives": "clips of n_frames frames, onset first and offset last",
    "paper": {
        "authors": "Zhou, Ziheng and Zhao, Guoying and Pietikäinen, Matti",
        "title": "Towards a Practical Lipreading System",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2011,
        "doi": "10.1109/CVPR.2011.5995345",
    },
    "notes": [
        "Closed form: the paper's SVD, regression and eigenvectors cancel, and what is left is interpolation "
        "in the cosine basis (DCT-II), one n x m matrix for all pixels. It agrees with the SVD pipeline to "
        "1e-13 "
        "and, unlike it, does not fail where frames are linearly dependent.",
        "Left open by the paper: m = 1 gives the frame at the middle of the span; n = 1 repeats the frame.",
        "The frames are rounded to uint8 and clipped; between frames the curve can overshoot.",
        "Where the offset is unknown the segment ends with the clip and the new offset stays unknown.",
    ],
}


def tim_matrix(n: int, m: int) -> np.ndarray:
    """Return the matrix R that interpolates n frames to m: ``new = R.T @ frames``.

    Frame i (from 1) is weighed at time t by
    ``1/n + 2/n sum_k cos(pi k (i - 1/2)/n) cos(pi k (n t - 1/2)/n)``, k = 1..n-1, at m equally spaced
    times from 1/n (the first frame) to 1 (the last).

    Parameters
    ----------
    n, m : int
        Frames there are and frames wanted, >= 1. With n = 1 the frame is repeated; with m = 1 the one
        frame is that at the middle of the span.

    Returns
    -------
    numpy.ndarray
        ``(n, m) float64``; columns sum to 1, m = n gives the identity.

    Raises
    ------
    OptionError
        If n or m is less than 1.
    """
    if n < 1 or m < 1:
        raise OptionError(f"temporal interpolation needs at least one frame in and out, got {n} and {m}")
    position = np.linspace(0.5, n - 0.5, m) if m > 1 else np.array([n / 2])  # n t - 1/2
    k = np.arange(1, n)
    basis = np.cos(np.pi / n * np.outer(np.arange(n) + 0.5, k))
    return 1 / n + 2 / n * basis @ np.cos(np.pi / n * np.outer(k, position))


def interpolate(frames: np.ndarray, m: int) -> np.ndarray:
    """Resample an array of frames in time.

    Parameters
    ----------
    frames : numpy.ndarray
        ``(n, ...)``, time first; ``uint8`` or floating.
    m : int
        Frames wanted, >= 1.

    Returns
    -------
    numpy.ndarray
        ``(m, ...)`` of the same type; ``uint8`` is rounded and clipped to 0..255.

    Raises
    ------
    DataError
        If there are no frames, or their type is neither ``uint8`` nor floating.
    OptionError
        If m is less than 1.
    """
    frames = np.asarray(frames)
    if frames.ndim < 1 or len(frames) == 0:
        raise DataError("there are no frames to interpolate")
    if frames.dtype != np.uint8 and not np.issubdtype(frames.dtype, np.floating):
        raise DataError(f"frames are uint8 or floating, not {frames.dtype}")
    return _weighted(frames, tim_matrix(len(frames), m), frames.dtype)


class TIM(Stateless):
    """Resample clips to one number of frames.

    Parameters
    ----------
    n_frames : int
        Frames wanted, >= 1; MEGC2019's baseline takes 10.
    """

    def __init__(self, n_frames: int = 10) -> None:
        self.n_frames = n_frames

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        """Return clips of `n_frames` frames, from onset to offset (or the clip's end where it is unknown).

        The frames are computed when they are read, and held for one clip at a time. The onset becomes 0,
        the offset (where known) the last frame, the apex the frame nearest in time; fps changes so that
        the span from first to last frame lasts as long as before (it stays as it is where either has one
        frame). ``metadata["truth"]`` is dropped, for it speaks of the old frames.

        Raises
        ------
        OptionError
            If `n_frames` is less than 1.
        """
        if self.n_frames < 1:
            raise OptionError(f"TIM: n_frames must be at least 1, got {self.n_frames}")
        return [self._resample(clip) for clip in clips]

    def _resample(self, clip: Clip) -> Clip:
        end = clip.offset if clip.offset is not None else len(clip) - 1
        old, new = end - clip.onset, self.n_frames - 1
        rate = new / old if old and new else 1.0
        apex = None if clip.apex is None else min(round((clip.apex - clip.onset) * rate), new)
        return clip.replace(
            frames=_InterpolatedFrames(clip.frames, clip.onset, end + 1, self.n_frames),
            fps=clip.fps * rate,
            onset=0,
            apex=apex,
            offset=None if clip.offset is None else new,
            metadata={key: value for key, value in clip.metadata.items() if key != "truth"},
        )


class _InterpolatedFrames(Frames):
    """Frames ``start`` to ``stop - 1`` of a source, resampled to m when they are read."""

    def __init__(self, source: Frames, start: int, stop: int, m: int) -> None:
        self._source, self._start, self._stop, self._m = source, start, stop, m

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self._m, *self._source.shape[1:])

    def __len__(self) -> int:
        return self._m

    def read(self, index: int) -> np.ndarray:
        return _block(self)[index]

    def identity(self, indices: Sequence[int]) -> object:
        source = self._source.fingerprint(range(self._start, self._stop))
        return None if source is None else (source, self._m, source_hash("microexp.motion.tim"))

    def compute(self) -> np.ndarray:
        """Return all m frames; each source frame is read once."""
        frames = (self._source[i] for i in range(self._start, self._stop))
        return _weighted(frames, tim_matrix(self._stop - self._start, self._m), np.dtype(np.uint8))


@lru_cache(maxsize=1)
def _block(frames: _InterpolatedFrames) -> np.ndarray:
    """Return the frames of one clip, kept until another clip is read."""
    return frames.compute()


def _weighted(frames: Iterable[np.ndarray], weights: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return ``weights.T @ frames``, one frame at a time."""
    work = np.float64 if dtype == np.float64 else np.float32
    total: np.ndarray | None = None
    for frame, row in zip(frames, weights.astype(work), strict=True):
        part = np.multiply.outer(row, frame.astype(work))
        total = part if total is None else np.add(total, part, out=total)
    if total is None:
        raise DataError("there are no frames to interpolate")
    return np.clip(np.rint(total), 0, 255).astype(dtype) if dtype == np.uint8 else total.astype(dtype)
