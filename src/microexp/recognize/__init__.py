"""Recognisers: scikit-learn classifiers of clips. In: clips or the features made of them. Out: emotions.

A recogniser is ``features`` (stateless: clips to an array, no label, no other clip) and a classifier on
that array (``fit``, ``predict``, ``predict_proba``). `fit` and `predict` take either clips or the array.
"""

from microexp.registry import Registry

_registry = Registry(__name__)
names, card, get, create = _registry.names, _registry.card, _registry.get, _registry.create

__all__ = ["card", "create", "get", "names"]
