"""Grad-CAM: where on its input a network found the class it predicts (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from captum.attr import LayerGradCam
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import DataError, OptionError
from microexp.recognize.base import Inputs
from microexp.recognize.torch_base import TorchRecognizer

_BATCH = 16


def grad_cam(recognizer: Any, X: Inputs, labels: np.ndarray | None = None) -> np.ndarray:
    """Return how much each place of the input speaks for a class.

    The maps of one layer are added, each weighed by the spatial mean of the class logit's gradient; what
    is negative counts as 0. The layer is ``recognizer.attended(module)`` where the recogniser has that
    method, else the last convolution to be computed whose output has more than one position. Where
    convolutions run side by side (STSTNet, OFF-ApexNet) that is one of them, and the map is of its stream.
    Where the network sees a crop of the middle, of the side ``recognizer.crop``, the margin is 0.

    Parameters
    ----------
    recognizer : TorchRecognizer
        Fitted; its network is used in evaluation mode and gets no gradients.
    X : list of Clip or array
        Clips, or their features ``(N, ..., H, W)``.
    labels : numpy.ndarray or None
        ``(N,)``, the class asked about, of those in ``recognizer.classes_``; None for the predicted one.

    Returns
    -------
    numpy.ndarray
        ``(N, H, W) float32`` in [0, 1], over the picture that the network is given: scaled bilinearly,
        divided by the maximum; all 0 where nothing speaks for the class.

    Raises
    ------
    OptionError
        If the recogniser is no network, or has no layer with a map.
    DataError
        If the labels do not fit the clips or are not among the recogniser's classes.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization",
    ICCV 2017, equations 1 and 2.
    """
    name = type(recognizer).__name__
    if not isinstance(recognizer, TorchRecognizer):
        raise OptionError(f"Grad-CAM needs a network, and {name} is none")
    check_is_fitted(recognizer)
    features = recognizer.features(X)
    targets = _targets(recognizer, features, labels)
    module = recognizer.module_.eval()
    staged = recognizer.stage(features).to(next(module.parameters()).device)

    def logits(batch: Tensor) -> Tensor:
        return recognizer.forward(module, batch)

    layer = _layer(recognizer, staged[:1])
    explain = LayerGradCam(logits, layer)
    heats = []
    for batch, asked in zip(staged.split(_BATCH), targets.to(staged.device).split(_BATCH), strict=True):
        maps = explain.attribute(batch, target=asked, relu_attributions=True).detach()
        if maps.ndim != 4 or len(maps) != len(batch):
            raise OptionError(
                f"{name}: the layer to look at gives {tuple(maps.shape)}, not a map of each clip"
            )
        heats.append(_spread(maps, staged.shape[-2:], getattr(recognizer, "crop", None))[:, 0])
    return _to_unit(torch.cat(heats).cpu().float()).numpy()


def energy_share(heat: np.ndarray, mask: np.ndarray) -> float:
    """Return the share of the heat that lies inside a mask.

    Parameters
    ----------
    heat : numpy.ndarray
        ``(H, W)``, 0 or more.
    mask : numpy.ndarray
        ``(H, W) bool``.

    Returns
    -------
    float
        In [0, 1]; NaN where there is no heat.

    Raises
    ------
    DataError
        If the two differ in shape or the mask is not boolean.
    """
    heat, mask = np.asarray(heat, np.float64), np.asarray(mask)
    if heat.ndim != 2 or mask.shape != heat.shape or mask.dtype != bool:
        raise DataError(f"heat (H, W) needs a boolean mask of its shape, got {heat.shape} and {mask.shape}")
    total = heat.sum()
    return float(heat[mask].sum() / total) if total > 0 else float("nan")


def overlay(picture: np.ndarray, heat: np.ndarray, alpha: float = 0.45) -> np.ndarray:
    """Return a picture with a heat map laid over it.

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) uint8 RGB``.
    heat : numpy.ndarray
        ``(h, w)`` in [0, 1]; scaled bilinearly to the picture.
    alpha : float
        Opacity of the colours (blue is 0, red is 1), in [0, 1].

    Returns
    -------
    numpy.ndarray
        ``(H, W, 3) uint8 RGB``.

    Raises
    ------
    DataError
        If picture or heat do not have that shape.
    OptionError
        If `alpha` is out of range.
    """
    picture, heat = np.asarray(picture), np.asarray(heat, np.float32)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or heat.ndim != 2:
        raise DataError(
            f"an overlay is made of a picture (H, W, 3) uint8 RGB and heat (h, w), got {picture.shape} "
            f"{picture.dtype} and {heat.shape}"
        )
    if not 0 <= alpha <= 1:
        raise OptionError(f"alpha must be from 0 to 1, got {alpha}")
    height, width = picture.shape[:2]
    spread = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.rint(255 * np.clip(spread, 0, 1)).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_JET)[..., ::-1]
    return np.rint((1 - alpha) * picture + alpha * colours).astype(np.uint8)


def _targets(recognizer: TorchRecognizer, features: np.ndarray, labels: np.ndarray | None) -> Tensor:
    """Return the output of each clip's class, ``(N,) int64``."""
    if labels is None:
        return torch.from_numpy(recognizer.predict_proba(features).argmax(axis=1))
    asked = np.asarray(labels)
    if asked.shape != (len(features),) or not np.isin(asked, recognizer.classes_).all():
        raise DataError(
            f"{len(features)} clips need as many labels out of {recognizer.classes_.tolist()}, "
            f"got {asked.tolist()}"
        )
    return torch.from_numpy(np.searchsorted(recognizer.classes_, asked))


def _layer(recognizer: TorchRecognizer, one: Tensor) -> nn.Module:
    """Return the layer to look at; `one` is the staged tensor of a single clip."""
    module = recognizer.module_
    attended = getattr(recognizer, "attended", None)
    if attended is not None:
        return attended(module)
    computed: list[nn.Module] = []

    def note(layer: nn.Module, _: Any, output: Tensor) -> None:
        if output.ndim == 4 and len(output) == 1 and output.shape[2:].numel() > 1:
            computed.append(layer)

    hooks = [m.register_forward_hook(note) for m in module.modules() if isinstance(m, nn.Conv2d)]
    try:
        with torch.no_grad():
            recognizer.forward(module, one)
    finally:
        for hook in hooks:
            hook.remove()
    if not computed:
        raise OptionError(f"{type(recognizer).__name__} has no two-dimensional convolution to look at")
    return computed[-1]


def _spread(maps: Tensor, size: torch.Size, crop: int | None) -> Tensor:
    """Scale maps ``(B, 1, h, w)`` bilinearly to the picture, or to the middle of it that the network sees."""
    height, width = size if crop is None else (crop, crop)
    heats = F.interpolate(maps, (height, width), mode="bilinear", align_corners=False)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return F.pad(heats, (left, size[1] - width - left, top, size[0] - height - top))


def _to_unit(heats: Tensor) -> Tensor:
    """Divide each map by its maximum; a map of zeros stays."""
    highest = heats.amax((1, 2), keepdim=True)
    return torch.where(highest > 0, heats / highest.clamp_min(torch.finfo(heats.dtype).tiny), heats)
