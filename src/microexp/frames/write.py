"""Pictures and videos into files; each appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from microexp.errors import DataError, OptionError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
# Codec, pixel format and options: as near to the pictures as a format that players know allows.
_CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    ".mp4": ("libx264", "yuv420p", {"crf": "12", "preset": "medium"}),
    ".mov": ("libx264", "yuv420p", {"crf": "12", "preset": "medium"}),
    ".mkv": ("ffv1", "bgr0", {}),
    ".avi": ("ffv1", "bgr0", {}),
}
VIDEO_SUFFIXES = tuple(_CODECS)


def write_picture(file: str | Path, picture: np.ndarray) -> None:
    """Write a picture ``(H, W, 3) uint8 RGB`` in the format of the name's suffix.

    Raises
    ------
    OptionError
        If no picture format has such a suffix.
    DataError
        If the format cannot hold the picture.
    """
    path = Path(file)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise OptionError(f"{path}: a picture is written as one of {', '.join(PICTURE_SUFFIXES)}")
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        if not cv2.imwrite(str(temporary), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
            raise DataError(f"{path} cannot be written")
    except cv2.error as error:
        size = f"{picture.shape[1]}x{picture.shape[0]}"
        raise DataError(f"{path} cannot hold {size} pixels: {error.err}") from error
    temporary.replace(path)


def write_video(file: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Write frames ``(H, W, 3) uint8 RGB`` as a video.

    ``.mkv`` and ``.avi`` are lossless (FFV1). ``.mp4`` and ``.mov`` (H.264 of high quality) halve the
    resolution of colour, and cut an odd height or width by a row or column, as that format must.

    Raises
    ------
    OptionError
        If the suffix is of no such format.
    """
    import av

    path = Path(file)
    if path.suffix.lower() not in _CODECS:
        raise OptionError(f"{path}: a video is written as one of {', '.join(VIDEO_SUFFIXES)}")
    codec, pixels, options = _CODECS[path.suffix.lower()]
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    with av.open(str(temporary), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.pix_fmt = pixels
        for number, frame in enumerate(frames):
            height, width = (side // 2 * 2 if codec == "libx264" else side for side in frame.shape[:2])
            if number == 0:
                stream.height, stream.width = height, width
            picture = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    temporary.replace(path)
