"""Draw ``docs/images/faces.png``: detection, alignment and regions on a synthetic face.

Run it from anywhere::

python scripts/faces_figure.py [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from microexp import faces
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.faces import regions

TILE, LABEL, GAP, COLUMNS = 448, 26, 6, 3
BACKGROUND, INK = (250, 250, 250), (20, 20, 20)
Tile = tuple[str, np.ndarray]


def main() -> None:
    """Draw and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "docs" / "images" / "faces.png"
    parser.add_argument("--out", type=Path, default=default)
    file: Path = parser.parse_args().out
    file.parent.mkdir(parents=True, exist_ok=True)
    sheet(tiles()).quantize(200, method=Image.Quantize.FASTOCTREE).save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size} bytes")


def tiles() -> list[Tile]:
    """A found face, the aligned one, and regions on it."""
    clip = Synthetic(n_subjects=3, clips_per_subject=1, seed=3, nuisance=0.3).clips()[2]
    wide = tilted(clip)
    aligned = faces.create("aligner").transform([wide])[0]
    picture, alignment = aligned.frames[0], aligned.metadata["alignment"]
    points = alignment.landmarks
    small = faces.create("aligner", size=28).transform([wide])[0].frames[0]
    found: list[Tile] = [
        ("found in 640x480, tilted by 12 degrees", detected(wide.frames[0])),
        ("aligned to 224x224", marked(picture, points)),
        ("aligned to 28x28", cv2.resize(small, (TILE, TILE), interpolation=cv2.INTER_NEAREST)),
    ]
    sets = {
        "MDMO: 36 regions": regions.mdmo_regions(points),
        "3DHOG: 12 regions": regions.hog3d_regions(points),
        "FRL-DGT: 6 regions": regions.frl_dgt_regions(points),
    }
    return found + [(title, regions.draw(picture, found, enlarged=2)) for title, found in sets.items()]


def tilted(clip: Clip) -> Clip:
    """The onset frame in a larger picture, turned."""
    turn = cv2.getRotationMatrix2D((128, 128), 12, 1.0)
    turn[:, 2] += (230, 120)
    frame = clip.key_frame("onset")
    turned = cv2.warpAffine(frame, turn, (640, 480), flags=cv2.INTER_CUBIC, borderValue=(150, 150, 146))
    return Clip.from_array(turned[None])


def detected(picture: np.ndarray) -> np.ndarray:
    """The picture with box and landmarks, cut to a square tile."""
    (face,) = faces.create("faceapi68").detect(picture)
    drawn = marked(picture, face.landmarks, 1)
    x0, y0, x1, y1 = (round(value) for value in face.box)
    cv2.rectangle(drawn, (x0, y0), (x1, y1), (255, 220, 0), 2)
    scale = TILE / drawn.shape[1]
    return cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def marked(picture: np.ndarray, points: np.ndarray, enlarged: int = 2) -> np.ndarray:
    """The picture, enlarged, with landmarks."""
    height, width = picture.shape[:2]
    drawn = cv2.resize(picture, (width * enlarged, height * enlarged), interpolation=cv2.INTER_CUBIC)
    for x, y in (points + 0.5) * enlarged - 0.5:
        cv2.circle(drawn, (round(float(x) * 16), round(float(y) * 16)), 40, (60, 255, 60), -1, cv2.LINE_AA, 4)
    return drawn


def sheet(found: list[Tile]) -> Image.Image:
    """Put labelled pictures into a grid."""
    rows = -(-len(found) // COLUMNS)
    step_x, step_y = TILE + GAP, TILE + LABEL + GAP
    image = Image.new("RGB", (COLUMNS * step_x + GAP, rows * step_y + GAP), BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(17)
    for number, (label, picture) in enumerate(found):
        x, y = GAP + number % COLUMNS * step_x, GAP + number // COLUMNS * step_y
        draw.text((x + 2, y + 1), label, fill=INK, font=font)
        image.paste(Image.fromarray(picture), (x, y + LABEL))
    return image


if __name__ == "__main__":
    main()
