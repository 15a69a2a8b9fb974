"""Train every super-resolution network in a reduced size on synthetic people, minutes each.

    python benchmarks/superres_training.py [--only NAME...] [--out results/superres] [--vgg FILE]

One thread a training. Trainings that are done are passed over, one that was stopped goes on. Weights stand
in OUT/METHOD/STAGE.safetensors; judge them on other people with benchmarks/superres.py. SPyNet of the video
methods begins from the published one ("microexp weights get basicvsr-vimeo-bi", research only) where that
is installed, as so short a training cannot find optical flow.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import torch  # noqa: E402

from microexp import datasets, superres  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.networks.stages import recipe_of  # noqa: E402
from microexp.superres._network import NetworkUpscaler  # noqa: E402
from microexp.superres.training import train  # noqa: E402
from microexp.weights import read_weights, write_weights  # noqa: E402
from microexp.weights.catalogue import entry  # noqa: E402

TRAINING = {"n_subjects": 14, "clips_per_subject": 2, "size": 256, "nuisance": 0.25, "seed": 0}
VALIDATED = 2  # of these subjects
FRAMES = 7  # of each clip, about its apex
PIXELS = {"batch_size": 8, "patch": 96, "lr": 2e-3, "halve_at": (), "degradation": "bicubic"}
VIDEO = {"batch_size": 4, "patch": 64, "frames": 5, "lr": 1e-3, "degradation": "bicubic"}
GAN = {
    **{"batch_size": 8, "patch": 96, "lr": 1e-4},
    **{"pixel_weight": 1.0, "feature_weights": {"16": 0.05}, "gan_weight": 1e-3},
}
# Method -> (settings, stages: name, steps, what differs from the paper's recipe).
Stages = list[tuple[str, int, dict[str, Any]]]
SETTINGS: dict[str, tuple[dict[str, Any], Stages]] = {
    "srcnn": ({}, [("psnr", 5000, {**PIXELS, "batch_size": 4, "patch": 64, "lr": 1e-3})]),
    "edsr": ({"channels": 32, "blocks": 4}, [("psnr", 1500, PIXELS)]),
    "srgan": ({"channels": 32, "blocks": 4}, [("psnr", 800, {**PIXELS, "lr": 5e-4}), ("gan", 150, GAN)]),
    "rdn": (
        {"channels": 16, "growth": 16, "blocks": 4, "layers": 4},
        [("psnr", 4000, PIXELS)],
    ),
    "esrgan": (
        {"channels": 32, "blocks": 1, "growth": 16},
        [("psnr", 1500, PIXELS), ("gan", 150, GAN)],
    ),
    "real_esrgan": (
        {"channels": 32, "blocks": 1, "growth": 16},
        [
            ("psnr", 1000, {**PIXELS, "degradation": "real-world"}),
            ("gan", 120, {**GAN, "degradation": "real-world"}),
        ],
    ),
    "glean": (
        {"in_size": 64, "channels": 16, "blocks": 2, "growth": 8, "bank_channels": 64},
        [("gan", 2500, {"batch_size": 2, "lr": 1e-3, "feature_weights": {}, "gan_weight": 0.0})],
    ),
    "edvr": (
        {
            "channels": 32,
            "deform_groups": 4,
            "extraction_blocks": 1,
            "reconstruction_blocks": 4,
            "tsa": False,
        },
        [("no_tsa", 500, {**VIDEO, "pixel": "l1"})],
    ),
    "basicvsr": ({"channels": 32, "blocks": 3}, [("psnr", 400, VIDEO)]),
    "iconvsr": ({"channels": 32, "blocks": 3}, [("psnr", 600, VIDEO)]),
    "basicvsr_pp": ({"channels": 32, "blocks": 1}, [("psnr", 300, VIDEO)]),
    "real_basicvsr": (
        {"channels": 32, "blocks": 3, "cleaning_blocks": 2},
        [("psnr", 300, {**VIDEO, "degradation": "real-world"})],
    ),
}
SPYNET = "basicvsr-vimeo-bi"


def pictures() -> tuple[list[Clip], list[Clip]]:
    """Clips of a few frames about the apex: to train on, and of other people to watch the training."""
    clips = [_short(clip) for clip in datasets.create("synthetic", **TRAINING).clips()]
    held_out = {f"s{TRAINING['n_subjects'] - k:02d}" for k in range(VALIDATED)}
    return [c for c in clips if c.subject not in held_out], [c for c in clips if c.subject in held_out][::2]


def _short(clip: Clip) -> Clip:
    first = max(clip.key_index("apex") - FRAMES // 2, 0)
    return Clip.from_array(
        clip.frames[first : first + FRAMES],
        clip.fps,
        subject=clip.subject,
        name=clip.name,
        database=clip.database,
    )


def run(name: str, clips: list[Clip], watched: list[Clip], options: argparse.Namespace) -> dict[str, Any]:
    """Train a method's stages one after the other; return seconds and the last validation of each."""
    settings, stages = SETTINGS[name]
    found: dict[str, Any] = {}
    for stage, steps, changes in stages:
        method = superres.create(name, scale=4, device="cpu", **settings)
        steps = max(int(steps * options.steps_scale), 1)
        if changes.get("feature_weights") and options.vgg is None:
            changes = {**changes, "feature_weights": {}}
        stage, recipe = recipe_of(method, stage, steps, cosine=(steps,), **changes)
        file = options.out / name / f"{stage}.safetensors"
        if file.is_file():
            continue
        start = None if recipe.start else _spynet(method, options.out / name)
        begun = time.process_time()

        def told(done: int, total: int, shown: Any, label: str = f"{name} {stage}") -> None:
            if done % max(total // 10, 1) == 0:
                print(label, done, total, dict(shown), file=sys.stderr, flush=True)

        train(
            method, clips, options.out / name, validation=watched, stage=stage, recipe=recipe, start=start,
            vgg=options.vgg, resume=True, progress=told,
        )  # fmt: skip
        log = (options.out / name / f"{stage}.jsonl").read_text(encoding="utf-8").splitlines()
        judged = [json.loads(line) for line in log if "psnr_bicubic" in line][-1]
        found[stage] = {"cpu_seconds": time.process_time() - begun, **judged}
    return found


def _spynet(method: NetworkUpscaler, folder: Path) -> Path | None:
    """Write the published SPyNet as the beginning of a method that has one."""
    published = entry(SPYNET).file
    with torch.device("meta"):
        names = [name for name in method.build().state_dict() if "spynet." in name]
    if not names or not published.is_file():
        return None
    weights = read_weights(published)
    state = {name: weights[name[name.index("spynet.") :]] for name in names}
    file = folder / "spynet.safetensors"
    write_weights(file, state, {**method.description(), "architecture": "SPyNet alone"})
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--out", type=Path, default=Path("results") / "superres")
    parser.add_argument("--vgg", type=Path, help="ImageNet weights of VGG19 for the adversarial stages")
    parser.add_argument("--steps-scale", type=float, default=1.0, help="factor on all numbers of steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    clips, watched = pictures()
    for name in options.only:
        for stage, figures in run(name, clips, watched, options).items():
            print(f"{name} {stage}: {json.dumps(figures)}", flush=True)


if __name__ == "__main__":
    main()
