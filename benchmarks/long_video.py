"""Memory and time of aligning a long video of a synthetic face: made, then read and aligned frame by frame.

    python benchmarks/long_video.py [--minutes 20] [--video FILE]

prints the figures and writes benchmarks/results/long_video.json. The video is made in a process of its own,
so that its memory does not count; peak memory is what the aligning process needs above what it has after the
networks are loaded and have seen one picture.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from microexp import faces
from microexp.clip import Clip
from microexp.faces import faceapi68

RESULT = Path(__file__).parent / "results" / "long_video.json"
WIDTH, HEIGHT, FPS = 640, 480, 30


def make_video(file: Path, minutes: float) -> None:
    """Write a video of a face that sways, with noise, 640x480 at 30 frames a second."""
    import av

    from microexp.datasets.synthetic import Synthetic

    clip = Synthetic(n_subjects=1, clips_per_subject=1).clips()[0]
    drawn = [clip.frames[i] for i in range(0, len(clip), 2)]
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.bit_rate = 2_000_000
        for index in range(round(minutes * 60 * FPS)):
            seconds = index / FPS
            picture = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
            left = round(192 + 40 * np.sin(0.5 * seconds))
            top = round(112 + 20 * np.sin(0.3 * seconds))
            picture[top : top + 256, left : left + 256] = drawn[
                abs(index % (2 * len(drawn)) - len(drawn)) - 1
            ]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def measure(file: Path) -> dict[str, object]:
    """Align a video and read every aligned frame once."""
    aligner = faces.create("aligner", mode="smooth", missing="hold")
    for size in (320, 416, 224):
        faceapi68.boxes(noise(), size, 0.9)
    faceapi68.landmarks(noise(), [(200.0, 100.0, 400.0, 300.0)])
    before = peak_mib()
    start = time.perf_counter()
    clip = Clip.from_video(file)
    indexed = time.perf_counter()
    aligned = aligner.transform([clip])[0]
    found = time.perf_counter()
    total = sum(int(picture[112, 112, 0]) for picture in aligned.frames)
    end = time.perf_counter()
    alignment = aligned.metadata["alignment"]
    return {
        "frames": len(clip),
        "searched for a face": alignment.looked_at,
        "without a face": len(alignment.missing),
        "index, s": round(indexed - start, 1),
        "find faces, s": round(found - indexed, 1),
        "read aligned, s": round(end - found, 1),
        "peak memory above models, MiB": round(peak_mib() - before),
        "models and libraries, MiB": round(before),
        "mean of a pixel": round(total / len(clip), 1),
    }


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--video", type=Path, help="a video of one's own, in place of a synthetic one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = options.video or Path(folder) / "long.mp4"
        if options.video is None:
            process = multiprocessing.get_context("spawn").Process(
                target=make_video, args=(file, options.minutes)
            )
            process.start()
            process.join()
        result = measure(file)
    for name, value in result.items():
        print(f"{name:32s} {value}")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
