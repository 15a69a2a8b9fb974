"""LVMM: learned texture and shape of two frames; the difference of their shapes is multiplied."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microexp.errors import OptionError
from microexp.magnify._two_frames import ResidualBlock, TwoFrameMagnifier, check_terms
from microexp.magnify.base import check_factor
from microexp.train.magnification import MagnificationRecipe, Triples

CARD = {
    "class": "LVMM",
    "title": "LVMM (learning-based video motion magnification)",
    "summary": "Two frames become texture and shape; the difference of shape is multiplied and decoded.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size with their onset; the factor",
    "gives": "the same, with the motion between onset and frame `factor` times as large",
    "paper": {
        "authors": "Oh, Tae-Hyun and Jaroensri, Ronnachai and Kim, Changil and Elgharib, Mohamed and Durand, "
        "Frédo and Freeman, William T. and Matusik, Wojciech",
        "title": "Learning-based Video Motion Magnification",
        "venue": "European Conference on Computer Vision (ECCV)",
        "year": 2018,
        "doi": "10.1007/978-3-030-01225-0_39",
        "url": "https://arxiv.org/abs/1804.02684",
    },
    "parameters": 918928,
    "weights_licence": "MIT (the repository that has them)",
    "published": [
        {"source": "Table I of the single-input paper, LVMM3", "data": "CASME II, apex", "FID": 20.995},
        {"source": "Table I of the single-input paper, LVMM3", "data": "SAMM, apex", "FID": 31.48},
        {"source": "Table I of the single-input paper, LVMM3", "data": "SMIC, apex", "FID": 58.498},
        {"source": "Table I of the single-input paper, LVMM3", "data": "MEGC2019, apex", "FID": 32.805},
        {"source": "Table I of the single-input paper, LVMM3", "data": "wild samples, apex", "FID": 34.602},
        {
            "source": "Table II of the single-input paper, LVMM3 + ResNet50",
            "data": "MEGC2019",
            "UF1": 0.7493,
            "UAR": 0.7225,
        },
        {
            "source": "Table II of the single-input paper, LVMM3 + ResNet50",
            "data": "MEGC2019, SAMM part",
            "UF1": 0.713,
            "UAR": 0.6551,
        },
        {
            "source": "Table II of the single-input paper, LVMM3 + ResNet50",
            "data": "MEGC2019, SMIC part",
            "UF1": 0.6735,
            "UAR": 0.6782,
        },
        {
            "source": "Table II of the single-input paper, LVMM3 + ResNet50",
            "data": "MEGC2019, CASME II part",
            "UF1": 0.8241,
            "UAR": 0.8065,
        },
    ],
    "notes": [
        "Layers are those of the authors' released configuration: no biases, no normalisation, texture "
        "enlarged before its convolution, reflected borders but where a convolution halves the size (there "
        "TensorFlow's SAME: zeros, below and on the right).",
        "`factor` is the whole gain, 1 for the motion as it is: the difference is multiplied by factor - 1, "
        "as the authors' code does. Other code bases multiply by what they are given.",
        "A factor of 1 does not give the picture back exactly: it goes through encoder and decoder.",
        "The recipe has the settings of the authors' training code: Adam (.9, .999) at 1e-4, batches of 4, "
        "384 pixels, 100 epochs of 100,000 pairs, photon noise. Texture and shape weigh 0.1 as in the paper, "
        "each 1 in that code; pixels weigh 2 as they span [0, 1] here and [-1, 1] there.",
        "As in the authors' data, the frame and its target have other colours than the onset. The frame in "
        "the onset's colours is compared with both: texture with the onset's, shape with the frame's.",
        "How colours were changed is not said; here each channel of each picture is multiplied by .8 to 1.2 "
        "and shifted by up to .1. The noise's strength is drawn for each picture, there once for all.",
        "The authors' training pictures (objects of COCO and PASCAL VOC moved over each other) are not at "
        "hand: the recipe takes faces whose factor is known, as synthetic ones, of the recipe's usual range.",
        "The figures of Table I and II are those of another paper, 'Microexpression to Macroexpression: "
        "Facial Expression Magnification by Single Input', with a factor of 3.",
    ],
}

_NOISE = 0.3  # largest strength, of photon noise on 8 bits
_GAIN, _SHIFT = 0.2, 0.1  # of the colours
_TERMS = ("l1", "texture", "shape")


class Halving(nn.Conv2d):
    """3x3 convolution with stride 2, padded as TensorFlow's SAME pads maps of even size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return ``(N, outputs, H / 2, W / 2)``."""
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class Encoder(nn.Module):
    """Texture and shape of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _conv(3, 16, 7), Halving(16, 32)
        self.blocks = _blocks(32, 3)
        self.texture_conv = Halving(32, 32)
        self.texture_blocks = _blocks(32, 2)
        self.shape_blocks = _blocks(32, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return texture ``(N, 32, H / 4, W / 4)`` and shape ``(N, 32, H / 2, W / 2)``."""
        x = self.blocks(F.relu(self.conv2(F.relu(self.conv1(x)))))
        return self.texture_blocks(F.relu(self.texture_conv(x))), self.shape_blocks(x)


class Manipulator(nn.Module):
    """The shape of a frame, moved on: ``shape_b + h((factor - 1) g(shape_b - shape_a))``."""

    def __init__(self) -> None:
        super().__init__()
        self.g = _conv(32, 32, 7)
        self.h_conv = _conv(32, 32)
        self.h_block = _blocks(32, 1)[0]

    def forward(self, shape_a: Tensor, shape_b: Tensor, factor: Tensor | float) -> Tensor:
        """Return ``(N, 32, h, w)`` like the shapes; the factor is one for all or ``(N,)``."""
        times = torch.as_tensor(factor, dtype=shape_b.dtype, device=shape_b.device).reshape(-1, 1, 1, 1) - 1
        moved = F.relu(self.g(shape_b - shape_a)) * times
        return shape_b + self.h_block(self.h_conv(moved))


class Decoder(nn.Module):
    """A picture of texture and shape."""

    def __init__(self) -> None:
        super().__init__()
        self.texture_conv = _conv(32, 32)
        self.blocks = _blocks(64, 9)
        self.conv1, self.conv2 = _conv(64, 32), _conv(32, 3, 7)

    def forward(self, texture: Tensor, shape: Tensor) -> Tensor:
        """Return ``(N, 3, H, W)``."""
        texture = F.relu(self.texture_conv(_doubled(texture)))
        x = self.blocks(torch.cat([texture, shape], dim=1))
        return self.conv2(F.relu(self.conv1(_doubled(x))))


class LVMMModule(nn.Module):
    """The network, two pictures ``(N, 3, H, W)`` in [0, 1] to one; height and width are multiples of 4.

    Sections 3.1 and 3.2 of the paper; weights are drawn as in the authors' code (normal, deviation .02, cut
    at two deviations).
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.manipulator, self.decoder = Encoder(), Manipulator(), Decoder()
        for weight in self.parameters():
            nn.init.trunc_normal_(weight, std=0.02, a=-0.04, b=0.04)

    def encode(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Return texture ``(N, 32, H / 4, W / 4)`` and shape ``(N, 32, H / 2, W / 2)``."""
        return self.encoder(2 * picture - 1)

    def magnify(self, onset_shape: Tensor, texture: Tensor, shape: Tensor, factor: Tensor | float) -> Tensor:
        """Return the magnified picture ``(N, 3, H, W)`` of what `encode` gives; values may leave [0, 1]."""
        return (self.decoder(texture, self.manipulator(onset_shape, shape, factor)) + 1) / 2

    def forward(self, onset: Tensor, frame: Tensor, factor: Tensor | float) -> Tensor:
        """Return the frame with the motion since the onset `factor` times as large, ``(N, 3, H, W)``.

        Parameters
        ----------
        onset, frame : torch.Tensor
            ``(N, 3, H, W)`` in [0, 1].
        factor : float or torch.Tensor
            The whole gain; 1 for the motion as it is. One for all pictures, or ``(N,)``.
        """
        return self.magnify(self.encode(onset)[1], *self.encode(frame), factor)


def build_module() -> LVMMModule:
    """Return the untrained network."""
    return LVMMModule()


@dataclass(eq=False, repr=False)
class LVMM(TwoFrameMagnifier):
    """LVMM; other parameters as `NetworkMagnifier`.

    Parameters
    ----------
    factor : float
        How many times as large the motion becomes; 1 for as it is.
    """

    multiple = 4
    aliases = (  # the published PyTorch file
        (r"\.conv2d\.(?=weight$)", "."),
        (r"texture_(cba|up)\b", "texture_conv"),
        (r"\bcba_(?=\d)", "conv"),
        (r"\bmotion_resblks", "shape_blocks"),
        (r"resblk", "block"),
    )

    factor: float = 3.0

    def build(self) -> nn.Module:
        return build_module()

    def check_parameters(self) -> None:
        super().check_parameters()
        check_factor(type(self).__name__, self.factor)

    def recipes(self) -> dict[str, MagnificationRecipe]:
        return {
            "paper": MagnificationRecipe(
                steps=2_500_000,
                losses={"l1": 2.0, "texture": 0.1, "shape": 0.1},
                batch_size=4,
                size=384,
                lr=1e-4,
                betas=(0.9, 0.999),
                augment=False,
            )
        }

    def losses(self, module: nn.Module, batch: Triples, terms: Collection[str]) -> dict[str, Tensor]:
        name = type(self).__name__
        check_terms(name, terms, _TERMS)
        if not bool(torch.isfinite(batch.factor).all()):
            raise OptionError(
                f"{name} must be told the exact factor of every triple it is trained on; real sequences have "
                "none: train on synthetic clips"
            )
        network = cast(LVMMModule, module)
        frame, target = recoloured(batch.middle, batch.apex)
        (texture_a, shape_a), (texture_b, shape_b), (texture_c, shape_c) = (
            network.encode(with_noise(picture)) for picture in (batch.onset, frame, batch.middle)
        )
        output = network.magnify(shape_a, texture_b, shape_b, batch.factor)
        found = {
            "l1": F.l1_loss(output, target),
            "texture": F.l1_loss(texture_c, texture_a),
            "shape": F.l1_loss(shape_c, shape_b),
        }
        return {term: found[term] for term in terms}

    def _remember(self, module: nn.Module, onset: Tensor) -> Tensor:
        return cast(LVMMModule, module).encode(onset)[1]

    def _apply(self, module: nn.Module, remembered: Tensor, frame: Tensor) -> Tensor:
        network = cast(LVMMModule, module)
        return network.magnify(remembered, *network.encode(frame), self.factor)


def recoloured(*pictures: Tensor) -> list[Tensor]:
    """Change the colours of pictures ``(N, 3, H, W)`` in [0, 1]; those of one index all alike.

    Each channel is multiplied by .8 to 1.2 and shifted by at most .1, drawn from torch's global generator.
    """
    drawn = torch.rand(2, len(pictures[0]), 3, 1, 1).to(pictures[0]) * 2 - 1
    gain, shift = 1 + _GAIN * drawn[0], _SHIFT * drawn[1]
    return [(picture * gain + shift).clamp(0, 1) for picture in pictures]


def with_noise(pictures: Tensor) -> Tensor:
    """Add photon noise to pictures ``(N, 3, H, W)`` in [0, 1], drawn from torch's global generator.

    Its deviation is ``n sqrt(picture / 255)``, n being drawn from [0, .3) for each picture.
    """
    strength = _NOISE * torch.rand(len(pictures), 1, 1, 1).to(pictures)
    noise = torch.randn(pictures.shape).to(pictures)
    return pictures + strength * noise * (pictures / 255).sqrt()


def _conv(inputs: int, outputs: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2, padding_mode="reflect", bias=False)


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*[ResidualBlock(channels, padding="reflect", bias=False) for _ in range(count)])


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
