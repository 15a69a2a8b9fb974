"""Small videos of which every picture is known, made by PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 64, 48


def picture(i: int) -> np.ndarray:
    """Brightness tells the number; a bright upper left corner, what is up."""
    image = np.full((HEIGHT, WIDTH, 3), 20 + 5 * (i % 40), np.uint8)
    image[: HEIGHT // 4, : WIDTH // 4] = 250
    return image


def number(image: np.ndarray) -> int:
    """The number of a picture, of whatever turn or size."""
    height, width = image.shape[:2]
    return round(
        (float(image[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4].mean()) - 20) / 5
    )


def write_video(
    file: Path,
    n: int = 40,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    turn: int | None = None,
    aspect: Fraction | None = None,
    noise: bool = False,
) -> Path:
    """Write n frames at 25 a second, or at `times` in 1/1000 s; `noise` makes packets that damage can hit."""
    rng = np.random.default_rng(0)
    with av.open(str(file), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {"crf": "8", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        if turn is not None:
            stream.set_display_rotation(turn)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(len(times) if times is not None else n):
            image = picture(i)
            if noise:
                image[HEIGHT // 4 * 3 :] = rng.integers(0, 256, (HEIGHT // 4, WIDTH, 3))
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def write_sound(file: Path) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def decoded(file: Path) -> np.ndarray:
    """All pictures by PyAV alone, in the order of showing."""
    with av.open(str(file)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
