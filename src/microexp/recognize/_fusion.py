"""The transformer fusion of FRL-DGT: inside action-unit regions, over these regions, and over the face.

A fusion module gets n tokens, fuses them linearly to one, and lets that one learn from them by attention
("linear fusion before attention").
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import DataError, OptionError
from microexp.faces.alignment import canonical_landmarks
from microexp.faces.regions import frl_dgt_regions
from microexp.recognize._displacement import MOMENTUM

LOCAL_LAYERS, GLOBAL_LAYERS, FACE_LAYERS = 2, 2, 4
N_REGIONS = 6
_CHANNELS = 4  # of the map: the displacement's two, onset, apex
_MLP_RATIO = 4


class FusionLayer(nn.Module):
    """The linear fusion of n tokens, ``(B, n, width)`` to ``(B, width)``, and their weights ``(B, n)``.

    A token's weight is the softmax, over the n, of a linear score of the token. The fused token is the mean
    over the n of weight times token, channel by channel with factors of each place: without them it would
    forget where a motion is.
    """

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1, bias=False))
        self.places = nn.Parameter(torch.randn(tokens, width) * tokens**0.5)  # unit tokens give a unit sum

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.score(tokens).squeeze(-1).softmax(-1)
        return (weights[:, None] @ (tokens * self.places)).squeeze(1), weights


class FusionModule(nn.Module):
    """Fusion, then attention: ``(B, n, width)`` to ``(B, width)`` and the fusion weights ``(B, n)``.

    The fused token goes before the others through `layers` pre-norm transformer layers; what they make of it
    comes out.
    """

    def __init__(self, tokens: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(tokens, width), std=0.02))
        self.fuse = FusionLayer(tokens, width)
        self.attention = nn.Sequential(*[_layer(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens = tokens + self.position
        fused, weights = self.fuse(tokens)
        seen = self.attention(torch.cat([fused[:, None], tokens], dim=1))
        return self.norm(seen[:, 0]), weights


class TransformerFusion(nn.Module):
    """Local, global and full-face fusion: a map ``(B, 4, size, size)`` to ``(B, 2 * width)`` and the weights.

    Each region is brought to a quarter of the face's side and cut into patches of half the face's patch side.
    Batch normalisation of the map comes first: frames spread ten times as far as most of the displacement.

    Parameters
    ----------
    size, patch : int
        Side of the map and of its patches, pixels; `patch` is even and ``2 * patch`` divides `size`.
    width, heads : int
        Of tokens and attention.
    boxes : array_like
        ``(6, 4)``: x0, y0, x1, y1 of the regions in fractions of the map's side.
    """

    def __init__(self, size: int, patch: int, width: int, heads: int, boxes: np.ndarray) -> None:
        super().__init__()
        self.boxes = pixel_boxes(boxes, size, size)
        self.region_size, self.side = size // 4, size // (2 * patch)
        self.norm = nn.BatchNorm2d(_CHANNELS, momentum=MOMENTUM)
        self.embed_region = nn.Conv2d(_CHANNELS, width, patch // 2, stride=patch // 2)
        self.embed_face = nn.Conv2d(_CHANNELS, width, patch, stride=patch)
        self.local = FusionModule(self.side**2, width, heads, LOCAL_LAYERS)
        self.globally = FusionModule(N_REGIONS, width, heads, GLOBAL_LAYERS)
        self.face = FusionModule((2 * self.side) ** 2, width, heads, FACE_LAYERS)

    def forward(self, maps: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return what was learned, and weights: "local" (B, 6, P, P), "global" (B, 6), "face" (B, 2P, 2P)."""
        n, side, maps = len(maps), self.side, self.norm(maps)
        regions = torch.stack([self._region(maps, *box) for box in self.boxes], dim=1).flatten(0, 1)
        of_regions, local = self.local(_tokens(self.embed_region(regions)))
        of_all, between = self.globally(of_regions.view(n, N_REGIONS, -1))
        of_face, face = self.face(_tokens(self.embed_face(maps)))
        weights = {
            "local": local.view(n, N_REGIONS, side, side),
            "global": between,
            "face": face.view(n, 2 * side, 2 * side),
        }
        return torch.cat([of_all, of_face], dim=1), weights

    def _region(self, maps: Tensor, x0: int, y0: int, x1: int, y1: int) -> Tensor:
        """What a box holds, at the size of all regions; averaged where it shrinks."""
        size = (self.region_size, self.region_size)
        return F.interpolate(maps[..., y0:y1, x0:x1], size, mode="bilinear", antialias=True)


def au_boxes(landmarks: np.ndarray | None = None, size: int = 224) -> np.ndarray:
    """Return the boxes of the six action-unit regions as fractions of an aligned face's side.

    Parameters
    ----------
    landmarks : numpy.ndarray or None
        ``(N, 68, 2)`` or ``(68, 2)``, pixels: of the aligned faces of the training data, whose mean is taken;
        None for the face that `microexp.faces` aligns to at its default margin.
    size : int
        Side of the aligned faces, pixels.

    Returns
    -------
    numpy.ndarray
        ``(6, 4) float64``: x0, y0, x1, y1, cut at the face's edges.
    """
    points = canonical_landmarks(size, 0.1) if landmarks is None else landmarks
    corners = np.array([region.box for region in frl_dgt_regions(points)])
    return ((corners + 0.5) / size).clip(0, 1)


def check_boxes(boxes: np.ndarray) -> None:
    """Raise `OptionError` if boxes are not six of fractions."""
    boxes = np.asarray(boxes)
    if boxes.shape != (N_REGIONS, 4) or not np.issubdtype(boxes.dtype, np.number):
        raise OptionError(f"FRLDGT: boxes must be {N_REGIONS} of x0, y0, x1, y1, (6, 4), got {boxes.shape}")
    ordered = (boxes[:, :2] >= 0) & (boxes[:, :2] < boxes[:, 2:]) & (boxes[:, 2:] <= 1)
    if not ordered.all():
        raise OptionError("FRLDGT: boxes must be fractions, 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1")


def pixel_boxes(boxes: np.ndarray, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Return boxes of fractions as x0, y0, x1, y1 in whole pixels, ends excluded, widened to contain them."""
    scaled = np.asarray(boxes, np.float64) * (width, height, width, height)
    first, last = np.floor(scaled[:, :2]).astype(int), np.ceil(scaled[:, 2:]).astype(int)
    return [(int(x0), int(y0), int(x1), int(y1)) for (x0, y0), (x1, y1) in zip(first, last, strict=True)]


def draw_fusion_weights(
    picture: np.ndarray, weights: np.ndarray, boxes: np.ndarray | None = None
) -> np.ndarray:
    """Return a picture with fusion weights in colour over it, from dark blue (0) to yellow (the largest).

    Parameters
    ----------
    picture : numpy.ndarray
        ``(H, W, 3) uint8 RGB``, an aligned face; not changed.
    weights : numpy.ndarray
        Of one clip and level, as `FRLDGT.fusion_weights` gives them: "local" ``(6, P, P)`` or "global"
        ``(6,)``, drawn in the regions, the larger where these overlap; "face" ``(Q, Q)``, drawn all over.
    boxes : numpy.ndarray or None
        The regions, as of `FRLDGT`.

    Returns
    -------
    numpy.ndarray
        ``(H, W, 3) uint8 RGB``.

    Raises
    ------
    DataError
        If picture or weights have another shape or type, or a weight is negative.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise DataError(f"a picture (H, W, 3) uint8 RGB is needed, got {picture.shape} {picture.dtype}")
    weights = np.asarray(weights, np.float32)
    if weights.ndim not in (1, 2, 3) or (weights.ndim != 2 and len(weights) != N_REGIONS):
        raise DataError(f"fusion weights of one clip are (6, P, P), (6,) or (Q, Q), got {weights.shape}")
    if not (weights >= 0).all():
        raise DataError("fusion weights are not negative")
    heat = _heat(weights, boxes, *picture.shape[:2])
    scaled = np.rint(heat.clip(0) / max(heat.max(), np.finfo(np.float32).tiny) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    mixed = cv2.addWeighted(np.ascontiguousarray(picture), 0.5, np.ascontiguousarray(colours), 0.5, 0)
    return np.where(heat[..., None] >= 0, mixed, picture)


def _heat(weights: np.ndarray, boxes: np.ndarray | None, height: int, width: int) -> np.ndarray:
    """The weights where they belong, ``(height, width)``; -1 elsewhere."""
    if weights.ndim == 2:  # of the whole face
        return cv2.resize(weights, (width, height), interpolation=cv2.INTER_NEAREST)
    heat = np.full((height, width), -1, np.float32)
    places = pixel_boxes(au_boxes() if boxes is None else boxes, height, width)
    for part, (x0, y0, x1, y1) in zip(weights, places, strict=True):
        shown = cv2.resize(np.atleast_2d(part), (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)
        heat[y0:y1, x0:x1] = np.maximum(heat[y0:y1, x0:x1], shown)
    return heat


def _layer(width: int, heads: int) -> nn.Module:
    return nn.TransformerEncoderLayer(
        width, heads, _MLP_RATIO * width, 0.0, "gelu", batch_first=True, norm_first=True
    )


def _tokens(maps: Tensor) -> Tensor:
    """Maps ``(B, C, H, W)`` as tokens ``(B, H * W, C)``, row by row."""
    return maps.flatten(2).transpose(1, 2)
