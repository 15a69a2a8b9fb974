"""MDMO with a support vector machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.svm import SVC

from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.motion.mdmo import MDMO, N_REGIONS
from microexp.recognize.base import SklearnRecognizer

CARD = {
    "class": "MDMOSVM",
    "title": "MDMO",
    "summary": "Mean flow in the main direction of 36 regions of the face, and a polynomial SVM.",
    "takes": "clips (aligned faces) of at least two frames, or features (N, 72) float32",
    "gives": "labels (N,) int64, uncalibrated scores (N, K)",
    "paper": {
        "authors": "Liu, Yong-Jin and Zhang, Jin-Kai and Yan, Wen-Jing and Wang, Su-Jing and Zhao, Guoying "
        "and Fu, Xiaolan",
        "title": "A Main Directional Mean Optical Flow Feature for Spontaneous Micro-Expression Recognition",
        "venue": "IEEE Transactions on Affective Computing",
        "year": 2016,
        "doi": "10.1109/TAFFC.2015.2485205",
    },
    "notes": [
        "The descriptor is that of motion 'mdmo'; see its card.",
        "From memory of the paper, which could not be opened: a polynomial kernel, and a weight beta that "
        "balances magnitudes (times beta) against angles (times 1 - beta). Its values are not known: beta = "
        "0.5, degree 3 with a constant of 1, gamma 'scale' and C = 1 without class weights are ours.",
        "Angles enter as numbers in (-pi, pi], so motion to the left has two ends that are far apart: a "
        "property of the feature.",
        "No figures on MEGC2019 are published.",
    ],
}


@dataclass(eq=False, repr=False)
class MDMOSVM(SklearnRecognizer):
    """`microexp.motion.mdmo.MDMO`, then scikit-learn's ``SVC(kernel="poly")``.

    Parameters
    ----------
    beta : float
        Weight of the magnitudes, in [0, 1]; that of the angles is 1 - beta.
    degree : int
        Of the polynomial kernel ``(gamma x.y + 1) ** degree``.
    C : float
        Inverse strength of the SVM's penalty, > 0.
    class_weight : "balanced" or None
        "balanced" weighs each class by the inverse of its frequency.
    motion : transformer or None
        Clips to vectors ``(N, 72)``, magnitudes first; None for `MDMO` (Farneback, all frames).
    """

    feature_ndim = 2

    beta: float = 0.5
    degree: int = 3
    C: float = 1.0
    class_weight: str | None = None
    motion: TransformerMixin | None = None

    def check_parameters(self) -> None:
        super().check_parameters()
        if not 0 <= self.beta <= 1:
            raise OptionError(f"MDMOSVM: beta must be from 0 to 1, got {self.beta}")

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Return the weighted descriptors ``(N, 72) float32``: magnitudes times beta, angles 1 - beta."""
        weight = np.repeat(np.array([self.beta, 1 - self.beta], np.float32), N_REGIONS)
        return (self.motion or MDMO()).fit_transform(clips) * weight

    def classifier(self) -> Any:
        return SVC(
            kernel="poly",
            degree=self.degree,
            coef0=1.0,
            C=self.C,
            class_weight=self.class_weight,
            break_ties=True,
        )
