"""Memory of `microexp upscale` on what is large: a video of 1,000 frames and a picture of 4,000x3,000 pixels.

    python benchmarks/upscale_memory.py [--method edsr] [--frames 1000] [--out results/upscale_memory]

Each is enlarged four times by a process of its own, of which the greatest resident memory is noted. The
video's is killed once on its way and run again, and the frames that stayed are counted. The weights are
random: memory and time do not depend on them. The figures go into benchmarks/results/upscale_memory.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from microexp.evaluate.versions import versions
from microexp.frames import VideoFrames
from microexp.frames.write import write_picture, write_video

RESULT = Path(__file__).parent / "results" / "upscale_memory.json"
CHILD = """
import resource, sys, torch
torch.set_num_threads(1)
from microexp.cli import app
try:
    app(sys.argv[1:])
finally:
    print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def command(source: Path, target: Path, options: argparse.Namespace) -> list[str]:
    weights = [] if options.method == "bicubic" else ["--weights", "random"]
    params = [word for param in options.param for word in ("--param", param)]
    return [
        *(sys.executable, "-c", CHILD, "upscale", str(source), "--method", options.method, *weights, *params),
        *("--out", str(target)),
    ]


def measured(arguments: list[str]) -> dict[str, float]:
    """Run to the end; return seconds and the greatest memory in MB."""
    start = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    peak = int(done.stderr.rsplit("peak", 1)[1])
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, bytes
    return {"seconds": round(time.perf_counter() - start, 1), "peak_MB": round(peak * unit / 1e6)}


def noise(height: int, width: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


def killed_and_resumed(arguments: list[str], parts: Path, count: int) -> dict[str, Any]:
    """Kill the run when a third of the frames is there, run it again; both processes' figures."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(list(parts.glob("[0-9]*.png"))) < count // 3 and process.poll() is None:
            time.sleep(0.2)
        process.kill()
    there = {file.name: file.stat().st_mtime_ns for file in parts.glob("[0-9]*.png")}
    again = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    kept = 0
    while again.poll() is None:  # the parts are deleted at the end
        now = {file.name: _time(file) for file in parts.glob("[0-9]*.png")}
        kept = max(kept, sum(now.get(name) == stamp for name, stamp in there.items()))
        time.sleep(0.2)
    return {"frames_before_the_kill": len(there), "of_these_kept": kept, "returncode": again.returncode}


def _time(file: Path) -> int:
    return file.stat().st_mtime_ns if file.exists() else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--method", default="edsr")
    parser.add_argument("--param", action="append", default=[], help="NAME=VALUE of the method")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--side", type=int, default=64, help="of the video's frames, pixels")
    parser.add_argument("--out", type=Path, default=Path("results") / "upscale_memory")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    picture, video = options.out / "large.png", options.out / "long.mkv"
    write_picture(picture, noise(3000, 4000, 0))
    write_video(video, (noise(options.side, options.side, i) for i in range(options.frames)), 100.0)
    large = options.out / "long-large.mkv"
    arguments = command(video, large, options)
    result: dict[str, Any] = {
        "method": options.method,
        "params": options.param,
        "video": f"{options.frames} frames of {options.side}x{options.side}",
        "kill": killed_and_resumed(arguments, large.with_name(f"{large.name}.parts"), options.frames),
        "frames_in_the_result": len(VideoFrames(large)),
    }
    large.unlink()
    result["video_whole"] = measured(arguments)
    result["picture_4000x3000"] = measured(command(picture, options.out / "larger.png", options))
    result["versions"] = versions()
    result["memory_of_this_process_MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)
    earlier = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    RESULT.write_text(json.dumps({**earlier, options.method: result}, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
