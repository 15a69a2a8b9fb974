"""Linear support vector machine on flow images: the baseline that every network has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.svm import LinearSVC

from microexp.clip import Clip
from microexp.motion.flow_image import FlowImage
from microexp.recognize.base import SklearnRecognizer

CARD = {
    "class": "LinearSVM",
    "title": "Linear SVM on flow images",
    "summary": "One linear map from a 28x28 motion picture to the classes; no paper's method, a yardstick.",
    "takes": "clips, or flow images (N, 3, 28, 28) float32 in [0, 1]",
    "gives": "labels (N,) int64, uncalibrated scores (N, K)",
    "notes": [
        "C = 0.001 with balanced class weights, fixed before any evaluation here; not tuned per database.",
        "Scores are the softmax of the one-versus-rest margins and are not calibrated probabilities.",
    ],
}


@dataclass(eq=False, repr=False)
class LinearSVM(SklearnRecognizer):
    """scikit-learn's `LinearSVC` on the flattened flow image.

    Parameters
    ----------
    C : float
        Inverse strength of the L2 penalty, > 0.
    class_weight : "balanced" or None
        "balanced" weighs each class by the inverse of its frequency.
    motion : transformer or None
        Clips to flow images ``(N, C, H, W)``; None for `FlowImage()` (TV-L1; u, v, strain; 28x28).
    random_state : int
        Seed of the solver.
    """

    feature_ndim = 4

    C: float = 0.001
    class_weight: str | None = "balanced"
    motion: TransformerMixin | None = None
    random_state: int = 0

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        return (self.motion or FlowImage()).fit_transform(clips)

    def classifier(self) -> Any:
        return LinearSVC(
            C=self.C, class_weight=self.class_weight, random_state=self.random_state, max_iter=10_000
        )
