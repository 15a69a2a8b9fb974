"""Restoration and recognition by one objective, against restoring first and recognising then.

    python benchmarks/joint.py [--subjects 12] [--clips 6] [--epochs 50] [--steps 800] [--out results/joint]

Synthetic faces of 64x64 are made 16x16 by MATLAB's bicubic kernel, enlarged again and recognised by a small
CNN (ResNet-18 of width 16) from the difference of apex and onset, leave one subject out, last epoch:

- bicubic interpolation, then the CNN;
- EDSR (32 channels, 4 blocks) trained on other people for pixels, as it is, then the CNN;
- that EDSR and the CNN trained together, by recognition alone and with the restoration in the loss;
- and the CNN on the true faces, for an upper bound.

The figures go into benchmarks/results/joint.json. Settings were fixed before the first run.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

from microexp import recognize, superres  # noqa: E402
from microexp.datasets.synthetic import Synthetic  # noqa: E402
from microexp.evaluate import loso  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.networks.stages import recipe_of  # noqa: E402
from microexp.recognize.joint import Joint  # noqa: E402
from microexp.superres.degradation import Downscale  # noqa: E402
from microexp.superres.training import train  # noqa: E402

RESULT = Path(__file__).parent / "results" / "joint.json"
SIDE, SCALE = 64, 4
SMALL = {"channels": 32, "blocks": 4}


def trained(out: Path, steps: int) -> Path:
    """Train EDSR on the people of another seed; one that is there is taken."""
    clips = Synthetic(n_subjects=14, clips_per_subject=2, size=SIDE, nuisance=0.25, seed=0).clips()
    method = superres.create("edsr", scale=SCALE, device="cpu", **SMALL)
    settings = {"batch_size": 16, "patch": SIDE, "lr": 2e-3, "halve_at": (), "cosine": (steps,)}
    stage, recipe = recipe_of(method, "psnr", steps, **settings)
    file = out / f"{stage}.safetensors"
    if file.is_file():
        return file
    return train(method, clips[:-4], out, validation=clips[-4:], stage=stage, recipe=recipe, resume=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--out", type=Path, default=Path("results") / "joint")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    weights = str(trained(options.out, options.steps))
    data = Synthetic(
        n_subjects=options.subjects, clips_per_subject=options.clips, size=SIDE, nuisance=0.25, seed=1
    ).load()
    cnn = recognize.create("resnet18", width=16, size=SIDE, difference=True, lr=1e-3, epochs=options.epochs)
    edsr = superres.create("edsr", scale=SCALE, weights=weights, device="cpu", **SMALL)
    enlarged = Downscale(factor=SCALE).transform(list(data.clips or ()))
    enlarged = superres.create("bicubic", scale=SCALE).transform(enlarged)
    arms: dict[str, tuple[Any, Any]] = {
        "true faces": (cnn, data),
        "bicubic": (cnn, replace(data, clips=enlarged)),
        "EDSR, then the CNN": (Joint(restorer=edsr, recognizer=cnn, freeze=True), data),
        "together, recognition alone": (Joint(restorer=edsr, recognizer=cnn, restoration_weight=0.0), data),
        "together, with restoration": (Joint(restorer=edsr, recognizer=cnn, restoration_weight=1.0), data),
    }
    result: dict[str, Any] = {"options": {k: str(v) for k, v in vars(options).items() if k != "out"}}
    for name, (model, clips) in arms.items():
        found = loso(model, clips, jobs=options.jobs).as_dict()
        result[name] = {k: found[k] for k in ("UF1", "UF1_low", "UF1_high", "UF1_majority", "UAR", "WAR")}
        result["versions"] = versions()
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(result[name]), flush=True)


if __name__ == "__main__":
    main()
