"""Bi-WOOF with a linear SVM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import TransformerMixin
from sklearn.svm import SVC

from microexp.clip import Clip
from microexp.motion.bi_woof import BiWOOF
from microexp.recognize.base import SklearnRecognizer

CARD = {
    "class": "BiWOOFSVM",
    "title": "Bi-WOOF",
    "summary": "Flow directions of 5x5 blocks, weighted by magnitude and strain, and a linear SVM.",
    "takes": "clips (aligned faces) with onset and apex, or features (N, 200) float32",
    "gives": "labels (N,) int64, uncalibrated scores (N, K)",
    "paper": {
        "authors": "Liong, Sze-Teng and See, John and Wong, KokSheik and Phan, Raphael C.-W.",
        "title": "Less is More: Micro-Expression Recognition from Video Using Apex Frame",
        "venue": "Signal Processing: Image Communication",
        "year": 2018,
        "doi": "10.1016/j.image.2017.11.006",
        "url": "https://arxiv.org/abs/1606.01721",
    },
    "published": [
        {"source": "STSTNet paper's table", "data": "MEGC2019", "UF1": 0.6296, "UAR": 0.6227},
        {"source": "STSTNet paper's table", "data": "MEGC2019, SMIC part", "UF1": 0.5727, "UAR": 0.5829},
        {"source": "STSTNet paper's table", "data": "MEGC2019, CASME II part", "UF1": 0.7805, "UAR": 0.8026},
        {"source": "STSTNet paper's table", "data": "MEGC2019, SAMM part", "UF1": 0.5211, "UAR": 0.5139},
    ],
    "notes": [
        "The descriptor is that of motion 'bi_woof'; see its card.",
        "The published figures are of the STSTNet paper's authors, whose own UARs are in error; these may "
        "share it.",
        "C = 100 without class weights is ours, as for LBP-TOP; the paper's is in no source that could be "
        "opened.",
    ],
}


@dataclass(eq=False, repr=False)
class BiWOOFSVM(SklearnRecognizer):
    """`microexp.motion.bi_woof.BiWOOF`, then scikit-learn's ``SVC(kernel="linear")``.

    Parameters
    ----------
    C : float
        Inverse strength of the SVM's penalty, > 0.
    class_weight : "balanced" or None
        "balanced" weighs each class by the inverse of its frequency.
    motion : transformer or None
        Clips to vectors ``(N, D)``; None for `BiWOOF` (TV-L1, 5x5 blocks, 8 directions).
    """

    feature_ndim = 2

    C: float = 100.0
    class_weight: str | None = None
    motion: TransformerMixin | None = None

    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        return (self.motion or BiWOOF()).fit_transform(clips)

    def classifier(self) -> Any:
        return SVC(kernel="linear", C=self.C, class_weight=self.class_weight, break_ties=True)
