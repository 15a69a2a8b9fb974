"""What every stage that learns nothing has in common: a scikit-learn transformer that needs no fit."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator, TransformerMixin


class Stateless(TransformerMixin, BaseEstimator):
    """A transformer that learns nothing: what it makes of one clip depends on no other clip."""

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Return self."""
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True
        return tags
