"""RealBasicVSR: frames are cleaned one by one before BasicVSR carries anything from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.superres._layers import conv3
from microexp.superres._network import VideoUpscaler
from microexp.superres._recurrent import ResidualTrunk, in_parts
from microexp.superres.basicvsr import BasicVSRModule
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "RealBasicVSR",
    "title": "RealBasicVSR",
    "summary": "BasicVSR for real-world clips: a network cleans each small frame first, as often as needed.",
    "takes": "clips, or consecutive frames (T, H, W, 3) uint8 RGB of any size; one picture is a clip of one",
    "gives": "the same, 4 times as wide and high",
    "paper": {
        "authors": "Chan, Kelvin C.K. and Zhou, Shangchen and Xu, Xiangyu and Loy, Chen Change",
        "title": "Investigating Tradeoffs in Real-World Video Super-Resolution",
        "venue": "IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2022,
        "doi": "10.1109/CVPR52688.2022.00587",
    },
    "parameters": 6294834,
    "presets": {"without_gan": {"threshold": 1.5}},
    "published": [
        {
            "source": "mmagic, RealBasicVSR (GAN)",
            "data": "VideoLQ, Y",
            "NRQM": 6.0477,
            "NIQE": 3.7662,
            "PI": 3.8593,
            "BRISQUE": 29.030,
        },
    ],
    "notes": [
        "Frames are cleaned up to three times, until the mean change of all frames restored together is "
        "below 'threshold' grey levels: 5 for the adversarial network, 1.5 (preset 'without_gan') for the "
        "one before it, as the authors test them. In training frames are cleaned once, as theirs are.",
        "Restored together are 30 frames and 3 more on either side (settings 'window' and 'margin'); the "
        "authors take whole clips, so they may clean another number of times. The parts of a large picture "
        "(setting 'tile') are each cleaned as often as they need.",
        "The paper adds the L1 distance between cleaned frames and the target made smaller by averaging, "
        "weight 1, to the loss of both stages; so do the recipes.",
        "Recipes of the authors' code otherwise: 'psnr' (L1, Adam 1e-4, 300,000 steps), then 'gan' (L1, "
        "VGG19 features of five taps, 0.05 adversarial loss of a U-Net with spectral norm, Adam 5e-5; the "
        "discriminator's 1e-4 is 5e-5 here, where there is one rate). SPyNet is never trained. Samples are "
        "15 frames, which the authors play there and back.",
        "The authors' degradations also compress the frames as video (H.264, MPEG-4); here they are those of "
        "Real-ESRGAN.",
        "Textures are invented where the small frames do not decide them: not a measurement of a face.",
    ],
    "weights_licence": "Apache-2.0 (the authors' releases); they hold SPyNet",
}

_MOST_CLEANINGS = 3
_TAPS = {"2": 0.1, "7": 0.1, "16": 1.0, "25": 1.0, "34": 1.0}


class RealBasicVSRModule(nn.Module):
    """The network, ``(N, T, 3, H, W)`` in [0, 1] to ``(N, T, 3, 4 H, 4 W)``.

    Parameters
    ----------
    channels, blocks : int
        Of each of BasicVSR's two branches.
    cleaning_blocks : int
        Residual blocks of the network that cleans.
    threshold : float
        Mean change, grey levels of 255, below which frames count as clean; training cleans once.
    """

    def __init__(
        self, channels: int = 64, blocks: int = 20, cleaning_blocks: int = 20, threshold: float = 5.0
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.image_cleaning = nn.Sequential(ResidualTrunk(3, channels, cleaning_blocks), conv3(channels, 3))
        self.basicvsr = BasicVSRModule(channels, blocks)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the enlarged frames."""
        return self.basicvsr(self.cleaned(frames))

    def cleaned(self, frames: Tensor) -> Tensor:
        """Return the cleaned small frames, ``(N, T, 3, H, W)``."""
        for _ in range(_MOST_CLEANINGS):
            change = in_parts(self.image_cleaning, frames.flatten(0, 1)).view_as(frames)
            frames = frames + change
            if self.training or change.abs().mean() < self.threshold / 255:
                break
        return frames


def build_module(
    channels: int = 64, blocks: int = 20, cleaning_blocks: int = 20, threshold: float = 5.0
) -> RealBasicVSRModule:
    """Return the untrained network; parameters as `RealBasicVSRModule`."""
    return RealBasicVSRModule(channels, blocks, cleaning_blocks, threshold)


@dataclass(eq=False, repr=False)
class RealBasicVSR(VideoUpscaler):
    """RealBasicVSR; other parameters as `VideoUpscaler`.

    Parameters
    ----------
    channels, blocks : int
        Of each of BasicVSR's two branches.
    cleaning_blocks : int
        Residual blocks of the network that cleans.
    threshold : float
        Mean change, grey levels of 255, below which frames count as clean.
    """

    architecture = ("channels", "blocks", "cleaning_blocks")

    channels: int = 64
    blocks: int = 20
    cleaning_blocks: int = 20
    threshold: float = 5.0

    def check_parameters(self) -> None:
        super().check_parameters()
        if not self.threshold >= 0:
            raise OptionError(f"RealBasicVSR: threshold must be at least 0, got {self.threshold}")

    def build(self) -> nn.Module:
        return build_module(self.channels, self.blocks, self.cleaning_blocks, self.threshold)

    def discriminator(self, patch: int) -> nn.Module:
        from microexp.superres._discriminators import UNetDiscriminator

        return UNetDiscriminator()

    def training_output(self, module: nn.Module, small: Tensor) -> tuple[Tensor, Tensor]:
        network = cast(RealBasicVSRModule, module)
        cleaned = network.cleaned(small)
        return network.basicvsr(cleaned), cleaned

    def recipes(self) -> dict[str, RestorationRecipe]:
        steps = 300_000
        pixels = RestorationRecipe(
            steps=steps,
            batch_size=16,
            patch=256,
            frames=15,
            lr=1e-4,
            betas=(0.9, 0.99),
            ema=0.999,
            frozen={"basicvsr.spynet.": steps},
            cleaning_weight=1.0,
            sharpen=True,
            degradation="real-world",
        )
        adversarial = replace(
            pixels,
            steps=150_000,
            batch_size=8,
            lr=5e-5,
            feature_weights=_TAPS,
            gan_weight=0.05,
            start="psnr",
        )
        return {"psnr": pixels, "gan": adversarial}
