"""Outputs of the original networks under weights that a formula gives, to compare ours with.

The n-th tensor by name gets ``s sin(0.37 i + 1.7 n)`` at flat index i; s is 0.01 for vectors, else one over
the root of the number of inputs of an output. Pictures are a fixed pattern of 64 levels.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LEFT_OUT = (
    ".mean",
    ".std",
    "kernel",
    "num_batches_tracked",
    "running_mean",
    "running_var",
    "weight_u",
    "weight_v",
)
_PER_AXIS = {4: (17, 31, 7, 13), 5: (5, 17, 31, 7, 13)}


def filled(module: nn.Module) -> nn.Module:
    """Give a network the formula's weights, and set it to evaluation."""
    state = module.state_dict()
    names = [name for name in sorted(state) if not name.endswith(_LEFT_OUT)]
    for n, name in enumerate(names):
        tensor = state[name]
        angle = 0.37 * torch.arange(tensor.numel(), dtype=torch.float64) + 1.7 * n
        tensor.copy_((_scale(name, tensor) * torch.sin(angle)).float().view_as(tensor))
    module.load_state_dict(state)
    return module.eval()


def _scale(name: str, tensor: Tensor) -> float:
    is_bank = "generator." in name and name.endswith("weight_orig")
    if is_bank or "injected_noise" in name:
        return 1.0
    return 0.01 if tensor.ndim < 2 else math.sqrt(tensor.shape[0] / tensor.numel())


def pattern(*shape: int) -> Tensor:
    """Return the pattern, ``(N, C, H, W)`` or ``(N, T, C, H, W)``, in [0, 1]."""
    factors = _PER_AXIS[len(shape)]
    axes = torch.meshgrid(*[torch.arange(size) for size in shape], indexing="ij")
    level = sum(factor * axis for factor, axis in zip(factors, axes, strict=True))
    return (torch.as_tensor(level) % 64).float() / 63


def assert_golden(output: Tensor, mean: float, std: float, first: float, mid: float, last: float) -> None:
    """Compare mean, standard deviation and three values of an output: to 2e-6, or 1e-3 of the deviation."""
    flat = output.detach().double().flatten()
    found = [flat.mean(), flat.std(unbiased=False), flat[0], flat[len(flat) // 2], flat[-1]]
    tolerance = max(2e-6, 1e-3 * std)
    for name, value, wanted in zip(
        ("mean", "std", "first", "mid", "last"), found, (mean, std, first, mid, last), strict=True
    ):
        assert abs(float(value) - wanted) <= tolerance, (
            f"{name} is {float(value):.9g}, should be {wanted:.9g}"
        )


def without_bilinear(output: Tensor, small: Tensor) -> Tensor:
    """Return what a network adds to the picture enlarged four times, ``(N, 3, 4H, 4W)``."""
    return output - F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
