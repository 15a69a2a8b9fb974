"""SRGAN: a residual network trained for pixels, then against a discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import WeightsError
from microexp.superres._discriminators import VGG128Discriminator
from microexp.superres._layers import (
    PixelShuffleUp,
    ResidualBlock,
    conv3,
    enlarged,
    shuffle_factors,
    small_weights,
)
from microexp.superres._network import NetworkUpscaler
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "SRGAN",
    "title": "SRGAN (MSRResNet)",
    "summary": "Sixteen residual blocks over the bilinear picture, trained for pixels, then adversarially.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, 2, 3 or 4 times as wide and high",
    "paper": {
        "authors": "Ledig, Christian and Theis, Lucas and Huszár, Ferenc and Caballero, Jose and Cunningham, "
        "Andrew and Acosta, Alejandro and Aitken, Andrew and Tejani, Alykhan and Totz, Johannes and Wang, "
        "Zehan and Shi, Wenzhe",
        "title": "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2017,
        "doi": "10.1109/CVPR.2017.19",
    },
    "parameters": 1517571,
    "presets": {"basicsr": {"activation_after_shuffle": True}},
    "published": [
        {
            "source": "mmagic, MSRResNet x4 (stage psnr)",
            "data": "Set5, RGB, 4 pixels cropped",
            "PSNR": 30.2252,
            "SSIM": 0.8491,
        },
        {
            "source": "mmagic, SRGAN x4 (stage gan)",
            "data": "Set5, RGB, 4 pixels cropped",
            "PSNR": 27.9499,
            "SSIM": 0.7846,
        },
    ],
    "notes": [
        "The generator is mmagic's MSRResNet, not the paper's SRResNet: no batch norm, LeakyReLU 0.1 for "
        "PReLU, 3x3 for 9x9, no convolution after the blocks, and the bilinear picture is added.",
        "BasicSR's network of the same name and tensors is another function: it has a LeakyReLU 0.1 after "
        "each pixel shuffle, mmagic's has none. Preset 'basicsr' (activation_after_shuffle=True) is for "
        "its weights; a file with BasicSR's tensor names is refused without it.",
        "Recipes of mmagic. Stage psnr: L1, Adam 2e-4, 1,000,000 steps in four cosine periods (the name of "
        "the published file says 300k). Stage gan: 0.01 L1 + L1 of VGG19's conv5_4 + 0.005 of the "
        "adversarial loss, 400,000 steps (the name of the file says 1000k). The paper compares features by "
        "their squared error and weighs the adversarial loss by 0.001.",
        "Published weights are for 4. For 3 both stages take patches of 96, the discriminator too: 128 is "
        "no multiple of 3. Our choice.",
    ],
}

_SLOPE = 0.1


class MSRResNetModule(nn.Module):
    """The generator, ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, s H, s W)``.

    Parameters
    ----------
    scale : int
        2, 3 or 4.
    channels, blocks : int
        Of the residual body.
    activation_after_shuffle : bool
        Whether a LeakyReLU follows each pixel shuffle, as in BasicSR.
    """

    def __init__(
        self, scale: int = 4, channels: int = 64, blocks: int = 16, activation_after_shuffle: bool = False
    ) -> None:
        super().__init__()
        self.scale = scale
        self.slope = _SLOPE if activation_after_shuffle else 1.0
        self.conv_first = conv3(3, channels)
        self.trunk_net = nn.Sequential(*[ResidualBlock(channels) for _ in range(blocks)])
        self.upsample1 = PixelShuffleUp(channels, channels, shuffle_factors(scale)[0])
        self.upsample2 = PixelShuffleUp(channels, channels, 2) if scale == 4 else None
        self.conv_hr = conv3(channels, channels)
        self.conv_last = conv3(channels, 3)
        for layer in (self.conv_first, self.conv_hr, self.conv_last):
            small_weights(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Return the enlarged pictures."""
        features = self.trunk_net(F.leaky_relu(self.conv_first(x), _SLOPE))
        for up in (self.upsample1, self.upsample2):
            if up is not None:
                features = F.leaky_relu(up(features), self.slope)
        return self.conv_last(F.leaky_relu(self.conv_hr(features), _SLOPE)) + enlarged(x, self.scale)


def build_module(
    scale: int = 4, channels: int = 64, blocks: int = 16, activation_after_shuffle: bool = False
) -> MSRResNetModule:
    """Return the untrained generator; parameters as `MSRResNetModule`."""
    return MSRResNetModule(scale, channels, blocks, activation_after_shuffle)


@dataclass(eq=False, repr=False)
class SRGAN(NetworkUpscaler):
    """SRGAN, and what it is before it meets its discriminator; other parameters as `NetworkUpscaler`.

    Parameters
    ----------
    channels, blocks : int
        Of the residual body.
    activation_after_shuffle : bool
        Whether a LeakyReLU follows each pixel shuffle: True for weights of BasicSR, False for mmagic's.
    """

    scales = (2, 3, 4)
    architecture = ("channels", "blocks", "activation_after_shuffle")
    aliases = (  # BasicSR, and what it was before
        (r"^(body|recon_trunk)\.", "trunk_net."),
        (r"^upconv([12])\.", r"upsample\1.upsample_conv."),
        (r"^HRconv\.", "conv_hr."),
    )

    channels: int = 64
    blocks: int = 16
    activation_after_shuffle: bool = False

    def build(self) -> nn.Module:
        return build_module(self.scale, self.channels, self.blocks, self.activation_after_shuffle)

    def recipes(self) -> dict[str, RestorationRecipe]:
        return {
            "psnr": RestorationRecipe(steps=1_000_000, patch=self._patch(), lr=2e-4, cosine=(250_000,) * 4),
            "gan": RestorationRecipe(
                steps=400_000,
                patch=self._patch(),
                lr=1e-4,
                halve_at=(50_000, 100_000, 200_000, 300_000),
                pixel_weight=0.01,
                feature_weights={"34": 1.0},
                gan="vanilla",
                gan_weight=5e-3,
                start="psnr",
            ),
        }

    def discriminator(self, patch: int) -> nn.Module:
        """Return the VGG discriminator, of as many channels as the generator; a patch is a multiple of 32."""
        return VGG128Discriminator(self.channels, patch)

    def canonical(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors of a published checkpoint under the names of this network.

        Raises
        ------
        WeightsError
            If the names are BasicSR's and the network is mmagic's: the tensors fit, the result is wrong.
        """
        if not self.activation_after_shuffle and any("upconv1." in key for key in state):
            raise WeightsError(
                f"{self.weights or 'this file'} has the names of BasicSR, whose network has an "
                "activation after each pixel shuffle: set activation_after_shuffle=True (preset 'basicsr')"
            )
        return super().canonical(state)

    def _patch(self) -> int:
        return 96 if self.scale == 3 else 128
