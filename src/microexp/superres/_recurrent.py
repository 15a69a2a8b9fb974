"""What the recurrent video networks share: flow between neighbours, propagation along time, the last layers.

Chan et al., "BasicVSR: The Search for Essential Components in Video Super-Resolution and Beyond", CVPR 2021,
https://doi.org/10.1109/CVPR46437.2021.00491.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.networks.warp import flow_warp
from microexp.superres._layers import PixelShuffleUp, ResidualBlock, conv3, enlarged
from microexp.superres._spynet import SPYNET_ALIASES, SPyNet
from microexp.train.restoration import RestorationRecipe

SCALE = 4
SLOPE = 0.1  # of every leaky rectifier

# BasicSR's names of the branches and of the convolutions before the pixel shuffles.
RECURRENT_ALIASES = (
    (r"^(backward|forward)_trunk\.", r"\1_resblocks."),
    (r"^upconv([12])\.", r"upsample\1.upsample_conv."),
    *SPYNET_ALIASES,
)

# How BasicVSR is trained; the others of the family differ in little.
RECIPE = RestorationRecipe(
    steps=300_000,
    batch_size=8,
    patch=256,
    frames=15,
    lr=2e-4,
    betas=(0.9, 0.99),
    cosine=(300_000,),
    pixel="charbonnier",
    slow={"spynet.": 0.125},
    frozen={"spynet.": 5000},
)

_WIDEST_HEAD = 64  # channels at the large size, however many there are at the small one
_AT_ONCE = 8  # pictures that go through a network together: bounds the memory


class ResidualTrunk(nn.Module):
    """A convolution with a leaky rectifier, then residual blocks.

    Parameters
    ----------
    inputs, channels : int
        Into and out of the convolution.
    blocks : int
        Number of residual blocks.
    """

    def __init__(self, inputs: int, channels: int, blocks: int) -> None:
        super().__init__()
        residual = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)])
        self.main = nn.Sequential(conv3(inputs, channels), nn.LeakyReLU(SLOPE, inplace=True), residual)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, channels, H, W)`` of ``(N, inputs, H, W)``."""
        return self.main(x)


class RecurrentModule(nn.Module):
    """Base of the recurrent networks: optical flow, and the layers from features to large frames.

    Parameters
    ----------
    channels : int
        Features at the small size; at the large size there are as many, but no more than 64.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        head = min(channels, _WIDEST_HEAD)
        self.channels = channels
        self.spynet = SPyNet()
        self.upsample1 = PixelShuffleUp(channels, channels)
        self.upsample2 = PixelShuffleUp(channels, head)
        self.conv_hr = conv3(head, head)
        self.conv_last = conv3(head, 3)

    def flows(self, frames: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the optical flow between neighbours among ``T`` frames.

        Parameters
        ----------
        frames : torch.Tensor
            ``(N, T, 3, H, W)``.

        Returns
        -------
        list of torch.Tensor
            ``T - 1`` times ``(N, 2, H, W)``: from each frame but the first to the one before.
        list of torch.Tensor
            Likewise: from each frame but the last to the one after.
        """
        count, length = frames.shape[:2]
        if length == 1:
            return [], []
        earlier, later = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)

        def between(first: Tensor, second: Tensor) -> list[Tensor]:
            flow = in_parts(self.spynet, first, second)
            return list(flow.unflatten(0, (count, length - 1)).unbind(1))

        return between(later, earlier), between(earlier, later)

    def swept(
        self,
        trunk: nn.Module,
        inputs: Iterable[Tensor],
        flows: Sequence[Tensor],
        refill: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """Propagate features from each step to the next, moved along the flow.

        Parameters
        ----------
        trunk : torch.nn.Module
            From an input and the features so far to the new features.
        inputs : iterable of torch.Tensor
            ``(N, C, H, W)``, one a step, in the order of propagation.
        flows : sequence of torch.Tensor
            ``(N, 2, H, W)``: ``flows[i]`` leads from step ``i + 1`` back to step ``i``.
        refill : callable or None
            What becomes of the moved features at a step before the trunk takes them.

        Yields
        ------
        torch.Tensor
            ``(N, channels, H, W)``, one a step.
        """
        state: Tensor | None = None
        for i, taken in enumerate(inputs):
            state = self.blank(taken) if state is None else flow_warp(state, flows[i - 1])
            if refill is not None:
                state = refill(i, state)
            state = trunk(torch.cat((taken, state), dim=1))
            yield state

    def blank(self, like: Tensor) -> Tensor:
        """Return the features before the first step, ``(N, channels, H, W)`` of zeros."""
        return like.new_zeros(len(like), self.channels, *like.shape[2:])

    def restored(self, features: Tensor, frame: Tensor) -> Tensor:
        """Return a frame ``(N, 3, 4 H, 4 W)`` of its features and the small frame ``(N, 3, H, W)``."""
        for layer in (self.upsample1, self.upsample2, self.conv_hr):
            features = F.leaky_relu(layer(features), SLOPE)
        return self.conv_last(features) + enlarged(frame, SCALE)


def in_parts(function: Callable[..., Tensor], *stacks: Tensor) -> Tensor:
    """Return what a function makes of stacks ``(N, ...)``, a few pictures at a time."""
    parts = zip(*(stack.split(_AT_ONCE) for stack in stacks), strict=True)
    return torch.cat([function(*part) for part in parts])
