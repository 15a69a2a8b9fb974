"""Which emotion a movement looks like: the starter recogniser on two frames of an aligned face."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import cast

import cv2
import numpy as np
import torch
from captum.attr import LayerGradientXActivation

from microexp.analyze.crop import crop_flow, crop_image, crop_matrix
from microexp.datasets.labels import scheme
from microexp.faces.geometry import invert, warp_flow
from microexp.recognize.starter_cnn import StarterCNN, StarterModule
from microexp.weights import locate

WEIGHTS = "starter-recogniser"
CLASSES = scheme("megc3").classes
SURE = 0.6  # probability from which on a class is named
_ONE_AT_A_TIME = Lock()  # what explains a network hangs hooks into it


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
        ``(28, 28) float32`` in [0, 1]: what spoke for the most probable class, see `spoke_for`.
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
    flow = crop_flow(onset, apex, landmarks)
    seen = crop_image(flow)[np.newaxis]
    with _ONE_AT_A_TIME:
        network = starter()
        probabilities = network.predict_proba(seen)[0]
        best = int(probabilities.argmax())
        heat = spoke_for(network, seen[0], best)
    return Recognition(
        CLASSES,
        tuple(map(float, probabilities)),
        CLASSES[best] if probabilities[best] >= SURE else None,
        warp_flow(flow, invert(crop_matrix(landmarks)), len(onset)),
        seen[0],
        heat,
    )


def spoke_for(network: StarterCNN, seen: np.ndarray, label: int) -> np.ndarray:
    """Return how much each place added to the logit of a class, ``(28, 28) float32`` in [0, 1].

    After the last convolution the network only picks maxima and adds them up, so activation times gradient of
    its 7x7 places add up to the logit, but for the last layer's constant. What is negative is left out.

    Parameters
    ----------
    network : StarterCNN
        Fitted.
    seen : numpy.ndarray
        ``(3, 28, 28) float32``.
    label : int
        Position of the class.
    """
    module = cast(StarterModule, network.module_)
    explain = LayerGradientXActivation(module, module.body[-2])
    added = explain.attribute(torch.from_numpy(seen[np.newaxis]), target=label).detach().sum(1)[0]
    heat = cv2.resize(added.clamp_min(0).numpy(), seen.shape[1:], interpolation=cv2.INTER_CUBIC)
    return np.clip(heat / max(float(heat.max()), 1e-12), 0, 1)


@lru_cache(maxsize=1)
def starter() -> StarterCNN:
    """Return the starter recogniser with the weights that come with the package."""
    return StarterCNN(device="cpu").load_weights(locate(WEIGHTS), np.arange(len(CLASSES)))
