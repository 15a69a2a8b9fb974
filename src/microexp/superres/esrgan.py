"""ESRGAN: residual-in-residual dense blocks, trained against a relativistic discriminator."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from microexp.errors import OptionError, UnknownNameError
from microexp.superres._network import NetworkUpscaler
from microexp.superres._rrdb import RRDBNetModule, RRDNModule
from microexp.train.restoration import RestorationRecipe

CARD = {
    "class": "ESRGAN",
    "title": "ESRGAN",
    "summary": "Twenty-three residual-in-residual dense blocks, adversarial: sharp, at the price of PSNR.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, 2 or 4 times as wide and high (variant 'rrdn': also 3 or 8)",
    "paper": {
        "authors": "Wang, Xintao and Yu, Ke and Wu, Shixiang and Gu, Jinjin and Liu, Yihao and Dong, Chao "
        "and Qiao, Yu and Loy, Chen Change",
        "title": "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks",
        "venue": "European Conference on Computer Vision Workshops (ECCVW)",
        "year": 2018,
        "doi": "10.1007/978-3-030-11021-5_5",
    },
    "parameters": 16697987,
    "presets": {
        "rrdn_thick": {"variant": "rrdn", "blocks": 10},
        "rrdn_idealo": {"variant": "rrdn", "channels": 32, "blocks": 10},
    },
    "published": [
        {"source": "mmagic, PSNR network x4", "data": "Set5, RGB, 4 pixels cropped", "PSNR": 30.6428},
        {"source": "mmagic, ESRGAN x4", "data": "Set5, RGB, 4 pixels cropped", "PSNR": 28.27},
    ],
    "notes": [
        "Recipes of mmagic: 'psnr' (L1, Adam 2e-4, four cosine periods of 250,000 steps), then 'gan' from "
        "its result (0.01 L1, VGG19 features before the rectifier of conv5_4, 0.005 relativistic average "
        "loss, Adam 1e-4, halved four times in 400,000 steps).",
        "The paper enlarges by 4. For 2 the picture is first folded by 2 into channels, as mmagic and "
        "Real-ESRGAN do; a height or width that is odd is continued by its last row or column.",
        "Checkpoints with the names of the first release (model.1.sub.N ...) and of the one between "
        "(RRDB_trunk.N ...) are understood.",
        "The discriminator is that of mmagic and BasicSR (ten convolutions), built for the recipe's patches "
        "of 128.",
        "Variant 'rrdn' is the network of idealo's image-super-resolution (RRDN), which is not the paper's: "
        "plain rectifiers in the blocks, and one pixel shuffle to three channels before the last "
        "convolution. Preset 'rrdn_thick' is that of UpscalerJS's weights 'esrgan-thick' (2, 3, 4, 8), "
        "'rrdn_idealo' that of idealo's own (4). Here it is trained by the recipes above, for 3 with patches "
        "of 96.",
    ],
}

# Other names of the same parameters; in the oldest, the last index in the trunk is the number of blocks.
OLD_NAMES = (
    (r"^model\.1\.sub\.(\d+)\.RDB([123])\.conv([1-5])\.0\.", r"body.\1.rdb\2.conv\3."),
    (r"^model\.1\.sub\.\d+\.(?=weight$|bias$)", "conv_body."),
    (r"^model\.0\.", "conv_first."),
    (r"^model\.3\.", "conv_up1."),
    (r"^model\.6\.", "conv_up2."),
    (r"^model\.8\.", "conv_hr."),
    (r"^model\.10\.", "conv_last."),
    (r"^RRDB_trunk\.(\d+)\.RDB([123])\.", r"body.\1.rdb\2."),
    (r"^trunk_conv\.", "conv_body."),
    (r"^upconv([12])\.", r"conv_up\1."),
    (r"^HRconv\.", "conv_hr."),
)


_VARIANTS = {"esrgan": (RRDBNetModule, (1, 2, 4)), "rrdn": (RRDNModule, (2, 3, 4, 8))}  # and their scales


def build_module(
    scale: int = 4, channels: int = 64, blocks: int = 23, growth: int = 32, variant: str = "esrgan"
) -> nn.Module:
    """Return the untrained network: `RRDBNetModule`, or `RRDNModule` for the variant "rrdn".

    Raises
    ------
    OptionError
        If there is no such variant, or not for this scale.
    """
    _check_variant(variant)
    network, scales = _VARIANTS[variant]
    if scale not in scales:
        known = ", ".join(str(s) for s in scales if s > 1)
        raise OptionError(f"ESRGAN: the variant '{variant}' enlarges by {known}, not by {scale}")
    return network(scale, channels, blocks, growth)


def _check_variant(name: str) -> None:
    if name not in _VARIANTS:
        raise UnknownNameError("variant of ESRGAN", name, _VARIANTS)


@dataclass(eq=False, repr=False)
class ESRGAN(NetworkUpscaler):
    """ESRGAN; other parameters as `NetworkUpscaler`.

    Parameters
    ----------
    channels, blocks, growth : int
        Features, number of residual-in-residual dense blocks, and channels that a dense convolution adds.
    variant : str
        "esrgan", the paper's network, for 2 and 4; "rrdn", that of idealo's image-super-resolution, for 3 and
        8, too.
    """

    scales = (2, 3, 4, 8)
    architecture = ("channels", "blocks", "growth", "variant")
    aliases = OLD_NAMES

    channels: int = 64
    blocks: int = 23
    growth: int = 32
    variant: str = "esrgan"

    def check_parameters(self) -> None:
        super().check_parameters()
        _check_variant(self.variant)  # with the scale only when built: the weight file may say another

    def build(self) -> nn.Module:
        return build_module(self.scale, self.channels, self.blocks, self.growth, self.variant)

    def discriminator(self, patch: int) -> nn.Module:
        """Return the VGG discriminator, of as many channels as the generator; a patch is a multiple of 32."""
        from microexp.superres._discriminators import VGG128Discriminator

        return VGG128Discriminator(self.channels, patch)

    def recipes(self) -> dict[str, RestorationRecipe]:
        patch = 96 if self.scale == 3 else 128  # a multiple of the scale, and of the discriminator's 32
        return {
            "psnr": RestorationRecipe(steps=1_000_000, patch=patch, cosine=(250_000,) * 4),
            "gan": RestorationRecipe(
                steps=400_000,
                patch=patch,
                lr=1e-4,
                halve_at=(50_000, 100_000, 200_000, 300_000),
                pixel_weight=0.01,
                feature_weights={"34": 1.0},
                gan="relativistic",
                gan_weight=0.005,
                start="psnr",
            ),
        }
