"""Augmentation of flow pictures on the device: as if they were photographs, or as the flow that they show."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ROTATION = 8.0  # degrees either way
JITTER = 0.2  # of brightness, contrast, saturation (factors 1 -+ .2) and of hue (turns)


@dataclass(frozen=True)
class Pose:
    """How each picture of a batch is turned, mirrored and cropped, in this order; all of shape ``(B,)``.

    Attributes
    ----------
    angle : Tensor
        Degrees, clockwise on screen.
    flip : Tensor
        bool, mirrored left to right.
    left, top : Tensor
        Pixels cut off, whole numbers.
    """

    angle: Tensor
    flip: Tensor
    left: Tensor
    top: Tensor

    @classmethod
    def draw(cls, n: int, margin: int, device: torch.device) -> Pose:
        """Return random poses that cut off `margin` pixels in each direction."""
        angle = ROTATION * (2 * torch.rand(n) - 1)
        flip = torch.rand(n) < 0.5
        left, top = torch.randint(margin + 1, (2, n))
        return cls(*(value.to(device) for value in (angle, flip, left, top)))


def warp(images: Tensor, pose: Pose, crop: int) -> Tensor:
    """Return ``(B, C, crop, crop)`` of ``(B, C, S, S)``: bilinear, with zeros from outside."""
    size = images.shape[-1]
    radians = torch.deg2rad(pose.angle)
    cos, sin = radians.cos(), radians.sin()
    sign = torch.where(pose.flip, -1.0, 1.0)
    # Rows of the map from places in the crop to places in the picture, both measured from the centre.
    matrix = torch.stack((torch.stack((sign * cos, sin), 1), torch.stack((-sign * sin, cos), 1)), 1)
    centre = torch.stack((pose.left, pose.top), 1).to(images.dtype) - (size - crop) / 2
    theta = torch.cat((matrix * (crop / size), matrix @ centre[..., None] * (2 / size)), dim=2)
    grid = F.affine_grid(theta, [len(images), images.shape[1], crop, crop], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def augment_pictures(images: Tensor, crop: int) -> Tensor:
    """Return RGB flow pictures turned, mirrored, cropped and their colours changed, as photographs are.

    Parameters
    ----------
    images : Tensor
        ``(B, 3 K, S, S)`` in [0, 1].
    crop : int
        Side of the result, pixels.
    """
    pose = Pose.draw(len(images), images.shape[-1] - crop, images.device)
    return jitter_colours(warp(images, pose, crop))


def augment_flow(images: Tensor, crop: int, encoding: str, vectors: bool = True) -> Tensor:
    """Return flow pictures turned, mirrored, cropped and scaled in strength, as the flow itself would be.

    Parameters
    ----------
    images : Tensor
        ``(B, 3 K, S, S)``, as `encode_flow` of `_flow_views` makes them.
    crop : int
        Side of the result, pixels.
    encoding : {"hsv", "uvs", "uvm", "oms"}
        What the channels are.
    vectors : bool
        False for a product of flows: it keeps its signs in a mirror, and is not turned (nothing tells how).
    """
    pose = Pose.draw(len(images), images.shape[-1] - crop, images.device)
    strength = _factors(len(images), images.device)
    return move_flow(images, pose, crop, encoding, strength, vectors)


def move_flow(
    images: Tensor, pose: Pose, crop: int, encoding: str, strength: Tensor | float = 1.0, vectors: bool = True
) -> Tensor:
    """Return the pictures of the flow after `pose`, times `strength`; see `augment_flow`."""
    field = _decode(images, encoding)
    pictures = warp(field.flatten(1, 2), pose, crop).unflatten(1, field.shape[1:3])
    u, v, *rest = pictures.unbind(2)
    if vectors:
        radians = torch.deg2rad(pose.angle)[:, None, None, None]
        cos, sin = radians.cos(), radians.sin()
        sign = torch.where(pose.flip, -1.0, 1.0)[:, None, None, None]
        u, v = sign * (cos * u - sin * v), sin * u + cos * v
    return _encode(torch.stack((u, v, *rest), dim=2) * strength, encoding)


def jitter_colours(pictures: Tensor) -> Tensor:
    """Return RGB pictures ``(B, 3 K, H, W)`` in [0, 1] with brightness, contrast, saturation and hue changed.

    In this order, by amounts drawn for each sample.
    """
    rgb, n = pictures.unflatten(1, (-1, 3)), len(pictures)
    rgb = (rgb * _factors(n, rgb.device)).clamp(0, 1)
    mean = _grey(rgb).mean((-2, -1), keepdim=True)
    rgb = (mean + (rgb - mean) * _factors(n, rgb.device)).clamp(0, 1)
    grey = _grey(rgb)
    rgb = (grey + (rgb - grey) * _factors(n, rgb.device)).clamp(0, 1)
    hue, saturation, value = rgb_to_hsv(rgb)
    turn = 360 * (_factors(n, rgb.device)[:, :, 0] - 1)
    return hsv_to_rgb(hue + turn, saturation, value).flatten(1, 2)


def rgb_to_hsv(rgb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue in degrees [0, 360), saturation and value in [0, 1] of ``(B, K, 3, H, W)`` in [0, 1]."""
    red, green, blue = rgb.unbind(2)
    value = rgb.amax(2)
    chroma = value - rgb.amin(2)
    safe = torch.where(chroma > 0, chroma, 1)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    saturation = chroma / torch.where(value > 0, value, 1)
    return (60 * sixth).remainder(360), saturation, value


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return ``(B, K, 3, H, W)`` in [0, 1] of hue in degrees, saturation and value, each ``(B, K, H, W)``."""
    sixths = torch.stack([(hue / 60 + n).remainder(6) for n in (5, 3, 1)], dim=2)
    ramp = torch.minimum(sixths, 4 - sixths).clamp(0, 1)
    return value[:, :, None] * (1 - saturation[:, :, None] * ramp)


def _decode(images: Tensor, encoding: str) -> Tensor:
    """Return vectors first, then what does not turn: ``(B, K, 2 or 3, S, S)``."""
    pictures = images.unflatten(1, (-1, 3))
    if encoding in ("uvs", "uvm"):
        return pictures
    if encoding == "hsv":
        hue, _, value = rgb_to_hsv(pictures)
        angle = torch.deg2rad(hue)
        return torch.stack((value * angle.cos(), value * angle.sin()), dim=2)
    turns, magnitude, strain = pictures.unbind(2)
    angle = 2 * math.pi * turns
    return torch.stack((magnitude * angle.cos(), magnitude * angle.sin(), strain), dim=2)


def _encode(field: Tensor, encoding: str) -> Tensor:
    """The inverse of `_decode`, within the range of the encoding."""
    if encoding in ("uvs", "uvm"):
        return field.clamp(-1, 1).flatten(1, 2)
    u, v, *rest = field.unbind(2)
    magnitude, turns = torch.hypot(u, v).clamp(max=1), (torch.atan2(v, u) / (2 * math.pi)).remainder(1)
    if encoding == "hsv":
        return hsv_to_rgb(360 * turns, torch.ones_like(magnitude), magnitude).flatten(1, 2)
    return torch.stack((turns, magnitude, rest[0].clamp(max=1)), dim=2).flatten(1, 2)


def _factors(n: int, device: torch.device) -> Tensor:
    """``(n, 1, 1, 1, 1)``, uniform in 1 -+ `JITTER`."""
    return (1 + JITTER * (2 * torch.rand(n, 1, 1, 1, 1) - 1)).to(device)


def _grey(rgb: Tensor) -> Tensor:
    """Luma (ITU-R BT.601) of ``(B, K, 3, H, W)``, with an axis of one channel."""
    weights = rgb.new_tensor((0.299, 0.587, 0.114))[:, None, None]
    return (rgb * weights).sum(2, keepdim=True)
