"""Speed and memory of `microexp analyze` on a video of 640x480, made here: a drawn face that moves.

    python benchmarks/analyze.py [--minutes 20] [--keep FILE] [--threads 2]

makes the video (H.264), analyses it in a fresh process held to so many cores (libraries use one thread, as in
the command; others read ahead and measure flow), prints JSON and adds it to
benchmarks/results/analyze.json. The seconds of the first frames' start (imports, weights) are given apart:
"frames a second" is after start, over all passes and the answers, without the writing of the page. Memory is
that of the whole process when the motion of minute 2 has been measured, and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

RESULT = Path(__file__).parent / "results" / "analyze.json"
WIDTH, HEIGHT, FPS = 640, 480, 30
FACE = 384  # pixels of the drawn square
LOOP = 20  # seconds that are drawn, and then shown forwards and backwards, again and again


def make_video(file: Path, minutes: float) -> None:
    """Write a video of a drawn face that moves, blinks, turns and sways; encoded once and repeated."""
    from microexp.datasets.synthetic import long_video
    from microexp.frames.write import write_video

    clip = long_video(seconds=LOOP, fps=FPS, n_micro=3, n_macro=2, n_blinks=4, n_turns=1, size=256)
    drawn = [clip.frames[i] for i in range(len(clip))]
    drawn += drawn[::-1]  # there and back, so that the end goes on as the beginning

    def frames() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 8, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for index, small in enumerate(drawn):
            turn = 2 * np.pi * index / len(drawn)
            picture = np.full((HEIGHT, WIDTH, 3), 96, np.uint8)
            face = cv2.resize(small, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
            left, top = round(128 + 30 * np.sin(turn)), round(48 + 15 * np.sin(2 * turn))
            picture[top : top + FACE, left : left + FACE] = face
            yield cv2.add(picture, np.roll(noise, index * 7919, axis=0))

    loop = file.with_name(f"loop-{file.name}")
    write_video(loop, frames(), FPS)
    repeat(loop, file, round(minutes * 60 * FPS / len(drawn)))
    loop.unlink()


def repeat(loop: Path, file: Path, times: int) -> None:
    """Write the packets of a video so many times, one after the other."""
    with av.open(str(file), "w") as made:
        stream, shift = None, 0
        for _ in range(times):
            with av.open(str(loop)) as source:
                video = source.streams.video[0]
                stream = stream or made.add_stream_from_template(video)
                for packet in source.demux(video):
                    if packet.dts is None or packet.pts is None:  # the end
                        continue
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    made.mux(packet)
                shift += video.duration or 0


def measure(file: Path) -> dict[str, object]:
    """Analyse a video; seconds of each pass, and memory."""
    start, cpu = time.perf_counter(), time.process_time()
    from microexp.analyze import analysis

    warm_up()
    started, cpu_started = time.perf_counter(), time.process_time()
    passes: dict[str, float] = {}
    memory: dict[str, float] = {}

    def progress(what: str, done: int, total: int) -> None:
        passes[what] = time.perf_counter()
        if what == "motion" and "minute 2" not in memory and done >= total * 120 * FPS / n_frames:
            memory["minute 2"] = rss_mb()

    from microexp.frames import VideoFrames

    n_frames = len(VideoFrames(file))
    done = analysis.analyze(file, progress=progress)
    end, cpu_end = time.perf_counter(), time.process_time()
    memory["end"] = rss_mb()
    edges = [started, *passes.values(), end]
    names = [*passes, "rest"]
    return {
        "frames": n_frames,
        "start_s": round(started - start, 1),
        "frames_a_second": round(n_frames / (end - started), 1),
        "cpu_ms_a_frame": round(1000 * (cpu_end - cpu_started) / n_frames, 1),
        "seconds": {name: round(b - a, 1) for name, a, b in zip(names, edges[:-1], edges[1:], strict=True)},
        "memory_mb": memory,
        "intervals": {kind: done.count(kind) for kind in analysis.KINDS},
        "cpu_start_s": round(cpu_started - cpu, 1),
    }


def warm_up() -> None:
    """Import everything, load the networks and compile what is compiled when first used."""
    from microexp.analyze.analysis import analyze
    from microexp.analyze.pictures import strip
    from microexp.analyze.recognition import recognise
    from microexp.clip import Clip
    from microexp.datasets.synthetic import Synthetic
    from microexp.faces.alignment import DEFAULT_MARGIN, canonical_landmarks

    clip = Synthetic(n_subjects=1, clips_per_subject=1, size=224).clips()[0]
    frames = clip.frames[list(range(0, len(clip), 2))]
    analyze(Clip.from_array(frames, 25.0, name="start"))
    points = canonical_landmarks(224, DEFAULT_MARGIN)
    onset, apex = frames[0], frames[len(frames) // 2]
    strip(onset, apex, onset, recognise(onset, apex, points), points, True)


def rss_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--threads", type=int, default=2, help="cores that the analysis may use")
    parser.add_argument("--keep", type=Path, help="the video; made there if it does not exist")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        import torch  # noqa: F401  so that it is held to one thread, too, as the command does

        from microexp.evaluate.workers import one_thread

        with one_thread():
            print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = options.keep or Path(folder) / "long.mp4"
        if not file.exists():
            make_video(file, options.minutes)
        # A process of its own, with no cache: what was found before must not be found faster.
        command = [sys.executable, __file__, "--measure", str(file)]
        environment = {
            **os.environ,
            "MICROEXP_CACHE": str(Path(folder) / "cache"),
        }
        cores = sorted(os.sched_getaffinity(0))[: options.threads]
        done = subprocess.run(
            command,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    from microexp.evaluate.versions import versions

    measured = json.loads(done.stdout.splitlines()[-1])
    minutes = round(measured["frames"] / FPS / 60, 2)  # a video that was there has its own length
    command_line = f"python benchmarks/analyze.py --minutes {minutes:g} --threads {options.threads}"
    result = {
        "video": {"size": f"{WIDTH}x{HEIGHT}", "fps": FPS, "codec": "h264"},
        "analysis": measured,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
    }
    print(json.dumps(result, indent=1))
    every = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    RESULT.write_text(json.dumps({**every, command_line: result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
