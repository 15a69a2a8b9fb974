"""What networks that magnify are trained on: a face at rest, moved a little, and moved much."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from microexp.clip import Clip
from microexp.datasets.synthetic import Truth
from microexp.errors import DataError
from microexp.faces.alignment import AlignedFrames
from microexp.faces.geometry import warp_flow
from microexp.frames import ArrayFrames
from microexp.train.magnification import MagnificationRecipe, Triples

MACRO = (0.04, 0.06)  # largest movement at a made apex, of the drawn picture's side: 4.5 to 6.7 px of 112
_MADE = 4  # triples that are made of a synthetic clip: drawing two pictures takes some tenths of a second
_LONG = 9  # frames; of longer sequences the paper draws the middle
_CROP, _COLOUR, _HUE, _COLOURED = 0.05, 0.05, 0.01, 0.8  # the augmentation of FaceCycle
_HELD = 1 << 30  # bytes of pictures that are kept in memory
_OF_STEP, _OF_CLIP = 1, 2  # second words of this module's random streams
_GREY = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_GREY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


class Places(NamedTuple):
    """Where the three pictures of a triple are found.

    Attributes
    ----------
    onset, middle, apex : float
        Indices of frames; of a synthetic clip with its truth, factors on the micro-expression's movement.
    factor : float
        How many times as large the movement at the apex is as that in the middle; NaN if not known.
    """

    onset: float
    middle: float
    apex: float
    factor: float


class Drawn(NamedTuple):
    """What is known of a triple that was drawn beforehand: a clip of its three pictures has it as metadata.

    Attributes
    ----------
    flow : numpy.ndarray
        ``(H, W, 2)``, the exact flow from onset to middle: dx, dy, pixels. To the apex it is `factor` times
        as long.
    factor : float
        As in `Places`.
    """

    flow: np.ndarray
    factor: float


def drawn_triple(clip: Clip, factors: tuple[float, float], generator: np.random.Generator) -> Clip:
    """Return a triple of a synthetic clip, see `draw_places`, as a clip of three pictures.

    Its metadata ``"triple"`` is `Drawn`: training takes it as it is, and need not draw it again.
    """
    places = draw_places(clip, factors, generator)
    return Clip.from_array(
        np.stack([read_picture(clip, place) for place in places[:3]]),
        onset=0,
        apex=2,
        offset=2,
        subject=clip.subject,
        name=clip.name,
        metadata={"triple": Drawn(read_flow(clip, places.middle), places.factor)},
    )


def paper_triple(clip: Clip, generator: np.random.Generator) -> tuple[int, int, int]:
    """Choose onset, middle and apex of a sequence as the paper does.

    The sequence goes from the onset to the apex. Of more than 9 frames, the middle is any one from the third
    to the last but one; of k <= 9, it is frame ``k // 2`` counted from 1.

    Where the apex is not annotated, the clip goes from rest to the peak and back, as MMI's do: the three
    frames in the middle of onset and offset count as the peak, and the last of them ends the sequence. (The
    paper does not say which.) A sequence has three frames at least: where onset and apex lie closer, it
    begins before the onset; and of three frames the second is the middle, as ``3 // 2`` would be the onset.

    Parameters
    ----------
    clip : Clip
        An expression.
    generator : numpy.random.Generator
        Draws the middle.

    Returns
    -------
    tuple of int
        Indices of frames, ``onset < middle < apex``.

    Raises
    ------
    DataError
        If there are no two frames before the apex.

    References
    ----------
    "Microexpression to Macroexpression: Facial Expression Magnification by Single Input", section IV.A.
    """
    first, last = _sequence(clip)
    count = last - first + 1
    middle = int(generator.integers(2, count - 1)) if count > _LONG else max(count // 2 - 1, 1)
    return first, first + middle, last


def draw_places(clip: Clip, factors: tuple[float, float], generator: np.random.Generator) -> Places:
    """Choose a triple of a clip.

    Of a synthetic clip with its truth, the apex is its movement made as large as a macro-expression's, 4 to
    6 % of the picture's side where it is largest, and the middle that divided by a factor between `factors`.
    One that was drawn beforehand is taken as it is. Of any other clip see `paper_triple`.

    Raises
    ------
    DataError
        If it has too few frames.
    """
    if (drawn := clip.metadata.get("triple")) is not None:
        return Places(0, 1, 2, drawn.factor)
    if not is_made_to_order(clip):
        return Places(*paper_triple(clip, generator), factor=np.nan)
    truth: Truth = clip.metadata["truth"]
    largest, factor = truth.script.size * generator.uniform(*MACRO), generator.uniform(*factors)
    apex = largest / truth.amplitude
    return Places(0.0, apex / factor, apex, factor)


def read_picture(clip: Clip, place: float) -> np.ndarray:
    """Return the picture at a place of `Places`, ``(H, W, 3) uint8 RGB``.

    One that is made to order is aligned like the clip, if that is.
    """
    if not is_made_to_order(clip):
        return clip.frames[int(place)]
    truth: Truth = clip.metadata["truth"]
    picture = truth.macro(place) if place else truth.neutral()
    if isinstance(clip.frames, AlignedFrames):
        return AlignedFrames(ArrayFrames(picture[np.newaxis]), clip.frames.alignment)[0]
    return picture


def read_flow(clip: Clip, place: float) -> np.ndarray:
    """Return the exact flow from rest to a place of `Places`, ``(H, W, 2) float32``: dx, dy, pixels.

    NaN where nothing is known of it.
    """
    if (drawn := clip.metadata.get("triple")) is not None:
        return np.float32((0.0, 1.0, drawn.factor)[int(place)]) * drawn.flow.astype(np.float32)
    if not is_made_to_order(clip):
        return np.full((*clip.size, 2), np.nan, np.float32)
    flow = clip.metadata["truth"].macro_flow(place)
    if isinstance(clip.frames, AlignedFrames):
        alignment = clip.frames.alignment
        return warp_flow(flow, alignment.matrix(0), alignment.size)
    return flow


def is_made_to_order(clip: Clip) -> bool:
    """Whether the face of a clip can be drawn with any strength of its movement."""
    return isinstance(clip.metadata.get("truth"), Truth)


def check_clips(clips: Sequence[Clip]) -> None:
    """Raise `DataError`, naming the clip, if one of them has no triple or pictures that are not square."""
    for clip in clips:
        height, width = clip.size
        if height != width:
            raise DataError(
                f"{clip.identity}: its pictures are {width}x{height} pixels; magnification is trained on "
                "square pictures of faces: align them first (faces 'aligner'; --align on the command line)"
            )
        if not is_made_to_order(clip):
            _sequence(clip)


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """Return a picture ``(H, W, C)`` as ``(size, size, C)``: by area, or bilinear where it grows."""
    method = cv2.INTER_AREA if size <= min(picture.shape[:2]) else cv2.INTER_LINEAR
    return (
        picture
        if picture.shape[:2] == (size, size)
        else cv2.resize(picture, (size, size), None, 0, 0, method)
    )


class MagnificationSamples:
    """Random triples of clips; each step's are drawn by a seed of its own.

    Each clip is as likely as any other. Of a synthetic clip four triples are made to order, see
    `draw_places`, when they are first needed; their pictures have no camera's noise. Of any other clip a
    triple is chosen anew each time, as the paper does.

    Parameters
    ----------
    clips : sequence of Clip
        Expressions of square faces, of any size.
    recipe : MagnificationRecipe
        Says batch size, size of the pictures, factors, and whether they are augmented.
    seed : int
        Of all drawing.

    Raises
    ------
    DataError
        If there are no clips, or one has pictures that are not square or too few frames.
    """

    def __init__(self, clips: Sequence[Clip], recipe: MagnificationRecipe, seed: int = 0) -> None:
        if not clips:
            raise DataError("there is no clip to train on")
        check_clips(clips)
        self.clips, self.recipe, self.seed = list(clips), recipe, seed
        self._held = _Held()

    def batch(self, step: int) -> Triples:
        """Return the triples of a step, the same every time."""
        generator = np.random.default_rng((self.seed, _OF_STEP, step))
        drawn = [self._triple(generator) for _ in range(self.recipe.batch_size)]
        pictures, flows, factors = zip(*drawn, strict=True)
        onset, middle, apex = _to_tensor(np.stack(pictures, axis=1))
        (flow,) = _to_tensor(np.stack(flows)[np.newaxis])
        return Triples(onset, middle, apex, torch.tensor(factors, dtype=torch.float32), flow)

    def _triple(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
        """Draw pictures ``(3, S, S, 3) float32`` in [0, 1], the flow ``(S, S, 2)`` and the factor."""
        recipe = self.recipe
        number = int(generator.integers(len(self.clips)))
        places = self._places(number, generator)
        if generator.random() < recipe.strong:
            places = places._replace(middle=places.apex, factor=1.0)
        pictures = [self._picture(number, place) for place in places[:3]]
        flow = self._flow(number, places.middle)
        if recipe.augment:
            return *augmented(pictures, flow, recipe.size, generator), places.factor
        shown = _to_floats([resized(picture, recipe.size) for picture in pictures])
        return shown, _resized_flow(flow, recipe.size), places.factor

    def _places(self, number: int, generator: np.random.Generator) -> Places:
        clip = self.clips[number]
        if is_made_to_order(clip):
            which = int(generator.integers(_MADE))
            generator = np.random.default_rng((self.seed, _OF_CLIP, number, which))
        return draw_places(clip, self.recipe.factors, generator)

    def _picture(self, number: int, place: float) -> np.ndarray:
        return self._held.get((number, place, ""), lambda: read_picture(self.clips[number], place))

    def _flow(self, number: int, place: float) -> np.ndarray:
        return self._held.get((number, place, "flow"), lambda: read_flow(self.clips[number], place))


def augmented(
    pictures: Sequence[np.ndarray], flow: np.ndarray, size: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Show pictures of one size, and a flow between them, cropped, recoloured and mirrored, all alike.

    The crop has .95 to 1.05 of the area and of the ratio of the sides, within the picture. In 8 of 10 draws
    brightness, contrast (about the first picture's mean) and saturation get factors of .95 to 1.05, and the
    hue turns by up to .01 of the circle about the axis of greys, so that the change of a colour is one linear
    map. Every other draw is mirrored.

    Parameters
    ----------
    pictures : sequence of numpy.ndarray
        Each ``(H, W, 3) uint8``.
    flow : numpy.ndarray
        ``(H, W, 2) float32``: dx, dy, pixels.
    size : int
        Side of the result.
    generator : numpy.random.Generator
        Draws.

    Returns
    -------
    numpy.ndarray
        Pictures ``(n, size, size, 3) float32`` in [0, 1].
    numpy.ndarray
        The flow ``(size, size, 2) float32`` in pixels of the result.
    """
    rows, columns = _crop(pictures[0].shape, generator)
    shown = _to_floats([resized(picture[rows, columns], size) for picture in pictures])
    moved = _resized_flow(flow[rows, columns], size)
    if generator.random() < _COLOURED:
        shown = _recoloured(shown, generator)
    if generator.random() < 0.5:
        return shown[:, :, ::-1], moved[:, ::-1] * np.array([-1, 1], np.float32)
    return shown, moved


def _sequence(clip: Clip) -> tuple[int, int]:
    """Return the first and the last frame of the way from rest to the peak."""
    last = clip.apex
    if last is None:
        end = len(clip) - 1 if clip.offset is None else clip.offset
        last = min((clip.onset + end) // 2 + 1, len(clip) - 1)
    first = min(clip.onset, last - 2)
    if first < 0:
        raise DataError(
            f"{clip.identity}: a triple needs two frames before the apex, and there are {last} (the clip has "
            f"{len(clip)} frames)"
        )
    return first, last


def _crop(shape: Sequence[int], generator: np.random.Generator) -> tuple[slice, slice]:
    area = generator.uniform(1 - _CROP, 1 + _CROP)
    ratio = np.exp(generator.uniform(np.log(1 - _CROP), np.log(1 + _CROP)))
    height = min(shape[0], round(shape[0] * np.sqrt(area / ratio)))
    width = min(shape[1], round(shape[1] * np.sqrt(area * ratio)))
    top = int(generator.integers(shape[0] - height + 1))
    left = int(generator.integers(shape[1] - width + 1))
    return slice(top, top + height), slice(left, left + width)


def _recoloured(pictures: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    brightness, contrast, saturation = generator.uniform(1 - _COLOUR, 1 + _COLOUR, 3)
    angle = 2 * np.pi * generator.uniform(-_HUE, _HUE)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    turn[1:] *= saturation
    change = brightness * contrast * np.linalg.inv(_YIQ) @ turn @ _YIQ
    shift = brightness * (1 - contrast) * float((pictures[0] @ _GREY).mean())
    return np.clip(pictures @ change.T.astype(np.float32) + np.float32(shift), 0, 1)


def _resized_flow(flow: np.ndarray, size: int) -> np.ndarray:
    """Return a flow ``(H, W, 2)`` of pictures that become ``size`` pixels wide and high."""
    height, width = flow.shape[:2]
    return resized(flow, size) * np.array([size / width, size / height], np.float32)


def _to_floats(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.stack(pictures).astype(np.float32) / 255


def _to_tensor(pictures: np.ndarray) -> Tensor:
    """Turn ``(n, N, S, S, C)`` into ``(n, N, C, S, S) float32``."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 1, 4, 2, 3)))


class _Held:
    """Pictures and flows that were used last."""

    def __init__(self) -> None:
        self._pictures: OrderedDict[tuple[int, float, str], np.ndarray] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[int, float, str], make: Callable[[], np.ndarray]) -> np.ndarray:
        if key in self._pictures:
            self._pictures.move_to_end(key)
            return self._pictures[key]
        picture = make()
        self._pictures[key] = picture
        self._bytes += picture.nbytes
        while self._bytes > _HELD and len(self._pictures) > 1:
            _, dropped = self._pictures.popitem(last=False)
            self._bytes -= dropped.nbytes
        return picture
