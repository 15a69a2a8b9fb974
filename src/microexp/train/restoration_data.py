"""What networks that restore pictures are trained on: folders of faces, subjects apart, random patches."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from microexp.clip import Clip
from microexp.errors import DataError, OptionError, PathMissingError
from microexp.frames import IMAGE_SUFFIXES, Frames, read_image
from microexp.train.restoration import RestorationRecipe

Degrade = Callable[[np.ndarray, str, int, np.random.Generator], np.ndarray]
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm", ".wmv"})
_STILL_FPS = 25.0  # a clip needs a frame rate; that of a single picture means nothing
_SURROUNDINGS = 400 / 256  # Real-ESRGAN degrades 400 pixels and keeps 256 of them
_HELD = 1 << 30  # bytes of pictures that are kept in memory


class Picture(Frames):
    """The one picture of a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def shape(self) -> tuple[int, int, int, int]:
        height, width, _ = self.read(0).shape
        return 1, height, width, 3

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> np.ndarray:
        return read_image(self.file)


def read_faces(folder: str | Path, frames: int = 1) -> list[Clip]:
    """Return what a folder and its sub-folders hold, to train on.

    Parameters
    ----------
    folder : path
        Pictures of any size and name, video files, and folders of these. The uppermost sub-folder a file is
        in is taken for the subject; a file that is in none is its own.
    frames : int
        How many consecutive frames a sample needs. If more than 1, only videos and folders of numbered
        pictures of one size count, each as one clip.

    Returns
    -------
    list of Clip
        Each with its `subject`, in the order of names.

    Raises
    ------
    PathMissingError
        If the folder is missing or holds nothing of the kind.
    """
    root = Path(folder)
    if not root.is_dir():
        raise PathMissingError(f"the folder {root} of training pictures does not exist")
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    videos = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
    pictures = [p for p in files if p.suffix.lower() in IMAGE_SUFFIXES]
    clips = [Clip.from_video(p, **_place(root, p)) for p in videos]
    if frames > 1:
        folders = sorted({p.parent for p in pictures})
        clips += [Clip.from_folder(p, _STILL_FPS, **_place(root, p, folder=True)) for p in folders]
    else:
        clips += [Clip(Picture(p), _STILL_FPS).replace(**_place(root, p)) for p in pictures]
    if not clips:
        kinds = "video files or folders of numbered pictures" if frames > 1 else "pictures or video files"
        raise PathMissingError(f"{root} holds no {kinds}")
    return clips


def split_subjects(
    clips: Sequence[Clip], validation: int | None = None, seed: int = 0
) -> tuple[list[Clip], list[Clip]]:
    """Divide clips into those to train on and those to validate on; no subject is in both.

    Parameters
    ----------
    clips : sequence of Clip
        Their database and subject say whose they are.
    validation : int or None
        How many subjects to hold out: None for a tenth, at least one, or none where there is but one.
    seed : int
        Draws them.

    Raises
    ------
    OptionError
        If fewer than one subject would be left to train on.
    """
    people = sorted({(clip.database, clip.subject) for clip in clips})
    count = (max(1, len(people) // 10) if len(people) > 1 else 0) if validation is None else validation
    if not 0 <= count < len(people):
        raise OptionError(
            f"{count} validation subjects of {len(people)} leave none to train on: hold out 0 to "
            f"{len(people) - 1}"
        )
    drawn = np.random.default_rng(seed).permutation(len(people))[:count]
    held_out = {people[i] for i in drawn}
    apart = [(clip.database, clip.subject) in held_out for clip in clips]
    return (
        [clip for clip, out in zip(clips, apart, strict=True) if not out],
        [clip for clip, out in zip(clips, apart, strict=True) if out],
    )


def fingerprint_of(clips: Sequence[Clip]) -> str:
    """Return 16 hex digits that change with the names and lengths of clips, and with some of the pictures.

    Looked at are the pictures in the middle of the first, middle and last clip; where files lie does not
    count.
    """
    digest = hashlib.sha256(repr([(clip.identity, len(clip)) for clip in clips]).encode())
    for clip in (clips[0], clips[len(clips) // 2], clips[-1]) if clips else ():
        digest.update(clip.frames[len(clip) // 2].tobytes())
    return digest.hexdigest()[:16]


class Samples:
    """Random patches of clips with their degraded counterparts; each step's are drawn by a seed of its own.

    Each clip is as likely as any other, and so is each of its frames. Of the "bicubic" degradation the small
    picture of a whole frame is made once and kept; others are random, so that every patch gets its own, made
    with the surroundings that it has in the picture.

    Parameters
    ----------
    clips : sequence of Clip
        The true pictures.
    recipe : RestorationRecipe
        Says batch size, patch, frames, degradation and `turn`.
    scale : int
        Factor between small and true pictures.
    degrade : callable
        ``degrade(picture, name, factor, generator)`` gives the small picture of one ``(H, W, 3) uint8`` (or
        of frames ``(T, H, W, 3)``), whose sides are multiples of the factor.
    seed : int
        Of all drawing.

    Raises
    ------
    OptionError
        If the patch is not a multiple of the scale.
    DataError
        If there are no clips; and, when it is drawn, if a picture is smaller than the patch.
    """

    def __init__(
        self, clips: Sequence[Clip], recipe: RestorationRecipe, scale: int, degrade: Degrade, seed: int = 0
    ) -> None:
        if recipe.patch % scale:
            raise OptionError(f"patch must be a multiple of the scale {scale}, got {recipe.patch}")
        if not clips:
            raise DataError("there is no clip to train on")
        self.clips, self.recipe, self.scale, self.seed = list(clips), recipe, scale, seed
        self._degrade = degrade
        self._held: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._bytes = 0

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the small pictures and the targets of a step.

        Returns
        -------
        tuple of Tensor
            ``(N, 3, h, w)`` and ``(N, 3, s h, s w)``, ``float32`` in [0, 1]; ``(N, T, 3, ...)`` if the recipe
            has several frames.
        """
        generator = np.random.default_rng((self.seed, step))
        pairs = [self._sample(generator) for _ in range(self.recipe.batch_size)]
        small, target = (_to_tensor(np.stack(parts)) for parts in zip(*pairs, strict=True))
        return (small, target) if self.recipe.frames > 1 else (small[:, 0], target[:, 0])

    def _sample(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw ``(T, h, w, 3)`` and ``(T, s h, s w, 3)``."""
        number = int(generator.integers(len(self.clips)))
        length, wanted = len(self.clips[number]), self.recipe.frames
        first = int(generator.integers(max(length - wanted, 0) + 1))
        indices = first + np.pad(
            np.arange(min(length, wanted)), (0, max(wanted - length, 0)), mode="reflect"
        )  # a shorter clip goes there and back
        if self.recipe.degradation == "bicubic":
            small, target = self._crops_of_whole(number, indices, generator)
        else:
            small, target = self._degraded_crops(number, indices, generator)
        return self._turned(small, target, generator)

    def _crops_of_whole(
        self, number: int, indices: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        pairs = [self._whole(number, int(i)) for i in indices]
        y, x = self._corner(number, pairs[0][1].shape, generator)
        crops = [self._crop(small, target, y, x) for target, small in pairs]
        return np.stack([small for small, _ in crops]), np.stack([target for _, target in crops])

    def _degraded_crops(
        self, number: int, indices: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        frames = whole_multiples(self.clips[number].frames[[int(i) for i in indices]], self.scale)
        self._room(number, frames.shape[1] // self.scale, frames.shape[2] // self.scale)
        side = int(self.recipe.patch * _SURROUNDINGS) // self.scale * self.scale
        frames = _random_square(frames, side, self.scale, generator)
        small = self._degrade(frames, self.recipe.degradation, self.scale, generator)
        y, x = self._corner(number, small.shape[1:], generator)
        return self._crop(small, frames, y, x)

    def _corner(self, number: int, small: Sequence[int], generator: np.random.Generator) -> tuple[int, int]:
        """Draw where in a small picture ``(h, w, 3)`` a patch begins."""
        down, right = self._room(number, small[0], small[1])
        return int(generator.integers(down + 1)), int(generator.integers(right + 1))

    def _room(self, number: int, height: int, width: int) -> tuple[int, int]:
        """Return by how much a small picture is larger than a patch."""
        side = self.recipe.patch // self.scale
        if min(height, width) < side:
            raise DataError(
                f"{self.clips[number].identity}: its {width * self.scale}x{height * self.scale} pixels are "
                f"fewer than a patch of {self.recipe.patch}; take smaller patches, at most "
                f"{min(height, width) * self.scale}"
            )
        return height - side, width - side

    def _crop(self, small: np.ndarray, target: np.ndarray, y: int, x: int) -> tuple[np.ndarray, np.ndarray]:
        """Cut the patch at a place of the small picture out of ``(..., h, w, 3)`` and its true one."""
        side, s = self.recipe.patch // self.scale, self.scale
        return (
            small[..., y : y + side, x : x + side, :],
            target[..., y * s : (y + side) * s, x * s : (x + side) * s, :],
        )

    def _turned(
        self, small: np.ndarray, target: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mirror, and turn if the recipe says so, both alike."""
        mirror, flip, lie = generator.random(3) < 0.5
        if mirror:
            small, target = small[:, :, ::-1], target[:, :, ::-1]
        if self.recipe.turn and flip:
            small, target = small[:, ::-1], target[:, ::-1]
        if self.recipe.turn and lie:
            small, target = small.swapaxes(1, 2), target.swapaxes(1, 2)
        return small, target

    def _whole(self, number: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a frame and its small picture; those used last are held in memory."""
        key = number, index
        if key in self._held:
            self._held.move_to_end(key)
            return self._held[key]
        frame = whole_multiples(self.clips[number].frames[index], self.scale)
        unused = np.random.default_rng(0)  # nothing of this degradation is random
        pair = frame, self._degrade(frame, self.recipe.degradation, self.scale, unused)
        self._held[key] = pair
        self._bytes += sum(picture.nbytes for picture in pair)
        while self._bytes > _HELD and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= sum(picture.nbytes for picture in dropped)
        return pair


def whole_multiples(pictures: np.ndarray, scale: int) -> np.ndarray:
    """Cut pictures ``(..., H, W, 3)`` at the bottom and right to multiples of the scale."""
    height, width = (size // scale * scale for size in pictures.shape[-3:-1])
    return pictures[..., :height, :width, :]


def _random_square(frames: np.ndarray, side: int, scale: int, generator: np.random.Generator) -> np.ndarray:
    """Cut a square of this side, or less where frames ``(T, H, W, 3)`` are smaller."""
    height, width = (min(size, side) for size in frames.shape[1:3])
    y = int(generator.integers((frames.shape[1] - height) // scale + 1)) * scale
    x = int(generator.integers((frames.shape[2] - width) // scale + 1)) * scale
    return frames[:, y : y + height, x : x + width]


def _to_tensor(pictures: np.ndarray) -> Tensor:
    """Turn ``(N, T, H, W, 3) uint8`` into ``(N, T, 3, H, W) float32`` in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 1, 4, 2, 3))).float() / 255


def _place(root: Path, file: Path, folder: bool = False) -> dict[str, str]:
    """Return the subject and the name of what lies at a place in the folder."""
    parts = file.relative_to(root).parts
    inside = parts if folder else parts[:-1]
    return {"subject": inside[0] if inside else file.name, "name": "/".join(parts[1:]) or file.name}
