"""Judging recognisers. In: a recogniser and a data set. Out: figures with their uncertainty.

`loso` is the protocol, `scores` the figures. Nothing here trains by itself or knows a method by name.
"""

from microexp.evaluate.evaluation import Evaluation
from microexp.evaluate.folds import PROTOCOLS
from microexp.evaluate.loso import SELECTIONS, LeakageWarning, loso
from microexp.evaluate.metrics import Scores, bootstrap_draws, intervals, majority, scores

__all__ = [
    "PROTOCOLS",
    "SELECTIONS",
    "Evaluation",
    "LeakageWarning",
    "Scores",
    "bootstrap_draws",
    "intervals",
    "loso",
    "majority",
    "scores",
]
