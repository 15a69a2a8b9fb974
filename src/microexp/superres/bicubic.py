"""Bicubic interpolation, which every network is measured against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from microexp.errors import OptionError
from microexp.superres.base import Upscaler
from microexp.superres.resize import check_kernel, resize

CARD = {
    "class": "Bicubic",
    "title": "Bicubic interpolation",
    "summary": "Cubic convolution of the neighbouring sixteen pixels; nothing is learnt.",
    "takes": "clips, or pictures (H, W, 3) uint8 RGB of any size",
    "gives": "the same, a whole number of times as wide and high",
    "paper": {
        "authors": "Keys, Robert G.",
        "title": "Cubic Convolution Interpolation for Digital Image Processing",
        "venue": "IEEE Transactions on Acoustics, Speech, and Signal Processing 29(6)",
        "year": 1981,
        "doi": "10.1109/TASSP.1981.1163711",
    },
    "published": [
        {"source": "SR-MER benchmark, Table V", "data": "CASME II, 16 to 256", "PSNR": 23.32, "SSIM": 0.7584},
        {"source": "SR-MER benchmark, Table V", "data": "CASME II, 32 to 256", "PSNR": 26.89, "SSIM": 0.8252},
        {"source": "SR-MER benchmark, Table V", "data": "CASME II, 64 to 256", "PSNR": 30.75, "SSIM": 0.8823},
        {
            "source": "SR-MER benchmark, Table V",
            "data": "CASME II, 128 to 256",
            "PSNR": 35.14,
            "SSIM": 0.9313,
        },
        {"source": "SR-MER benchmark, Table V", "data": "SAMM, 16 to 256", "PSNR": 22.66, "SSIM": 0.7004},
        {"source": "SR-MER benchmark, Table V", "data": "SAMM, 32 to 256", "PSNR": 26.65, "SSIM": 0.7808},
        {"source": "SR-MER benchmark, Table V", "data": "SAMM, 64 to 256", "PSNR": 30.85, "SSIM": 0.8563},
        {"source": "SR-MER benchmark, Table V", "data": "SAMM, 128 to 256", "PSNR": 35.03, "SSIM": 0.9250},
        {"source": "SR-MER benchmark, Table V", "data": "SMIC-HS, 16 to 256", "PSNR": 23.46, "SSIM": 0.7597},
        {"source": "SR-MER benchmark, Table V", "data": "SMIC-HS, 32 to 256", "PSNR": 27.19, "SSIM": 0.8305},
        {"source": "SR-MER benchmark, Table V", "data": "SMIC-HS, 64 to 256", "PSNR": 30.61, "SSIM": 0.8784},
        {"source": "SR-MER benchmark, Table V", "data": "SMIC-HS, 128 to 256", "PSNR": 33.74, "SSIM": 0.9083},
    ],
    "notes": [
        "Kernel 'matlab' (a = -0.5, borders mirrored, rounded once) is the default, as in the tables of the "
        "field; 'opencv' (a = -0.75) and 'pillow' (a = -0.5, cut off at borders) are what those libraries "
        "give.",
        "The benchmark does not say which program interpolated its pictures, nor by which kernel.",
    ],
}

_BICUBIC = ("matlab", "opencv", "pillow")


@dataclass(eq=False, repr=False)
class Bicubic(Upscaler):
    """Bicubic interpolation.

    Parameters
    ----------
    scale : int
        Factor of width and height, any whole number from 2 on.
    kernel : {"matlab", "opencv", "pillow"}
        Whose bicubic, see `microexp.superres.resize`.
    """

    scale: int = 4
    kernel: str = "matlab"

    def check_parameters(self) -> None:
        if not isinstance(self.scale, int | np.integer) or self.scale < 2:
            raise OptionError(f"Bicubic: scale must be a whole number, 2 or more, got {self.scale!r}")
        check_kernel(self.kernel, _BICUBIC)
        super().check_parameters()

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        return resize(frames, self.scale, self.kernel)
