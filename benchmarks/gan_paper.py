"""GAN super-resolution before recognition, on synthetic faces: 32x32 to 128x128, then CNN and SVM.

    python benchmarks/gan_paper.py --weights FILE [--subjects 10] [--clips 10] [--epochs 30]

FILE holds an ESRGAN that was trained on other people (benchmarks/gan_paper.py --train OUT trains one in a
reduced size). Faces of 128x128 are degraded as the paper does (to 32x32, Gaussian 3x3, median on half of the
clips), enlarged by bicubic interpolation and by the network, and judged: PSNR, SSIM and MSE as in the paper's
table, then CNN features and an SVM over five classes, split by subject, and as the paper splits, which mixes
subjects and so LEAKS. The figures go into benchmarks/results/gan_paper.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402

from microexp import recognize, superres  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.datasets.base import Dataset  # noqa: E402
from microexp.datasets.synthetic import Synthetic  # noqa: E402
from microexp.evaluate import loso  # noqa: E402
from microexp.evaluate.metrics import scores  # noqa: E402
from microexp.evaluate.restoration import restoration_scores  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.frames import ArrayFrames  # noqa: E402
from microexp.networks.stages import recipe_of  # noqa: E402
from microexp.superres.degradation import GanPaperDegradation  # noqa: E402
from microexp.superres.training import train  # noqa: E402

RESULT = Path(__file__).parent / "results" / "gan_paper.json"
CLASSES = ("disgust", "happiness", "repression", "surprise", "others")  # of the paper's CASME II
PUBLISHED = {"PSNR": 30.887, "SSIM": 0.938, "MSE": 0.000865}  # its Table 1, another database
SMALL = {"channels": 16, "blocks": 2, "growth": 8}
SEED_OF_TRAINING, SEED_OF_TEST = 0, 1
REPEATS = 5  # of the split that mixes subjects


def five_classes(subjects: int, clips: int, folder: Path) -> Dataset:
    """Synthetic faces of 128x128 in the paper's classes; whatever it does not name is "others"."""
    data = Synthetic(n_subjects=subjects, clips_per_subject=clips, size=128, nuisance=0.25, seed=SEED_OF_TEST)
    words = sorted({str(clip.emotion) for clip in data.clips()})
    scheme = folder / "five.csv"
    rows = [f"{word},{word if word in CLASSES else 'others'}" for word in words]
    scheme.write_text("\n".join(["emotion,class", *rows]) + "\n", encoding="utf-8")
    return data.load(str(scheme))


def train_esrgan(out: Path, vgg: Path | None, steps: int) -> None:
    """Train ESRGAN on other people's faces, degraded in the same way: for pixels, then adversarially."""
    database = Synthetic(n_subjects=12, clips_per_subject=2, size=128, nuisance=0.25, seed=SEED_OF_TRAINING)
    still = [_key_frames(clip) for clip in database.clips()]
    common = {"batch_size": 8, "patch": 96, "degradation": "gan-paper"}
    stages = {
        "psnr": (steps, {"lr": 2e-3, "cosine": (steps,)}),
        "gan": (steps // 10, {"lr": 1e-4, "gan_weight": 2e-3, "feature_weights": {"16": 0.1} if vgg else {}}),
    }
    for stage, (count, changes) in stages.items():
        method = superres.create("esrgan", device="cpu", **SMALL)
        _, recipe = recipe_of(method, stage, count, **common, **changes)
        train(
            method, still[:-4], out, validation=still[-4:], stage=stage, recipe=recipe, vgg=vgg, resume=True,
            progress=lambda done, total, shown: (
                print(done, total, dict(shown), file=sys.stderr) if done % max(total // 10, 1) == 0 else None
            ),
        )  # fmt: skip


def recognised(clips: list[Clip], data: Dataset, epochs: int) -> dict[str, Any]:
    """CNN and SVM on clips, split by subject and at random."""
    model = recognize.create("cnn_svm", size=128, difference=True, epochs=epochs, device="cpu")
    honest = loso(model, replace(data, clips=clips), jobs=1).as_dict()
    features = model.features(clips)
    rows = np.arange(len(clips))
    truth, predicted = [], []
    for repeat in range(REPEATS):  # the paper: 70 % to train on, 20 to test, 10 to validate
        seen, rest = train_test_split(rows, train_size=0.7, random_state=repeat, stratify=data.y)
        tested = rest[: round(len(rest) * 2 / 3)]
        model.set_params(random_state=repeat).fit(features[seen], data.y[seen])
        truth.append(data.y[tested])
        predicted.append(model.predict(features[tested]))
    mixed = scores(np.concatenate(truth), np.concatenate(predicted), len(data.classes))
    return {
        "by subject": {k: honest[k] for k in ("UF1", "UF1_low", "UF1_high", "UF1_majority", "UAR", "WAR")},
        "as the paper splits (LEAKS)": {"UF1": mixed.uf1, "UAR": mixed.uar, "WAR": mixed.war},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, metavar="OUT", help="train the network into OUT, and end")
    parser.add_argument("--vgg", type=Path, help="ImageNet weights of VGG19 for the adversarial stage")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--weights", type=Path, nargs="+", default=[], help="one or several ESRGANs")
    parser.add_argument("--subjects", type=int, default=10)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=30)
    options = parser.parse_args()
    if options.train is not None:
        train_esrgan(options.train, options.vgg, options.steps)
        return
    RESULT.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = five_classes(options.subjects, options.clips, Path(folder))
    true = [_key_frames(clip) for clip in data.clips or ()]
    small = GanPaperDegradation(random_state=0).transform(true)
    ways = {"bicubic": superres.create("bicubic", scale=4)}
    for file in options.weights:
        ways[f"ESRGAN, {file.stem}"] = superres.create("esrgan", weights=str(file), device="cpu")
    result: dict[str, Any] = {"published": PUBLISHED, "classes": list(data.classes), "clips": len(true)}
    result["true faces"] = recognised(true, data, options.epochs)
    for name, way in ways.items():
        restored = [_held(clip) for clip in way.transform(small)]
        quality = {k: v._asdict() for k, v in restoration_scores(restored, true).items()}
        result[name] = {"quality": quality, **recognised(restored, data, options.epochs)}
        result["versions"] = versions()
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(name, json.dumps(result[name]), flush=True)
    print(json.dumps(result["true faces"]))


def _key_frames(clip: Clip) -> Clip:
    """Onset and apex alone: the recogniser takes no other."""
    frames = clip.frames[[clip.onset, clip.key_index("apex")]]
    return _held(clip.replace(frames=ArrayFrames(frames), onset=0, apex=1, offset=1))


def _held(clip: Clip) -> Clip:
    return clip.replace(frames=ArrayFrames(clip.frames[:]))


if __name__ == "__main__":
    main()
