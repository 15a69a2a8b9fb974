"""Train the starter recogniser, on synthetic faces only, and write its weights.

    python scripts/starter_recogniser.py WORK [--jobs 2]

Clips are drawn of people that no benchmark uses, onset and apex only, in parts of differing nuisance and
strength; their flow is kept in WORK, so that a run that was stopped goes on. The network is trained on three
parts of four; people of the others say how far its probabilities can be believed, and they are put right.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402
from scipy.optimize import minimize_scalar  # noqa: E402

from microexp import datasets  # noqa: E402
from microexp.analyze.crop import Crop, crop_flow, crop_image  # noqa: E402
from microexp.analyze.recognition import CLASSES, WEIGHTS  # noqa: E402
from microexp.recognize.starter_cnn import StarterCNN  # noqa: E402
from microexp.weights import write_weights  # noqa: E402

FILE = Path(__file__).parents[1] / f"src/microexp/weights/starter/{WEIGHTS}.safetensors"
SEED = 3000  # of the first part; each part has people of a seed of its own
PARTS, PEOPLE, CLIPS = 20, 10, 12  # 2,400 clips of 200 people
NUISANCES, STRENGTHS, SIZES = (0.4, 1.0, 1.6), (1.0, 1.6, 1.3, 0.8), (128, 192, 128, 128, 192)
RECIPE = {"epochs": 12, "batch_size": 64, "decay": 0.75, "class_weight": "balanced"}
VARIANTS = 8  # crops of each flow that are trained on
# Where crops of the public images lie, by their mean strain: eye distance, eye row, shift, height.
LOW, HIGH = np.array([0.44, 0.15, -0.04, 0.93]), np.array([0.62, 0.29, 0.04, 1.07])
OUTLIERS = 1.5  # places in a flow that move by themselves, on average
Part = dict[str, np.ndarray]


def drawn(part: int, folder: Path) -> Part:
    """Return a part: flow ``(N, S, S, 2)`` around the crop, labels, subjects; drawn unless it is there."""
    file = folder / f"part-{part:02d}.npz"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(".tmp.npz")
        np.savez(temporary, **draw(part))
        temporary.replace(file)
        print(file, flush=True)
    with np.load(file) as kept:
        return dict(kept)


def draw(part: int) -> Part:
    """Draw the clips of a part and measure their flow."""
    data = datasets.create(
        "synthetic", n_subjects=PEOPLE, clips_per_subject=CLIPS, size=224, seed=SEED + part,
        nuisance=round(NUISANCES[part % 3] + 0.8 * (part % 2), 1),
        amplitude_scale=STRENGTHS[part // 3 % 4],
    ).load("megc3")  # fmt: skip
    size = SIZES[part % 5]
    flows = [
        crop_flow(
            clip.frames[clip.onset],
            clip.frames[clip.apex],
            clip.metadata["truth"].landmarks(clip.onset),
            size,
        ).astype(np.float16)
        for clip in data.clips
    ]
    subjects = [f"{part}-{subject}" for subject in data.table["subject"]]
    return {"flow": np.stack(flows), "label": data.y, "subject": np.array(subjects)}


def pictures(part: Part, variants: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return `variants` crops of each flow as pictures, and their labels: crops as loose as real ones are."""
    made = [
        crop_image(with_outliers(flow.astype(np.float32), rng), Crop(*rng.uniform(LOW, HIGH)))
        for flow in part["flow"]
        for _ in range(variants)
    ]
    return np.stack(made), np.repeat(part["label"], variants)


def with_outliers(flow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a flow with a few small places that move by themselves, half of them about the eyes.

    Published images have them (lids, nostrils, light), and they stretch the range that everything is scaled
    to: without, the spread of drawn u and v is .19 of it, that of the real ones .135.
    """
    flow = flow - np.median(flow, axis=(0, 1))
    longest = np.linalg.norm(flow, axis=-1).max()
    y, x = np.mgrid[: len(flow), : len(flow)] / len(flow)
    for _ in range(rng.poisson(OUTLIERS)):
        eye = np.array([rng.choice([0.31, 0.69]), 0.31]) + rng.normal(0, 0.04, 2)
        centre = eye if rng.random() < 0.5 else rng.uniform(0.15, 0.85, 2)
        (wide, high), turn, way = rng.uniform(0.012, 0.05, 2), *rng.uniform(0, 2 * np.pi, 2)
        dx, dy = x - centre[0], y - centre[1]
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        bump = np.exp(-((along / wide) ** 2 + (across / high) ** 2) / 2) * longest * rng.uniform(0.3, 1.5)
        flow = flow + bump[..., None] * np.array([np.cos(way), np.sin(way)])
    return flow.astype(np.float32)


def calibrate(network: StarterCNN, images: np.ndarray, labels: np.ndarray) -> float:
    """Divide the last layer by the temperature that suits other people, and return it.

    All classes weigh the same, as in training: which is likelier beforehand, nobody knows of a video.
    """
    with torch.inference_mode():
        logits = network.module_(torch.from_numpy(images))
    answers = torch.from_numpy(labels)
    weight = 1 / torch.bincount(answers)[answers]

    def loss(log_temperature: float) -> float:
        losses = F.cross_entropy(logits / np.exp(log_temperature), answers, reduction="none")
        return float((weight * losses).sum())

    temperature = float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x))
    with torch.no_grad():
        for parameter in network.module_.fc.parameters():
            parameter /= temperature
    return temperature


def main() -> None:
    """Draw, train, calibrate and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("work", type=Path, help="folder for what is drawn")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    parts = Parallel(options.jobs)(delayed(drawn)(part, options.work) for part in range(PARTS))
    rng = np.random.default_rng(0)
    train = [pictures(part, VARIANTS, rng) for number, part in enumerate(parts) if number % 4]
    others = [pictures(part, 1, rng) for number, part in enumerate(parts) if not number % 4]
    images, labels = (np.concatenate(column) for column in zip(*train, strict=True))
    network = StarterCNN(**RECIPE, device="cpu", verbose=True).fit(images, labels)
    images, labels = (np.concatenate(column) for column in zip(*others, strict=True))
    temperature = calibrate(network, images, labels)
    facts = {"method": "StarterCNN", "classes": " ".join(CLASSES)}
    write_weights(FILE, network.module_.state_dict(), facts)
    print(f"{FILE}: {sum(len(part['label']) for part in parts)} clips, temperature {temperature:.2f}")


if __name__ == "__main__":
    main()
