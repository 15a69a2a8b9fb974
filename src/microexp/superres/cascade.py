"""Large factors in steps: one method after another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from microexp.clip import Clip
from microexp.errors import OptionError
from microexp.superres.base import Upscaler


@dataclass(eq=False, repr=False)
class Cascade(Upscaler):
    """Methods one after the other, the first on the small frames.

    Between them frames are what they are everywhere else, ``uint8``: clipped to [0, 255] and rounded. The
    benchmark that chains networks (16 and 32 to 256) does not say what it passed on.

    A video method in it keeps its own window and margin, and nothing but those is held in memory.

    Parameters
    ----------
    upscalers : tuple of Upscaler
        The methods; `scale` is the product of theirs.
    """

    upscalers: tuple[Upscaler, ...] = ()

    @property
    def scale(self) -> int:  # type: ignore[override]  # follows from the methods, is never set
        """Factor of width and height: the product of the methods' factors."""
        return math.prod(upscaler.scale for upscaler in self.upscalers)

    def check_parameters(self) -> None:
        given = self.upscalers
        if (
            not isinstance(given, tuple | list)
            or not given
            or not all(isinstance(u, Upscaler) for u in given)
        ):
            raise OptionError(f"Cascade: upscalers must be a tuple of one or more upscalers, got {given!r}")
        for upscaler in given:
            upscaler.check_parameters()

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        self.check_parameters()
        for upscaler in self.upscalers:
            frames = upscaler.stream(frames)
        yield from frames

    def transform(self, clips: Sequence[Clip]) -> list[Clip]:
        self.check_parameters()
        larger = list(clips)
        for upscaler in self.upscalers:
            larger = upscaler.transform(larger)
        return larger

    def identity(self) -> object:
        parts = tuple(upscaler.identity() for upscaler in self.upscalers)
        return None if None in parts else ("cascade", *parts)

    def _upscale(self, frames: np.ndarray) -> np.ndarray:
        return np.stack(list(self.stream(frames)))


def stages_to(scales: Iterable[int], factor: int) -> tuple[int, ...]:
    """Return which of a method's factors, one after the other, make a larger factor.

    The largest that leads there is taken first, then the largest for what remains: of 2, 3 and 4, 8 is 4 and
    then 2, and 16 is 4 and 4. A factor that the method has is taken as it is.

    Parameters
    ----------
    scales : iterable of int
        Factors of the method, those with weights.
    factor : int
        To come to.

    Raises
    ------
    OptionError
        If no product of the factors is it.
    """
    known = sorted(set(scales), reverse=True)
    whole = all(isinstance(n, int | np.integer) and n > 1 for n in (*known, factor))
    stages = _stages(known, factor) if whole else None
    if stages is None:
        raise OptionError(
            f"an enlargement by {factor} is not reached in steps of {', '.join(map(str, known)) or 'none'}: "
            "it must be their product, and all of them whole numbers from 2 on"
        )
    return stages


def _stages(scales: Sequence[int], factor: int) -> tuple[int, ...] | None:
    """Return the steps, scales being in falling order; None if there are none."""
    if factor == 1:
        return ()
    for scale in scales:
        rest = _stages(scales, factor // scale) if factor % scale == 0 else None
        if rest is not None:
            return scale, *rest
    return None
