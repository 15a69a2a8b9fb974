"""ConvNeXt with an exchangeable depthwise unit, and ImageNet weights for it from timm or torchvision."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microexp.errors import WeightsError

DIMS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)  # ConvNeXt-T
STEM = 4  # side and stride of the first convolution
MAX_STRIDE = 32  # stages beyond it keep the size of their maps
_EPS = 1e-6


class ConvNeXtModule(nn.Module):
    """The network, ``(N, C, H, W)`` to logits ``(N, K)``; keys of the state_dict are those of timm.

    Parameters
    ----------
    unit : callable
        Number of channels to the module that mixes places in each block; it keeps the shape.
    n_classes, in_channels : int
        Outputs K and inputs C.
    dims, depths : sequence of int
        Channels and blocks of each stage.
    layer_scale : float
        First value of the factors of each block's output.
    """

    def __init__(
        self,
        unit: Callable[[int], nn.Module],
        n_classes: int = 3,
        in_channels: int = 3,
        dims: Sequence[int] = DIMS,
        depths: Sequence[int] = DEPTHS,
        layer_scale: float = 1e-6,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, dims[0], STEM, stride=STEM), ChannelNorm(dims[0]))
        between: list[nn.Module] = [nn.Identity()]
        for number, (before, after) in enumerate(pairwise(dims)):
            shrinks = STEM * 2**number < MAX_STRIDE
            conv = nn.Conv2d(before, after, 2, stride=2) if shrinks else SameConv(before, after, 2)
            between.append(nn.Sequential(ChannelNorm(before), conv))
        self.stages = nn.Sequential(
            *(
                _named(
                    downsample=step,
                    blocks=nn.Sequential(*(Block(unit, c, layer_scale) for _ in range(depth))),
                )
                for step, c, depth in zip(between, dims, depths, strict=True)
            )
        )
        self.head = _named(norm=nn.LayerNorm(dims[-1], _EPS), fc=nn.Linear(dims[-1], n_classes))
        self.apply(_init)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(images)).mean((2, 3)))


class Block(nn.Module):
    """A residual block: the unit, then layer norm and a perceptron at each place, scaled.

    Parameters
    ----------
    unit : callable
        Number of channels to the module that mixes places.
    channels : int
        Channels C.
    layer_scale : float
        First value of the C factors of the output.
    """

    def __init__(self, unit: Callable[[int], nn.Module], channels: int, layer_scale: float) -> None:
        super().__init__()
        self.conv_dw = unit(channels)
        self.norm = nn.LayerNorm(channels, _EPS)
        self.mlp = _named(
            fc1=nn.Linear(channels, 4 * channels), act=nn.GELU(), fc2=nn.Linear(4 * channels, channels)
        )
        self.gamma = nn.Parameter(torch.full((channels,), float(layer_scale)))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        y = self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1))) * self.gamma
        return x + y.permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of ``(N, C, H, W)``."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, _EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SameConv(nn.Conv2d):
    """A 2x2 convolution of stride 1 that keeps the size: zeros are added at the right and at the bottom."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


@dataclass(frozen=True)
class PretrainedReport:
    """What of a weight file went into a network.

    Attributes
    ----------
    source : str
        The file.
    loaded : tuple of str
        Names that were copied.
    missing : tuple of str
        Names of the network that the file lacks; they keep their random values.
    mismatched : tuple of str
        Names in both, with another shape; they keep their random values.
    unused : tuple of str
        Names of the file (in timm's form) that the network lacks.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.source}: {len(self.loaded)} tensors loaded"]
        for title in ("missing", "mismatched", "unused"):
            names = getattr(self, title)
            lines += [f"{title} ({len(names)}): {', '.join(names)}"] if names else []
        return "\n".join(lines)


def load_pretrained(module: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> PretrainedReport:
    """Copy the tensors whose name and shape fit into a network; names of timm or of torchvision.

    Raises
    ------
    WeightsError
        If nothing fits.
    """
    wanted = module.state_dict()
    given = timm_names(state)
    # Torchvision stores the factors of a block as (C, 1, 1).
    given = {k: v.flatten() if k.endswith(".gamma") else v for k, v in given.items()}
    loaded = [k for k in wanted if k in given and given[k].shape == wanted[k].shape]
    if not loaded:
        raise WeightsError(
            f"{source} has no tensor that fits {type(module).__name__}: give a ConvNeXt of the same sizes, "
            "with the names of timm or of torchvision"
        )
    module.load_state_dict({k: given[k] for k in loaded}, strict=False)
    return PretrainedReport(
        str(source),
        tuple(loaded),
        tuple(k for k in wanted if k not in given),
        tuple(k for k in wanted if k in given and k not in loaded),
        tuple(k for k in given if k not in wanted),
    )


_TORCHVISION_BLOCK = {"block.0": "conv_dw", "block.2": "norm", "block.3": "mlp.fc1", "block.5": "mlp.fc2"}
_TORCHVISION_HEAD = {"classifier.0": "head.norm", "classifier.2": "head.fc"}


def timm_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a ConvNeXt under timm's names, whether they have those or torchvision's."""
    return {_timm_name(name): value for name, value in state.items()}


def _timm_name(name: str) -> str:
    """``features.1.0.block.3.weight`` is ``stages.0.blocks.0.mlp.fc1.weight``; other names stay."""
    part, _, kind = name.rpartition(".")
    if part in _TORCHVISION_HEAD:
        return f"{_TORCHVISION_HEAD[part]}.{kind}"
    match = re.fullmatch(r"features\.(\d+)\.(\d+)\.(.+)", name)
    if match is None:
        return name
    place, index, rest = int(match[1]), match[2], match[3]
    if place == 0:
        return f"stem.{index}.{rest}"
    if place % 2 == 0:  # stages stand at 1, 3, 5, 7 and the steps between them at 2, 4, 6
        return f"stages.{place // 2}.downsample.{index}.{rest}"
    inside, _, kind = rest.rpartition(".")
    rest = "gamma" if rest == "layer_scale" else f"{_TORCHVISION_BLOCK.get(inside, inside)}.{kind}"
    return f"stages.{place // 2}.blocks.{index}.{rest}"


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
