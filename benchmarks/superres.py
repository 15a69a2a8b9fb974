"""Quality, motion and cost of super-resolution methods, on synthetic people that no training has seen.

    python benchmarks/superres.py [--weights NAME=FILE ...] [--degradation real-world] [--lpips FILE]

The clips are made smaller by MATLAB's bicubic kernel (or by blur, noise and JPEG, twice) and restored by
bicubic interpolation and by each method NAME with the weights FILE. Figures are merged into
benchmarks/results/superres.json (superres_real_world.json) after each method, so it may be run in parts; then
all are printed as a Markdown table. Everything runs in one thread. Networks must be trained on people of
another seed than is used here. LPIPS, of the apex frames, is how different they look to a network
(lower is better; "microexp weights get lpips-alexnet").
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from microexp import datasets, motion, superres  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.evaluate.restoration import figure, restoration_scores  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.frames import ArrayFrames  # noqa: E402
from microexp.registry import read_params  # noqa: E402
from microexp.superres._network import NetworkUpscaler  # noqa: E402
from microexp.superres.base import Upscaler  # noqa: E402
from microexp.superres.degradation import Downscale, RealWorldDegradation  # noqa: E402
from microexp.superres.quality import lpips  # noqa: E402
from microexp.weights.download import sha256_of  # noqa: E402

RESULTS = Path(__file__).parent / "results"
FILES = {"bicubic": RESULTS / "superres.json", "real-world": RESULTS / "superres_real_world.json"}
TIMED = 10  # frames


def methods(options: argparse.Namespace) -> dict[str, Upscaler]:
    """Name -> method: bicubic interpolation, and the networks whose weights are named."""
    found = {"bicubic": superres.create("bicubic", scale=options.factor)}
    for item in options.weights:
        ((name, file),) = read_params([item], "--weights").items()
        label = name if name not in found else f"{name} ({Path(file).stem})"
        found[label] = superres.create(name, scale=options.factor, weights=file, device="cpu")
        found[label].module()  # a wrong file is found before hours are spent
    return found


def in_memory(clips: list[Clip]) -> list[Clip]:
    return [clip.replace(frames=ArrayFrames(clip.frames[:])) for clip in clips]


def cost(upscaler: Upscaler, frames: np.ndarray) -> dict[str, Any]:
    """Parameters, multiply-adds and CPU seconds a frame, of a few consecutive small frames.

    Multiply-adds are those of convolutions and matrix products, as `microexp.recognize.complexity` counts.
    """
    with FlopCounterMode(display=False) as counter:
        upscaler.upscale(frames)
    start = time.process_time()
    upscaler.upscale(frames)
    seconds = (time.process_time() - start) / len(frames)
    found = {"multiply_adds": counter.get_total_flops() // 2 // len(frames), "cpu_seconds": seconds}
    if not isinstance(upscaler, NetworkUpscaler):
        return {"parameters": 0, **found}
    return {
        "parameters": sum(p.numel() for p in upscaler.module().parameters()),
        **found,
        "weights_sha256": sha256_of(Path(str(upscaler.weights))),
    }


def judge(
    upscaler: Upscaler, small: list[Clip], true: list[Clip], estimator: str, perceptual: Path | None
) -> dict[str, Any]:
    """Restore the clips and return figures with their intervals, cost, and what computed them."""
    restored = in_memory(upscaler.transform(small))
    scores = restoration_scores(restored, true, motion.create(estimator))
    if perceptual is not None:
        pairs = [(a.key_frame("apex"), b.key_frame("apex")) for a, b in zip(restored, true, strict=True)]
        values = [lpips(*pair, weights=perceptual) for pair in pairs]
        scores["LPIPS"] = figure(values, [clip.subject for clip in true])
    return {
        "scores": {name: one._asdict() for name, one in scores.items()},
        **cost(upscaler, small[0].frames[:TIMED]),
        "versions": versions(),
    }


def earlier(file: Path, setting: dict[str, Any]) -> dict[str, Any]:
    """What the file holds of the same setting; nothing if there is no file."""
    if not file.exists():
        return {"setting": setting, "methods": {}}
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if result["setting"] != setting:
        raise SystemExit(f"{file} holds figures of {result['setting']}; name another --out")
    return result


def table(result: dict[str, Any]) -> str:
    rows = [
        "| method | parameters | multiply-adds a frame | CPU s a frame | PSNR, dB [95 %] | SSIM [95 %] "
        "| LPIPS [95 %] | motion error, px [95 %] | of the true clips, px | temporal, grey levels "
        "| of the true clips |",
        "|---|" + "---:|" * 10,
    ]
    for name, row in sorted(result["methods"].items(), key=lambda item: -item[1]["scores"]["PSNR"]["mean"]):
        scores = row["scores"]
        rows.append(
            f"| {name} | {row['parameters']:,} | {row['multiply_adds'] / 1e9:.2f} G "
            f"| {row['cpu_seconds']:.3f} "
            f"| {_figure(scores['PSNR'], 2)} | {_figure(scores['SSIM'], 4)} "
            f"| {_figure(scores['LPIPS'], 3) if 'LPIPS' in scores else ''} | {_figure(scores['motion'], 3)} "
            f"| {scores['motion_true']['mean']:.3f} | {scores['temporal']['mean']:.2f} "
            f"| {scores['temporal_true']['mean']:.2f} |"
        )
    return "\n".join(rows)


def _figure(score: dict[str, Any], digits: int) -> str:
    mean, low, high = (score[key] for key in ("mean", "low", "high"))
    interval = "" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{mean:.{digits}f}{interval}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--weights", nargs="+", default=[], metavar="NAME=FILE", help="a method and its weights"
    )
    parser.add_argument("--subjects", type=int, default=4)
    parser.add_argument("--clips", type=int, default=2, help="clips of each subject")
    parser.add_argument("--size", type=int, default=256, help="side of the true pictures, pixels")
    parser.add_argument("--factor", type=int, default=4, help="between small and true pictures")
    parser.add_argument("--nuisance", type=float, default=0.25)
    parser.add_argument("--seed", type=int, default=1, help="of the people; another than that of training")
    parser.add_argument("--flow", default="farneback", help="estimator of the motion")
    parser.add_argument("--degradation", choices=list(FILES), default="bicubic")
    parser.add_argument("--lpips", type=Path, help="weights of LPIPS")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    database = {
        "n_subjects": options.subjects,
        "clips_per_subject": options.clips,
        "size": options.size,
        "nuisance": options.nuisance,
        "seed": options.seed,
    }
    upscalers = methods(options)
    out = options.out or FILES[options.degradation]
    how = {"factor": options.factor, "flow": options.flow, "degradation": options.degradation}
    result = earlier(out, {**database, **how})
    with tempfile.TemporaryDirectory() as folder:  # nothing from a cache, so that the seconds are whole
        os.environ["MICROEXP_CACHE"] = folder
        true = in_memory(datasets.create("synthetic", **database).clips())
        degradation = (
            Downscale(factor=options.factor)
            if options.degradation == "bicubic"
            else RealWorldDegradation(factor=options.factor)
        )
        small = in_memory(degradation.transform(true))
        for name, upscaler in upscalers.items():
            print(f"{name} ...", file=sys.stderr)
            result["methods"][name] = judge(upscaler, small, true, options.flow, options.lpips)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(result))


if __name__ == "__main__":
    main()
