"""The contract of a recogniser, and the base of those that end in a scikit-learn classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from microexp.clip import Clip
from microexp.errors import DataError, OptionError

Inputs = Sequence[Clip] | np.ndarray


@dataclass(frozen=True)
class Monitor:
    """Clips that are predicted after every epoch, to choose the epoch that predicts them best.

    Attributes
    ----------
    X : list of Clip or array
        The clips, or their features.
    score : callable
        Predicted labels ``(N,) int64`` to a number; higher is better, the earliest of equals wins.
    """

    X: Inputs
    score: Callable[[np.ndarray], float]


class Recognizer(ClassifierMixin, BaseEstimator, ABC):
    """A classifier of clips.

    ``fit``, ``predict`` and ``predict_proba`` take a list of clips, or the array that `features` makes
    of them. `features` looks at one clip at a time and at no label, so an evaluation may compute it
    once for all folds without leaking anything.

    Attributes
    ----------
    classes_ : numpy.ndarray
        ``(K,) int64``, the labels seen in `fit`, ascending; the columns of ``predict_proba``.
    """

    feature_ndim: ClassVar[int]  # of the array that `features` gives: 2 for vectors, 4 for flow images
    has_epochs: ClassVar[bool] = False

    @abstractmethod
    def describe(self, clips: Sequence[Clip]) -> np.ndarray:
        """Turn clips into the array that the classifier is fitted on, first axis the clips."""

    @abstractmethod
    def fit(self, X: Inputs, y: np.ndarray) -> Self:
        """Fit on clips (or their features) and labels ``(N,) int64``."""

    @abstractmethod
    def predict_proba(self, X: Inputs) -> np.ndarray:
        """Return ``(N, K) float64`` that sum to 1 over the columns `classes_`."""

    def check_parameters(self) -> None:
        """Raise `OptionError` if a constructor argument has a value that cannot be used."""
        motion = getattr(self, "motion", None)
        if motion is not None and not hasattr(motion, "transform"):
            raise OptionError(
                f"{type(self).__name__}: motion must be a transformer of clips, such as FlowImage(), "
                f"not {motion!r}"
            )

    def features(self, X: Inputs) -> np.ndarray:
        """Return the features ``(N, ...) float32``; an array is checked and passed through.

        Raises
        ------
        DataError
            If an array has not the number of axes this recogniser takes, or holds NaN or infinity.
        """
        array = X if isinstance(X, np.ndarray) else self.describe(X)
        if array.ndim != self.feature_ndim or len(array) == 0:
            raise DataError(
                f"{type(self).__name__} takes clips or an array with {self.feature_ndim} axes, "
                f"the first of them the clips; got shape {array.shape}"
            )
        array = np.asarray(array, dtype=np.float32)
        if not np.isfinite(array).all():
            raise DataError(f"{type(self).__name__}: the features hold NaN or infinity")
        return array

    def predict(self, X: Inputs) -> np.ndarray:
        """Return the most probable label of each clip, ``(N,) int64``."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def _check_labels(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return `y` as int64; raise `DataError` if it does not fit `X` or has one class only."""
        labels = np.asarray(y)
        if labels.shape != (len(X),):
            raise DataError(f"{len(X)} clips but labels of shape {labels.shape}")
        if len(np.unique(labels)) < 2:
            raise DataError("the training clips are all of one class; nothing can be learned")
        return labels.astype(np.int64)


class SklearnRecognizer(Recognizer):
    """A recogniser that ends in a scikit-learn classifier on flattened features.

    Subclasses give `describe` (clips to array) and `classifier` (the unfitted estimator).
    """

    @abstractmethod
    def classifier(self) -> Any:
        """Return the unfitted scikit-learn classifier."""

    def check_parameters(self) -> None:
        super().check_parameters()
        try:
            self.classifier()._validate_params()
        except InvalidParameterError as error:
            raise OptionError(f"{type(self).__name__}: {error}") from error

    def fit(self, X: Inputs, y: np.ndarray) -> Self:
        self.check_parameters()
        features = self.features(X)
        labels = self._check_labels(features, y)
        self.classifier_ = self.classifier().fit(_flat(features), labels)
        self.classes_ = np.unique(labels)
        return self

    def predict(self, X: Inputs) -> np.ndarray:
        check_is_fitted(self)
        return self.classifier_.predict(_flat(self.features(X)))

    def predict_proba(self, X: Inputs) -> np.ndarray:
        """Return scores ``(N, K)`` that sum to 1: the softmax of the decision function.

        A linear SVM has no probabilities; these order the classes as it does but are not calibrated.
        """
        check_is_fitted(self)
        margin = self.classifier_.decision_function(_flat(self.features(X)))
        if margin.ndim == 1:  # two classes: one signed margin, of the second
            margin = np.stack([-margin / 2, margin / 2], axis=1)
        exponent = np.exp(margin - margin.max(axis=1, keepdims=True))
        return exponent / exponent.sum(axis=1, keepdims=True)


def _flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(len(features), -1)
