"""What the recognisers by histograms of grey frames (LBP-TOP, LBP-SIP, 3DHOG) have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.svm import SVC

from microexp.clip import Clip
from microexp.errors import DataError
from microexp.recognize.base import SklearnRecognizer


@dataclass(eq=False, repr=False)
class GreyHistograms(SklearnRecognizer):
    """Histograms of grey frames, then scikit-learn's ``SVC(kernel="linear")``; a subclass gives `histograms`.

    Parameters
    ----------
    size : int
        Height and width of the grey frames, pixels.
    C : float
        Inverse strength of the SVM's penalty, > 0.
    class_weight : "balanced" or None
        "balanced" weighs each class by the inverse of its frequency.
    """

    feature_ndim = 2

    size: int = 64
    C: float = 100.0
    class_weight: str | None = None

    @abstractmethod
    def histograms(self, clip: Clip) -> np.ndarray:
        """Return the histograms of one clip, ``(D,) float32``."""

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the histograms of each clip, ``(N, D) float32``.

        Raises
        ------
        DataError
            If there is no clip, or one has too few frames or pixels; the message names it.
        """
        if len(clips) == 0:
            raise DataError("there are no clips to describe")
        return np.stack([self._named(clip) for clip in clips])

    def classifier(self) -> Any:
        return SVC(kernel="linear", C=self.C, class_weight=self.class_weight, break_ties=True)

    def _named(self, clip: Clip) -> np.ndarray:
        try:
            return self.histograms(clip)
        except DataError as error:
            raise DataError(f"{clip.identity}: {error}") from error
