"""Where BOWAM looks: Grad-CAM of reduced networks against the true motion, on synthetic clips.

    python benchmarks/grad_cam.py [--subjects 12] [--clips 6] [--epochs 30] [--seed 0]

trains on two thirds of the subjects, prints a Markdown table of the rest and writes docs/images/grad_cam.png:
a row a clip; apex frame, exact displacement by the expression, where it counts as moving, and the heat of
each network, in the order of the table (as Figure 9 of the BOWAM paper). Everything runs in one thread.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from microexp import recognize  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.datasets.synthetic import Synthetic  # noqa: E402
from microexp.evaluate import majority, scores  # noqa: E402
from microexp.evaluate.grad_cam import energy_share, grad_cam, overlay  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.flow_colours import colour_flow  # noqa: E402

SHEET = Path(__file__).parents[1] / "docs" / "images" / "grad_cam.png"
SIZE, STAGES = 137, 3  # the network sees 128 pixels; the map of the last stage is 8x8
REDUCED: dict[str, Any] = {
    "size": SIZE,
    "dims": (16, 32, 64),
    "depths": (1, 1, 2),
    "layer_scale": 0.1,
    "lr": 1e-3,
}
NETWORKS: dict[str, dict[str, Any]] = {
    "ConvNeXt, one-way": {"flow": "traditional", "frequency": "none"},
    "ConvNeXt, bidirectional": {"flow": "add", "frequency": "none"},
    "BOWAM, one-way": {"flow": "traditional", "frequency": "wavelet"},
    "BOWAM, bidirectional": {"flow": "add", "frequency": "wavelet"},
}
MOVING = 0.3  # of the largest displacement: what counts as moving


def moving_mask(clip: Clip, cell: int) -> np.ndarray:
    """Where the expression moves the face, ``(SIZE, SIZE) bool``, wider by half a cell of the map.

    On the onset frame; the head moves by far less than a cell until the apex.
    """
    truth = clip.metadata["truth"]
    flow = truth.flow(clip.apex, head_motion=False, distractors=False)
    displacement = np.linalg.norm(flow, axis=-1) * truth.face_mask
    mask = (displacement >= MOVING * displacement.max()).astype(np.uint8)
    mask = cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (cell, cell))).astype(bool)


def shares(heats: np.ndarray, masks: np.ndarray, emotions: np.ndarray) -> tuple[float, float]:
    """Mean share of the heat in the clip's own mask, and in those of clips with other labels."""
    own = [energy_share(heat, mask) for heat, mask in zip(heats, masks, strict=True)]
    others = [
        energy_share(heat, mask)
        for heat, label in zip(heats, emotions, strict=True)
        for mask in masks[emotions != label]
    ]
    return float(np.nanmean(own)), float(np.nanmean(others))


def sheet(clips: list[Clip], masks: np.ndarray, heats: dict[str, np.ndarray]) -> np.ndarray:
    """The contact sheet, ``(H, W, 3) uint8``."""
    rows = []
    for k, clip in enumerate(clips):
        apex = cv2.resize(clip.key_frame("apex"), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        truth = clip.metadata["truth"].flow(clip.apex, head_motion=False, distractors=False)
        flow = cv2.resize(colour_flow(truth), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        moving = np.where(masks[k][..., None], apex, apex // 3)
        rows.append(np.hstack([apex, flow, moving, *(overlay(apex, heat[k]) for heat in heats.values())]))
    return np.vstack(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=12)
    parser.add_argument("--clips", type=int, default=6, help="clips of each subject")
    parser.add_argument("--nuisance", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", type=int, default=6, help="clips on the sheet")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    data = Synthetic(
        n_subjects=options.subjects,
        clips_per_subject=options.clips,
        size=160,
        nuisance=options.nuisance,
        seed=options.seed,
    ).load()
    names = np.unique(data.groups)
    test = np.isin(data.groups, names[-(len(names) // 3) :])
    clips = [clip for clip, tested in zip(data.clips or (), test, strict=True) if tested]
    y = data.y[test]
    cell = 2 ** (1 + STAGES)
    masks = np.stack([moving_mask(clip, cell) for clip in clips])
    rows, heats, features = [], {}, dict[str, Any]()
    for name, params in NETWORKS.items():
        start = time.process_time()
        network = recognize.create(
            "bowam", **REDUCED, **params, epochs=options.epochs, random_state=options.seed, device="cpu"
        )
        if params["flow"] not in features:
            features[params["flow"]] = network.features(data.clips)
        X = features[params["flow"]]
        network.fit(X[~test], data.y[~test])
        heats[name] = grad_cam(network, X[test])
        own, others = shares(heats[name], masks, y)
        uf1 = scores(y, network.predict(X[test]), len(data.classes)).uf1
        cold = int((heats[name].max(axis=(1, 2)) == 0).sum())
        rows.append(
            f"| {name} | {uf1:.3f} | {own:.1%} | {others:.1%} | {cold} | {time.process_time() - start:.0f} |"
        )
        print(rows[-1], file=sys.stderr)
    print("| network | UF1 | heat in the moving part | in that of clips of other classes | no heat | CPU s |")
    print("|---|---:|---:|---:|---:|---:|")
    print("\n".join(rows))
    print(
        f"\nThe moving part has {masks.mean():.1%} of the picture, which is what even heat would give; maps "
        "without any heat are not in the means. UF1 of "
        f"always answering the commonest class: {majority(y, len(data.classes)).uf1:.3f}. {(~test).sum()} "
        f"training clips, {test.sum()} test clips of other subjects, nuisance {options.nuisance:g}, "
        f"{options.epochs} epochs, networks reduced to {REDUCED}. Results on synthetic data prove code, not "
        f"science. microexp {versions()['microexp']}."
    )
    chosen = np.linspace(0, len(clips) - 1, min(options.rows, len(clips))).astype(int)
    picture = sheet([clips[k] for k in chosen], masks[chosen], {n: h[chosen] for n, h in heats.items()})
    Image.fromarray(picture).save(SHEET, optimize=True)


if __name__ == "__main__":
    main()
