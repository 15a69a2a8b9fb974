"""Draw the pictures of the documentation that show the synthetic database.

Writes ``docs/images/synthetic_contact_sheet.jpg`` (subjects, a micro-expression with its exact flow) and
``docs/images/synthetic_action_units.jpg``::

    python scripts/synthetic_contact_sheet.py [--out DIR]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from microexp.datasets.synthetic import Synthetic
from microexp.datasets.synthetic._action_units import ACTION_UNITS
from microexp.datasets.synthetic._scene import Scene
from microexp.flow_colours import colour_flow

SIZE, LABEL, GAP = 256, 22, 4
BACKGROUND, INK = (250, 250, 250), (20, 20, 20)
NAMES = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    14: "dimpler",
    15: "lip corner depressor",
    16: "lower lip depressor",
    17: "chin raiser",
    18: "lip pucker",
    20: "lip stretcher",
    24: "lip presser",
    25: "lips part",
    26: "jaw drop",
    45: "eyes closed",
}
Tile = tuple[str, np.ndarray]


def main() -> None:
    """Draw both sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "docs" / "images")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    save(
        sheet(subject_tiles() + clip_tiles(0, 1) + clip_tiles(5, 2), 6),
        folder / "synthetic_contact_sheet.jpg",
    )
    save(sheet(unit_tiles(8), 6), folder / "synthetic_action_units.jpg")


def subject_tiles() -> list[Tile]:
    """Twelve subjects at rest."""
    clips = Synthetic(n_subjects=12, clips_per_subject=1).clips()
    return [(f"subject {clip.subject}", clip.metadata["truth"].neutral()) for clip in clips]


def clip_tiles(subject: int, clip_number: int) -> list[Tile]:
    """Onset, apex, difference, exact flow, the same movement large, and where it is measured."""
    clip = Synthetic(n_subjects=subject + 1, clips_per_subject=clip_number + 1).clips()[-1]
    truth = clip.metadata["truth"]
    onset, apex = clip.key_frame("onset"), clip.key_frame("apex")
    units = "+".join(str(unit) for unit in clip.action_units)
    flow = truth.macro_flow()
    quiet = truth.micro().astype(np.float32) - truth.neutral()
    return [
        (f"{clip.emotion} (AU {units}): onset", onset),
        (f"apex, {truth.amplitude:.1f} px", apex),
        ("apex - onset, x6", grey(apex.astype(np.float32) - onset)),
        ("the same without noise", grey(quiet)),
        ("exact flow of expression", colour_flow(flow * truth.head_mask[..., None])),
        ("the movement x6", truth.macro(6.0)),
    ]


def unit_tiles(subject: int) -> list[Tile]:
    """Every action unit at full intensity, one-sided and combined ones last."""
    stage = Scene(0, subject, SIZE)
    tiles: list[Tile] = [("neutral", stage.picture)]
    tiles += [(f"AU{unit} {NAMES[unit]}", stage.picture_at({(unit, ""): 1.0})) for unit in ACTION_UNITS]
    extra = {
        "L12 (subject's left)": {(12, "L"): 1.0},
        "R14 (subject's right)": {(14, "R"): 1.0},
        "6+12 happiness": {(6, ""): 0.8, (12, ""): 1.0},
        "1+2+5+26 surprise": {(1, ""): 0.8, (2, ""): 0.8, (5, ""): 0.8, (26, ""): 0.8},
    }
    tiles += [(name, stage.picture_at(weights)) for name, weights in extra.items()]
    return [(name, np.clip(np.rint(picture), 0, 255).astype(np.uint8)) for name, picture in tiles]


def grey(difference: np.ndarray) -> np.ndarray:
    """Six times a signed difference around middle grey."""
    return np.clip(128 + 6 * difference, 0, 255).astype(np.uint8)


def sheet(tiles: list[Tile], columns: int) -> Image.Image:
    """Put labelled pictures into a grid."""
    rows = -(-len(tiles) // columns)
    step_x, step_y = SIZE + GAP, SIZE + LABEL + GAP
    image = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), BACKGROUND)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    for number, (label, picture) in enumerate(tiles):
        x, y = GAP + number % columns * step_x, GAP + number // columns * step_y
        draw.text((x + 2, y + 1), label, fill=INK, font=font)
        image.paste(Image.fromarray(picture), (x, y + LABEL))
    return image


def save(image: Image.Image, file: Path) -> None:
    """Write a JPEG below 600 kB."""
    for quality in range(90, 40, -5):
        image.save(file, quality=quality, optimize=True)
        if file.stat().st_size < 600_000:
            break
    print(f"{file.name}: {image.width}x{image.height}, {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
