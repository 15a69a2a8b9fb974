"""Losses of restoration: pixels, adversarial, and the sharpened target."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from microexp.errors import OptionError

_CHARBONNIER = 1e-12
_SHARPEN_SIDE, _SHARPEN_WEIGHT, _SHARPEN_FROM = 51, 0.5, 10 / 255


def pixel_loss(kind: str, output: Tensor, target: Tensor) -> Tensor:
    """Return the loss of an output against a target of the same shape.

    Parameters
    ----------
    kind : {"l1", "mse", "charbonnier", "charbonnier-sum"}
        Mean of ``|d|``, of ``d^2``, of ``sqrt(d^2 + 1e-12)``; or the sum of the last over the whole batch.
    output, target : Tensor
        Any shape, values in [0, 1].

    Raises
    ------
    OptionError
        If there is no such loss.
    """
    if kind == "l1":
        return F.l1_loss(output, target)
    if kind == "mse":
        return F.mse_loss(output, target)
    distance = ((output - target) ** 2 + _CHARBONNIER).sqrt()
    if kind == "charbonnier":
        return distance.mean()
    if kind == "charbonnier-sum":
        return distance.sum()
    raise OptionError(f"there is no pixel loss '{kind}'")


def discriminator_loss(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """Return what the discriminator is trained with, from its logits on real and on restored pictures.

    "vanilla" is ``BCE(real, 1) + BCE(fake, 0)``; "relativistic" (ESRGAN, section 3.2) is the mean of
    ``BCE(real - mean(fake), 1)`` and ``BCE(fake - mean(real), 0)``, the subtracted means being constants.
    """
    if kind == "vanilla":
        return _against(real, 1.0) + _against(fake, 0.0)
    return _relativistic(real, fake, real_is=1.0)


def adversarial_loss(kind: str, real: Tensor | None, fake: Tensor) -> Tensor:
    """Return what the generator is trained with, from the discriminator's logits.

    "vanilla" is ``BCE(fake, 1)`` and needs no `real`; "relativistic" is the discriminator's loss with the two
    labels exchanged.
    """
    if kind == "vanilla" or real is None:
        return _against(fake, 1.0)
    return _relativistic(real.detach(), fake, real_is=0.0)


def sharpened(pictures: Tensor) -> Tensor:
    """Return pictures ``(..., H, W)`` in [0, 1] sharpened where they have edges, as Real-ESRGAN's targets.

    Unsharp masking by half of what a Gaussian of 51 pixels takes away, where that is more than 10 grey
    levels; the mask is blurred by the same Gaussian.
    """
    flat = pictures.reshape(-1, 1, *pictures.shape[-2:])
    detail = flat - _blurred(flat)
    mask = _blurred((detail.abs() > _SHARPEN_FROM).to(flat.dtype))
    sharp = (flat + _SHARPEN_WEIGHT * detail).clamp(0, 1)
    return (mask * sharp + (1 - mask) * flat).view_as(pictures)


def _against(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _relativistic(real: Tensor, fake: Tensor, real_is: float) -> Tensor:
    of_real = _against(real - fake.detach().mean(), real_is)
    of_fake = _against(fake - real.detach().mean(), 1.0 - real_is)
    return (of_real + of_fake) / 2


def _blurred(pictures: Tensor) -> Tensor:
    """Blur ``(N, 1, H, W)`` by the Gaussian; borders are mirrored, the outermost pixel not repeated."""
    half = _SHARPEN_SIDE // 2
    sigma = 0.3 * (half - 1) + 0.8  # OpenCV's rule for a kernel of this side
    offsets = torch.arange(-half, half + 1, dtype=torch.float64)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).to(pictures)
    rows, columns = (_mirrored(size, half, pictures.device) for size in pictures.shape[-2:])
    wide = pictures[..., rows, :][..., columns]
    return F.conv2d(F.conv2d(wide, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


def _mirrored(size: int, margin: int, device: torch.device) -> Tensor:
    """Return the indices ``-margin .. size + margin - 1``, mirrored into the picture however small it is."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(-margin, size + margin, device=device) % period
    return torch.minimum(index, period - index) if size > 1 else torch.zeros_like(index)
