"""Frechet distance and KID of sets of pictures that are known to be near or far, and who is whom.

    microexp weights get inception-nsfwjs face-descriptor
    python benchmarks/frechet.py [--inception FILE] [--descriptor FILE] [--pictures 140]

Crops of five pictures of scikit-image, made 112x112: two sets of other crops of the same pictures, of three
sizes, then one of them against the other blurred or noisy. Each figure stands with its number of pictures.
Then the classes that the Inception-v3 sees in three pictures, and distances of the astronaut's face: from
itself mirrored, and with a corner of the mouth moved. Figures are written to benchmarks/results/frechet.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch

from microexp import faces
from microexp.evaluate.frechet import SetDistance, feature_distances
from microexp.evaluate.magnification import identity_distance
from microexp.evaluate.versions import versions
from microexp.networks import face_descriptor, inception

RESULT = Path(__file__).parent / "results" / "frechet.json"
CROP, SIZE = 160, 112
LAYERS = ("mixed5", "pool")
SHIFTS = (1, 2, 4, 8)  # pixels
MOUTH_CORNER = 54  # number of the landmark
SPREAD = 12.0  # pixels: deviation of the Gaussian by which the corner's surroundings move along
Corruption = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def blurred(sigma: float) -> Corruption:
    """Return what blurs a picture by a Gaussian, pixels."""
    return lambda picture, _: cv2.GaussianBlur(picture, (0, 0), sigma)


def noisy(deviation: float) -> Corruption:
    """Return what adds normal noise to a picture, grey levels."""
    return lambda picture, rng: np.clip(
        np.rint(picture + rng.normal(0, deviation, picture.shape)), 0, 255
    ).astype(np.uint8)


CORRUPTIONS: dict[str, Corruption] = {
    "blur 1": blurred(1),
    "blur 2": blurred(2),
    "noise 5": noisy(5),
    "noise 15": noisy(15),
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inception", default="inception-nsfwjs", help="weights: a name or a file")
    parser.add_argument("--descriptor", default="face-descriptor", help="weights: a name or a file")
    parser.add_argument("--pictures", type=int, default=140, help="in each set")
    options = parser.parse_args()
    module = inception.load(options.inception, "cpu")
    result: dict[str, Any] = {
        "versions": versions(),
        "classes": classes(module),
        "sets": sets(module, options.pictures),
        "identity": identities(options.descriptor),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result["sets"]))
    print(json.dumps({key: result[key] for key in ("classes", "identity")}, indent=1))


def sets(module: inception.Inception, count: int) -> dict[str, Any]:
    """Return the distances of pairs of sets by name of the pair."""
    rng = np.random.default_rng(0)
    pictures = crops(rng, 2 * count)
    features = inception.picture_features(module, pictures, LAYERS)
    first = {layer: values[:count] for layer, values in features.items()}
    second = {layer: values[count:] for layer, values in features.items()}
    found = {}
    for part in (count, count // 2, count // 4):
        halves = ({layer: values[:part] for layer, values in one.items()} for one in (first, second))
        found[f"same, {part}"] = described(feature_distances(*halves))
    for name, corrupted in CORRUPTIONS.items():
        others = inception.picture_features(module, [corrupted(p, rng) for p in pictures[count:]], LAYERS)
        found[name] = described(feature_distances(first, others))
    return found


def crops(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Return squares of pictures of scikit-image, made 112x112."""
    data = skimage.data
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.retina()[::2, ::2]]
    found = []
    for _ in range(count):
        picture = sources[rng.integers(len(sources))]
        y, x = (rng.integers(0, side - CROP) for side in picture.shape[:2])
        crop = picture[y : y + CROP, x : x + CROP]
        found.append(cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_AREA))
    return found


def described(distances: dict[str, SetDistance]) -> dict[str, Any]:
    """Return distances with what they rest on."""
    return {
        name: {"value": one.value, "pictures": one.pictures, "singular": one.singular}
        for name, one in distances.items()
    }


def classes(module: inception.Inception) -> dict[str, dict[str, float]]:
    """Return the probabilities of the classes in three pictures, all of them neutral."""
    found = {}
    for name in ("astronaut", "coffee", "chelsea"):
        with torch.inference_mode():
            probabilities = module(inception.resized(getattr(skimage.data, name)())).softmax(1)[0]
        found[name] = dict(zip(inception.CLASSES, probabilities.tolist(), strict=True))
    return found


def identities(weights: str) -> dict[str, float]:
    """Return distances of the astronaut's face from itself, mirrored and with a corner of the mouth moved."""
    module, detector = face_descriptor.load(weights, "cpu"), faces.create("faceapi68")
    picture = np.ascontiguousarray(skimage.data.astronaut()[:280, 80:360])
    corner = detector.detect(picture)[0].landmarks[MOUTH_CORNER]
    others = {f"mouth {shift} px": moved(picture, corner, shift) for shift in SHIFTS}
    others |= {"itself": picture, "mirrored": np.ascontiguousarray(picture[:, ::-1])}
    return {name: identity_distance(picture, other, module, detector) for name, other in others.items()}


def moved(picture: np.ndarray, centre: np.ndarray, shift: float) -> np.ndarray:
    """Return a picture whose surroundings of a point are pulled outwards and up."""
    y, x = np.indices(picture.shape[:2], dtype=np.float32)
    weight = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * SPREAD**2)) * shift / np.sqrt(2)
    at = (x - weight).astype(np.float32), (y + weight).astype(np.float32)
    return cv2.remap(picture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def table(rows: dict[str, Any]) -> str:
    """Return the distances of sets as a Markdown table."""
    names = list(next(iter(rows.values())))
    lines = ["| sets | pictures | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for pair, distances in rows.items():
        values = [f"{distances[name]['value']:.4g}" for name in names]
        pictures = " and ".join(map(str, distances[names[0]]["pictures"]))
        lines.append(f"| {pair} | {pictures} | " + " | ".join(values) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
