"""Which emotion a movement looks like: the starter recogniser on two frames of an aligned face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from microexp.analyze.crop import crop_flow, crop_image, crop_matrix
from microexp.datasets.labels import scheme
from microexp.evaluate.grad_cam import grad_cam
from microexp.faces.geometry import invert, warp_flow
from microexp.recognize.starter_cnn import StarterCNN
from microexp.weights import locate

WEIGHTS = "starter-recogniser"
CLASSES = scheme("megc3").classes
SURE = 0.6  # probability from which on a class is named


@dataclass(frozen=True, eq=False)
class Recognition:
    """What the starter recogniser says of an onset and an apex.

    Attributes
    ----------
    classes : tuple of str
        "negative", "positive", "surprise".
    probabilities : tuple of float
        Of each class, calibrated on synthetic people that were not trained on.
    label : str or None
        The most probable class; None where its probability is below `SURE`: not sure.
    flow : numpy.ndarray
        ``(S, S, 2) float32``: onset to apex in pixels of the aligned face; beyond the place that was
        looked at, its edge is repeated.
    seen : numpy.ndarray
        ``(3, 28, 28) float32`` in [0, 1]: u, v and strain as the network saw them.
    heat : numpy.ndarray
        ``(28, 28) float32`` in [0, 1]: what spoke for the most probable class (Grad-CAM).
    """

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    label: str | None
    flow: np.ndarray
    seen: np.ndarray
    heat: np.ndarray


def recognise(onset: np.ndarray, apex: np.ndarray, landmarks: np.ndarray) -> Recognition:
    """Say which of three emotions the movement between two frames looks like.

    Parameters
    ----------
    onset, apex : numpy.ndarray
        ``(S, S, 3) uint8 RGB``: an aligned face at rest and moved.
    landmarks : numpy.ndarray
        ``(68, 2)``, of the aligned face.
    """
    network = starter()
    flow = crop_flow(onset, apex, landmarks)
    seen = crop_image(flow)[np.newaxis]
    probabilities = network.predict_proba(seen)[0]
    best = int(probabilities.argmax())
    return Recognition(
        CLASSES,
        tuple(map(float, probabilities)),
        CLASSES[best] if probabilities[best] >= SURE else None,
        warp_flow(flow, invert(crop_matrix(landmarks)), len(onset)),
        seen[0],
        grad_cam(network, seen)[0],
    )


@lru_cache(maxsize=1)
def starter() -> StarterCNN:
    """Return the starter recogniser with the weights that come with the package."""
    return StarterCNN(device="cpu").load_weights(locate(WEIGHTS), np.arange(len(CLASSES)))
