"""Between frames ``(T, H, W, 3) uint8`` and tensors ``(T, 3, H, W) float32`` in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def to_tensor(frames: np.ndarray) -> Tensor:
    """Turn ``(T, H, W, 3) uint8`` into ``(T, 3, H, W) float32`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2))).float() / 255


def to_frames(pictures: Tensor) -> np.ndarray:
    """Turn ``(T, 3, H, W)`` in [0, 1] into ``(T, H, W, 3) uint8``: clipped, rounded."""
    levels = pictures.float().clamp(0, 1).mul(255).round().byte()
    return levels.permute(0, 2, 3, 1).cpu().numpy()


def pad_edges(pictures: Tensor, bottom: int, right: int) -> Tensor:
    """Continue pictures ``(N, 3, H, W)`` by their last row and column."""
    return F.pad(pictures, (0, right, 0, bottom), mode="replicate") if bottom or right else pictures
