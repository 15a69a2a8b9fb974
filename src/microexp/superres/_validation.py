"""How a network in training does on held-out pictures: figures, and a sheet to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from microexp.clip import Clip
from microexp.errors import DataError
from microexp.superres._network import NetworkUpscaler
from microexp.superres.quality import psnr
from microexp.superres.resize import matlab_resize
from microexp.train.restoration import RestorationRecipe
from microexp.train.restoration_data import Degrade, whole_multiples

_MOST, _SHOWN, _FRAMES, _SIDE = 16, 4, 7, 256


@dataclass(frozen=True)
class _Case:
    """Small frames ``(T, h, w, 3)``, and of the middle one the truth and what bicubic makes of it."""

    small: np.ndarray
    true: np.ndarray
    bicubic: np.ndarray


class Validation:
    """Restores the middles of clips that training does not see, and compares them.

    Of at most 16 clips, evenly chosen, the middle frame (with up to 3 neighbours on either side, if the
    recipe is one of video) is cut to its middle 256 pixels, or a patch where that is more, and degraded, the
    same way every time.

    Parameters
    ----------
    method : NetworkUpscaler
        Restores, with the network in training.
    clips : sequence of Clip
        At least one.
    recipe : RestorationRecipe
        Says the degradation, patch and frames.
    degrade : callable
        See `microexp.train.restoration_data.Samples`.

    Raises
    ------
    DataError
        If a picture is smaller than one pixel of the small picture.
    """

    def __init__(
        self, method: NetworkUpscaler, clips: Sequence[Clip], recipe: RestorationRecipe, degrade: Degrade
    ) -> None:
        self._method = method
        chosen = np.unique(np.linspace(0, len(clips) - 1, min(len(clips), _MOST)).round().astype(int))
        self._cases = [
            _case(clips[number], number, method.scale, recipe, degrade) for number in chosen.tolist()
        ]

    def __call__(self, module: nn.Module, sheet: Path) -> dict[str, float]:
        """Return the mean PSNR of what a network restores, and of bicubic; write the sheet of pictures.

        Returns
        -------
        dict of str to float
            "psnr" and "psnr_bicubic", dB.
        """
        was_training = module.training
        upscaler = self._method.using(module.eval())
        restored = [upscaler.upscale(case.small)[len(case.small) // 2] for case in self._cases]
        module.train(was_training)
        _write_sheet(sheet, self._cases[:_SHOWN], restored)
        pairs = list(zip(self._cases, restored, strict=True))
        return {
            "psnr": float(np.mean([psnr(picture, case.true) for case, picture in pairs])),
            "psnr_bicubic": float(np.mean([psnr(case.bicubic, case.true) for case, _ in pairs])),
        }


def _case(clip: Clip, number: int, scale: int, recipe: RestorationRecipe, degrade: Degrade) -> _Case:
    middle, reach = len(clip) // 2, min(recipe.frames, _FRAMES) // 2
    reach = min(reach, middle, len(clip) - 1 - middle)
    frames = clip.frames[middle - reach : middle + reach + 1]
    frames = whole_multiples(_middle(frames, max(recipe.patch, _SIDE)), scale)
    if 0 in frames.shape:
        raise DataError(f"{clip.identity}: its pictures are smaller than the scale, {scale} pixels")
    small = degrade(frames, recipe.degradation, scale, np.random.default_rng(number))
    return _Case(small, frames[reach], matlab_resize(small[reach], scale))


def _middle(frames: np.ndarray, side: int) -> np.ndarray:
    """Cut the middle square of this side, or what there is, out of frames ``(T, H, W, 3)``."""
    top, left = (max(size - side, 0) // 2 for size in frames.shape[1:3])
    return frames[:, top : top + side, left : left + side]


def _write_sheet(file: Path, cases: Sequence[_Case], restored: Sequence[np.ndarray]) -> None:
    """Write a picture: a row a case of small (pixels enlarged), bicubic, restored, true."""
    rows = []
    for case, picture in zip(cases, restored, strict=False):
        height, width = case.true.shape[:2]
        small = case.small[len(case.small) // 2]
        coarse = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.NEAREST))
        rows.append(np.concatenate([coarse, case.bicubic, picture, case.true], axis=1))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(padded)).save(file)
