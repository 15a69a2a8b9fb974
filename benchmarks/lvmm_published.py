"""LVMM's published weights on a face that moves as is known: reconstruction, and gain of the motion.

    python benchmarks/lvmm_published.py [--weights NAME_OR_FILE]

The face is scikit-image's astronaut, 224x224. It is moved to the right by a Gaussian field (sigma 25 pixels)
of 1 and 2 pixels, and magnified 3, 5 and 10 times; DIS flow is averaged where the field is above 0.6 of its
largest value. The gain is the magnified flow over the flow of the frame itself. Beside it stand the same for
the exact target, the field times the factor, which shows what the flow can measure; and the mean absolute
difference from that target, of the network's picture and of the frame as it is. Figures are compared with
those measured with other code and the same weights, written to benchmarks/results/lvmm_published.json, and
printed as Markdown tables. The exit code is 1 if one is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from skimage.data import astronaut
from skimage.metrics import structural_similarity

from microexp.evaluate.versions import versions
from microexp.magnify.lvmm import LVMM
from microexp.weights import locate
from microexp.weights.download import sha256_of

RESULT = Path(__file__).parent / "results" / "lvmm_published.json"
SIDE, SIGMA, CENTRE = 224, 25, (112, 120)  # x, y
SHIFTS, FACTORS = (1.0, 2.0), (3, 5, 10)
KNOWN_L1, KNOWN_SSIM = 0.0086, 0.978
KNOWN_GAINS = {(1.0, 3): 3.0, (1.0, 5): 5.3, (1.0, 10): 10.2, (2.0, 3): 2.97, (2.0, 5): 4.9, (2.0, 10): 9.6}
GAIN_TOLERANCE = 0.05  # of the known gain
STILL = 0.1  # pixels that the reconstruction may be shifted


def face() -> np.ndarray:
    """``(224, 224, 3) uint8 RGB``."""
    return cv2.resize(astronaut()[0:280, 80:360], (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def bump() -> np.ndarray:
    """The field's size relative to its largest, ``(224, 224) float32``."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return np.exp(-((x - CENTRE[0]) ** 2 + (y - CENTRE[1]) ** 2) / (2 * SIGMA**2))


def moved(picture: np.ndarray, pixels: float) -> np.ndarray:
    """The picture, moved to the right by the field times `pixels`: what stands at x came from x - field."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    shifted = cv2.remap(
        picture.astype(np.float32), x - pixels * bump(), y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.rint(shifted).astype(np.uint8)


def flow(before: np.ndarray, after: np.ndarray) -> float:
    """Mean flow to the right in the moving region, pixels."""
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (before, after)]
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return float(dis.calc(*grey, None)[..., 0][bump() > 0.6].mean())


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """Mean absolute difference, 1 being white."""
    return float(np.abs(first.astype(np.float64) - second).mean() / 255)


def reconstruction(weights: str, picture: np.ndarray) -> dict[str, float]:
    again = LVMM(factor=1.0, weights=weights, device="cpu").magnify(picture, picture)
    similar = structural_similarity(
        picture, again, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return {"l1": difference(picture, again), "ssim": float(similar), "shift": flow(picture, again)}


def gain(weights: str, picture: np.ndarray, pixels: float, factor: int) -> dict[str, float]:
    weak, target = moved(picture, pixels), moved(picture, pixels * factor)
    strong = LVMM(factor=factor, weights=weights, device="cpu").magnify(weak, picture)
    before = flow(picture, weak)
    return {
        "pixels": pixels,
        "factor": factor,
        "gain": flow(picture, strong) / before,
        "known_gain": KNOWN_GAINS[pixels, factor],
        "gain_of_exact_target": flow(picture, target) / before,
        "l1": difference(strong, target),
        "frame_l1": difference(weak, target),
    }


def faults(result: dict[str, Any]) -> list[str]:
    """Which figures are not as they should be."""
    again = result["reconstruction"]
    found = ["L1"] if abs(again["l1"] - KNOWN_L1) > 0.0005 else []
    found += ["SSIM"] if abs(again["ssim"] - KNOWN_SSIM) > 0.005 else []
    found += ["shift"] if abs(again["shift"]) > STILL else []
    return found + [
        f"gain of {row['pixels']:g} pixels, factor {row['factor']}"
        for row in result["gains"]
        if abs(row["gain"] / row["known_gain"] - 1) > GAIN_TOLERANCE
    ]


def tables(result: dict[str, Any]) -> str:
    again = result["reconstruction"]
    lines = [
        "| factor 1 | L1 | SSIM | shift, pixels |",
        "|---|---:|---:|---:|",
        f"| here | {again['l1']:.4f} | {again['ssim']:.3f} | {again['shift']:.3f} |",
        f"| other code | {KNOWN_L1} | {KNOWN_SSIM} | none |",
        "",
        "| true pixels | factor | gain | other code | exact target | L1 to it | frame's L1 to it |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['pixels']:g} | {row['factor']} | {row['gain']:.2f} | {row['known_gain']:.2f} "
        f"| {row['gain_of_exact_target']:.2f} | {row['l1']:.4f} | {row['frame_l1']:.4f} |"
        for row in result["gains"]
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="lvmm-oh2018", help="of the catalogue, or a file")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    picture = face()
    result: dict[str, Any] = {
        "reconstruction": reconstruction(options.weights, picture),
        "gains": [gain(options.weights, picture, pixels, f) for pixels in SHIFTS for f in FACTORS],
        "sha256": sha256_of(locate(options.weights)),
        "versions": versions(),
    }
    result["faults"] = faults(result)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(tables(result))
    print("\n" + ("; ".join(result["faults"]) or "All as it should be."))
    return int(bool(result["faults"]))


if __name__ == "__main__":
    sys.exit(main())
