"""BasicVSR++: four passes over a clip, each aligned by deformable convolution along the flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.networks.warp import flow_warp
from microexp.superres._deform import deform_conv2d
from microexp.superres._layers import conv3
from microexp.superres._network import VideoUpscaler
from microexp.superres._recurrent import (
    RECIPE,
    RECURRENT_ALIASES,
    SLOPE,
    RecurrentModule,
    ResidualTrunk,
    in_parts,
)
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "BasicVSRPP",
    "title": "BasicVSR++",
    "summary": "Four passes through the clip; each step sees two earlier ones, by deformable convolution.",
    "takes": "clips, or consecutive frames (T, H, W, 3) uint8 RGB of any size; one picture is a clip of one",
    "gives": "the same, 4 times as wide and high",
    "paper": {
        "authors": "Chan, Kelvin C.K. and Zhou, Shangchen and Xu, Xiangyu and Loy, Chen Change",
        "title": "BasicVSR++: Improving Video Super-Resolution with Enhanced Propagation and Alignment",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2022,
        "doi": "10.1109/CVPR52688.2022.00588",
    },
    "parameters": 7322927,
    "presets": {"ntire": {"channels": 128, "blocks": 25}},
    "published": [
        {"source": "mmagic, BasicVSR++, REDS", "data": "REDS4 (BIx4), RGB", "PSNR": 32.3855, "SSIM": 0.9069},
        {"source": "mmagic, BasicVSR++, Vimeo-BI", "data": "Vid4 (BIx4), Y", "PSNR": 27.7882, "SSIM": 0.8401},
        {"source": "mmagic, BasicVSR++, Vimeo-BD", "data": "Vid4 (BDx4), Y", "PSNR": 29.0400, "SSIM": 0.8753},
    ],
    "notes": [
        "The paper restores whole clips; here 30 frames at a time with 3 more on either side (settings "
        "'window' and 'margin'), so that memory is bounded. A window as long as the clip gives the paper's.",
        "All features of all passes are held: memory grows with the window, the square of the tile, and five "
        "times the channels.",
        "The authors' code refuses frames below 64x64, where the coarsest level of the flow is a pixel or "
        "two, though that of BasicVSR does not. Small faces are taken as they are: with BasicVSR's published "
        "weights, faces of 16 to 48 pixels came out better so than continued to 64.",
        "BasicSR's version leaves the deformable alignment out where there is no CUDA, and gives other "
        "frames; here it is always there.",
        "With fewer than 64 channels the layers at the large size have as many; in the authors' code they "
        "always have 64.",
        "Preset 'ntire' is the network of the NTIRE 2021 challenge (128 channels, 25 blocks).",
        "Recipe of the authors' code for REDS: SPyNet learns at a quarter of the rate and not at all for the "
        "first 5000 steps; it starts there from weights trained on Sintel, here from what the network has.",
    ],
    "weights_licence": "Apache-2.0 (the authors' releases); they hold a fine-tuned SPyNet",
}

_PASSES = ("backward_1", "forward_1", "backward_2", "forward_2")
_DEFORM_GROUPS = 16
_FARTHEST = 10.0  # pixels that an offset may differ from the flow
_SIDE_BLOCKS = 5  # residual blocks before the passes, and after them


class BasicVSRPPModule(RecurrentModule):
    """The network, ``(N, T, 3, H, W)`` in [0, 1] to ``(N, T, 3, 4 H, 4 W)``.

    Parameters
    ----------
    channels, blocks : int
        Of each of the four passes; channels must be a multiple of 8.
    """

    def __init__(self, channels: int = 64, blocks: int = 7) -> None:
        super().__init__(channels)
        self.feat_extract = ResidualTrunk(3, channels, _SIDE_BLOCKS)
        self.deform_align = nn.ModuleDict({name: FlowGuidedAlignment(channels) for name in _PASSES})
        self.backbone = nn.ModuleDict(
            {
                name: ResidualTrunk(count * channels, channels, blocks)
                for count, name in enumerate(_PASSES, start=2)
            }
        )
        self.reconstruction = ResidualTrunk(5 * channels, channels, _SIDE_BLOCKS)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the enlarged frames."""
        count = len(frames)
        to_previous, to_next = self.flows(frames)
        spatial = in_parts(self.feat_extract, frames.flatten(0, 1)).unflatten(0, (count, -1))
        features = [[each] for each in spatial.unbind(1)]
        for name in _PASSES:
            if name.startswith("backward"):
                found = self._passed(name, features[::-1], to_next[::-1])[::-1]
            else:
                found = self._passed(name, features, to_previous)
            for held, new in zip(features, found, strict=True):
                held.append(new)
        large = [
            self.restored(self.reconstruction(torch.cat(held, dim=1)), picture)
            for held, picture in zip(features, frames.unbind(1), strict=True)
        ]
        return torch.stack(large, dim=1)

    def _passed(
        self, name: str, features: Sequence[Sequence[Tensor]], flows: Sequence[Tensor]
    ) -> list[Tensor]:
        """Return the features of one pass, made step by step of those before it, in the order given."""
        align, backbone = self.deform_align[name], self.backbone[name]
        states: list[Tensor] = []
        for i, known in enumerate(features):
            state = self.blank(known[0])
            if i > 0:
                state = align(known[0], states[:-3:-1], flows[max(i - 2, 0) : i][::-1])
            states.append(state + backbone(torch.cat((*known, state), dim=1)))
        return states


class FlowGuidedAlignment(nn.Module):
    """Features of the last two steps moved to the present one, by deformable convolution along the flow.

    Equations (2) to (6) of the paper: offsets are the flow plus a bounded rest, which is 0 at first.

    Parameters
    ----------
    channels : int
        Of the features of a step; a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, 2 * channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(channels))
        bound = 1 / math.sqrt(2 * channels * 9)
        nn.init.uniform_(self.weight, -bound, bound)
        layers: list[nn.Module] = []
        for inputs in (3 * channels + 4, channels, channels):
            layers += [conv3(inputs, channels), nn.LeakyReLU(SLOPE, inplace=True)]
        last = conv3(channels, 27 * _DEFORM_GROUPS)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.conv_offset = nn.Sequential(*layers, last)

    def forward(self, current: Tensor, earlier: Sequence[Tensor], flows: Sequence[Tensor]) -> Tensor:
        """Return ``(N, channels, H, W)``.

        Parameters
        ----------
        current : torch.Tensor
            ``(N, channels, H, W)``: what is known of the present step.
        earlier : sequence of torch.Tensor
            Features of the last step and, from the third step on, of the one before it, likewise.
        flows : sequence of torch.Tensor
            ``(N, 2, H, W)``: from the present step to the last, and from the last to the one before it.
        """
        first, flow = earlier[0], flows[0]
        second, further = torch.zeros_like(first), torch.zeros_like(flow)
        warped = [flow_warp(first, flow), second]
        if len(earlier) > 1:
            second, further = earlier[1], flow + flow_warp(flows[1], flow)
            warped[1] = flow_warp(second, further)
        seen = torch.cat((warped[0], current, warped[1], flow, further), dim=1)
        offset, mask = self._offsets(self.conv_offset(seen), flow, further)
        return deform_conv2d(
            torch.cat((first, second), dim=1),
            offset,
            mask,
            self.weight,
            self.bias,
            padding=1,
            deform_groups=_DEFORM_GROUPS,
        )

    def _offsets(self, found: Tensor, flow: Tensor, further: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets and mask; the first half of the groups looks at the last step, along its flow."""
        taps = 9 * _DEFORM_GROUPS
        rest, mask = found.split((2 * taps, taps), dim=1)
        along = [each.flip(1).repeat(1, taps // 2, 1, 1) for each in (flow, further)]
        return _FARTHEST * rest.tanh() + torch.cat(along, dim=1), mask.sigmoid()


def build_module(channels: int = 64, blocks: int = 7) -> BasicVSRPPModule:
    """Return the untrained network; parameters as `BasicVSRPPModule`."""
    return BasicVSRPPModule(channels, blocks)


@dataclass(eq=False, repr=False)
class BasicVSRPP(VideoUpscaler):
    """BasicVSR++; other parameters as `VideoUpscaler`.

    Parameters
    ----------
    channels, blocks : int
        Of each of the four passes; channels must be a multiple of 8.
    """

    architecture = ("channels", "blocks")
    aliases = RECURRENT_ALIASES

    channels: int = 64
    blocks: int = 7

    def check_parameters(self) -> None:
        super().check_parameters()
        if self.channels < 1 or self.channels * 2 % _DEFORM_GROUPS:
            raise OptionError(
                f"BasicVSRPP: channels must be a multiple of {_DEFORM_GROUPS // 2}, got {self.channels}"
            )

    def build(self) -> nn.Module:
        return build_module(self.channels, self.blocks)

    def recipes(self) -> dict[str, RestorationRecipe]:
        recipe = replace(RECIPE, steps=600_000, cosine=(600_000,), frames=30, lr=1e-4, slow={"spynet.": 0.25})
        return {"psnr": recipe}
