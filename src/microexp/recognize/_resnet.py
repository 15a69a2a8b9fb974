"""Residual networks of basic blocks, in two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_CONV: dict[int, type[nn.Conv2d] | type[nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORM: dict[int, type[nn.BatchNorm2d] | type[nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL: dict[int, type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}


class ResNet(nn.Module):
    """The network, ``(N, 3, H, W)`` or ``(N, 3, T, H, W)`` to logits ``(N, K)``.

    Convolution 7 of stride 2 in space (1 in time), batch norm, ReLU, max-pool 3 of stride 2; four stages of
    basic blocks of 1, 2, 4 and 8 times `width` maps, stride 2 from stage to stage; mean over all positions;
    one linear layer. The parameters bear torchvision's names.

    Parameters
    ----------
    dims : {2, 3}
        Pictures, or pictures in time.
    n_classes : int
        Outputs.
    blocks : sequence of int
        Basic blocks of the four stages.
    width : int
        Maps of the first stage.
    shortcut : {"A", "B"}
        How a block's input meets an output of another shape: every second position, and zeros for the maps
        that it lacks (no parameters); or a convolution 1 and batch norm.
    """

    def __init__(
        self,
        dims: int,
        n_classes: int,
        blocks: Sequence[int] = DEPTHS[18],
        width: int = 64,
        shortcut: str = "B",
    ) -> None:
        super().__init__()
        stride = (2, 2) if dims == 2 else (1, 2, 2)
        self.conv1 = _CONV[dims](3, width, 7, stride=stride, padding=3, bias=False)  # type: ignore[arg-type]
        self.bn1, self.relu = _NORM[dims](width), nn.ReLU(inplace=True)
        self.maxpool = _POOL[dims](3, stride=2, padding=1)
        widths = [width * 2**stage for stage in range(4)]
        self.layer1 = _stage(dims, width, widths[0], blocks[0], 1, shortcut)
        self.layer2 = _stage(dims, widths[0], widths[1], blocks[1], 2, shortcut)
        self.layer3 = _stage(dims, widths[1], widths[2], blocks[2], 2, shortcut)
        self.layer4 = _stage(dims, widths[2], widths[3], blocks[3], 2, shortcut)
        self.fc = nn.Linear(widths[3], n_classes)
        for module in self.modules():
            if isinstance(module, _CONV[dims]):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.flatten(2).mean(2))


class BasicBlock(nn.Module):
    """Two convolutions 3, each with batch norm, and the shortcut: ReLU(F(x) + shortcut(x))."""

    def __init__(self, dims: int, channels: int, maps: int, stride: int, shortcut: str) -> None:
        super().__init__()
        conv, norm = _CONV[dims], _NORM[dims]
        self.conv1, self.bn1 = conv(channels, maps, 3, stride=stride, padding=1, bias=False), norm(maps)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = conv(maps, maps, 3, padding=1, bias=False), norm(maps)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != maps:
            self.downsample = (
                ZeroPadShortcut(maps - channels, stride)
                if shortcut == "A"
                else nn.Sequential(conv(channels, maps, 1, stride=stride, bias=False), norm(maps))
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(residual + self.downsample(x))


class ZeroPadShortcut(nn.Module):
    """Every `stride`-th position, followed by `extra` maps of zeros; nothing to learn."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: Tensor) -> Tensor:
        dims = x.ndim - 2
        every = slice(None, None, self.stride)
        kept = x[..., every, every] if dims == 2 else x[..., every, every, every]
        return F.pad(kept, (*[0] * (2 * dims), 0, self.extra))


def _stage(dims: int, channels: int, maps: int, blocks: int, stride: int, shortcut: str) -> nn.Sequential:
    first = BasicBlock(dims, channels, maps, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(dims, maps, maps, 1, shortcut) for _ in range(blocks - 1)))
