"""Read a video of 20 minutes, 640x480, 30 frames per second: time to open, speed, memory.

    python benchmarks/video.py [--minutes 20] [--keep FILE]

makes the video (H.264 with B-frames, a key frame every 250 frames), measures in a fresh process, prints JSON
and writes it to benchmarks/results/video.json. The listing of a folder of 10,000 pictures is timed as well.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

import microexp
from microexp.frames import FolderFrames, VideoFrames

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "video.json"
WIDTH, HEIGHT, RATE = 640, 480, 30
RANDOM, FILES = 100, 10_000


def make_video(file: Path, minutes: float) -> None:
    """A textured scene that drifts, with fresh noise in every frame."""
    rng = np.random.default_rng(0)
    scene = rng.integers(40, 216, (HEIGHT // 8, WIDTH // 8), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    noise = rng.integers(0, 16, (HEIGHT * 2, WIDTH * 2), dtype=np.uint8)
    grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(round(minutes * 60 * RATE)):
            y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
            luma = np.roll(scene, (i // 7, i // 5), (0, 1)) + noise[y : y + HEIGHT, x : x + WIDTH]
            frame = av.VideoFrame.from_ndarray(np.concatenate([luma, grey]), format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def measure(file: Path) -> dict[str, float | int]:
    """Figures of one video; the peak is that of the whole process, Python and libraries included."""
    empty = peak_mb()
    start = time.perf_counter()
    frames = VideoFrames(file)
    opened = time.perf_counter() - start
    start = time.perf_counter()
    total = sum(int(picture[0, 0, 0]) for picture in frames)
    sequential = time.perf_counter() - start
    order = np.random.default_rng(0).integers(0, len(frames), RANDOM)
    start = time.perf_counter()
    total += sum(int(frames[int(i)][0, 0, 0]) for i in order)
    randomly = time.perf_counter() - start
    return {
        "frames": len(frames),
        "file_mb": round(file.stat().st_size / 1e6, 1),
        "open_s": round(opened, 3),
        "index_by_decoding_s": round(decode_all(file), 2),
        "sequential_fps": round(len(frames) / sequential),
        "random_ms": round(1000 * randomly / RANDOM, 1),
        "peak_mb_before": empty,
        "peak_mb": peak_mb(),
        "checksum": total,
    }


def decode_all(file: Path) -> float:
    """Seconds that the other way of indexing takes: decode every frame, convert none."""
    start = time.perf_counter()
    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            frame.pts  # noqa: B018
    return time.perf_counter() - start


def list_folder() -> dict[str, float | int]:
    with tempfile.TemporaryDirectory() as folder:
        for i in range(FILES):
            (Path(folder) / f"img{i}.jpg").touch()
        start = time.perf_counter()
        frames = FolderFrames(folder)
        seconds = time.perf_counter() - start
    return {"pictures": len(frames.numbers), "list_s": round(seconds, 4)}


def peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def revision() -> str:
    """The commit this ran on, marked where files have changed since."""
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--keep", type=Path, help="the video; made there if it does not exist")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = options.keep or Path(folder) / "long.mp4"
        if not file.exists():
            make_video(file, options.minutes)
        # A process of its own, so that the encoder is not in its memory.
        command = [sys.executable, __file__, "--measure", str(file)]
        video = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    result = {
        "command": f"python benchmarks/video.py --minutes {options.minutes:g}",
        "video": {"size": f"{WIDTH}x{HEIGHT}", "codec": "h264", **video},
        "folder": list_folder(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "microexp": f"{microexp.__version__} at commit {revision()}",
            "python": platform.python_version(),
            "av": av.__version__,
            "ffmpeg": ".".join(map(str, av.library_versions["libavcodec"])),
        },
    }
    text = json.dumps(result, indent=1)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
