"""Layers that do what PyTorch's do, in less time on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def half_dropout(x: Tensor) -> Tensor:
    """Drop each value with probability 1/2 and double the rest, on one random bit a value.

    PyTorch's dropout draws a whole random number for each value, which takes a quarter of the training
    time of a network this small.
    """
    words = torch.empty(-(-x.numel() // 16), 1, dtype=torch.int32, device=x.device).random_(0, 1 << 16)
    bits = (words >> torch.arange(16, dtype=torch.int32, device=x.device)).bitwise_and_(1)
    return x * bits.view(-1)[: x.numel()].to(x.dtype).mul_(2).view(x.shape)


class HalfDropout(nn.Module):
    """`half_dropout` in training, nothing otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        return half_dropout(x) if self.training else x
