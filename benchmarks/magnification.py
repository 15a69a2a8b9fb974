"""Magnification methods side by side, on synthetic people that no training has seen.

    python benchmarks/magnification.py --train OUT --vgg FILE [--only NAME ...]
    python benchmarks/magnification.py --weights OUT [--lvmm FILE] [--inception FILE] [--descriptor FILE]
                                       [--rows NAME ...]

The first trains what learns (`single_image` with and without its refiner, with flow fields of 8, 12 and
16, and in the form of the starter weights, which only warps and needs no VGG19; `memm`) on people of seed 0,
one thread a training; trainings that are done are passed over, one that was stopped goes on. The second
judges all methods on people of seed 1, or those of some rows, keeping the figures of the others. Every triple
is a resting face, a weak movement (the input) and a strong one (the target), drawn and aligned to 112x112;
the target's movement is 1.67 to 3.33 times the input's; faces that the detector misses are left out. Methods
with a factor get 2.5, the middle of that range, and the onset; the single-image network gets one picture.
Figures go into benchmarks/results/magnification.json, the table into docs/magnification.md, the contact sheet
into docs/images/magnification.jpg. "Flow re-applied" warps the input by the flow that a single-image network
found in it, unmagnified: with and without refiner, and on grids of 8, 12 and 16. MEMM's student is trained
with and without its teacher. The starter begins from the flow of the grid of 16, and its row is what
scripts/starter_magnifier.py made of it for the package.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from joblib import Parallel, delayed  # noqa: E402

from microexp import faces, magnify  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.datasets.synthetic import Synthetic  # noqa: E402
from microexp.evaluate.magnification import Magnified, magnification_scores  # noqa: E402
from microexp.evaluate.versions import versions  # noqa: E402
from microexp.faces.aligner import FaceAligner  # noqa: E402
from microexp.flow_colours import colour_flow  # noqa: E402
from microexp.frames.write import write_picture  # noqa: E402
from microexp.magnify._flow_fields import warp  # noqa: E402
from microexp.magnify._single_image import SingleImageModule  # noqa: E402
from microexp.magnify.single_image import SingleImage  # noqa: E402
from microexp.magnify.training import train  # noqa: E402
from microexp.media import titled  # noqa: E402
from microexp.motion.dis import DIS  # noqa: E402
from microexp.networks import face_descriptor, inception  # noqa: E402
from microexp.networks.stages import recipe_of  # noqa: E402
from microexp.networks.tensors import to_frames, to_tensor  # noqa: E402
from microexp.train.magnification_data import Drawn, drawn_triple  # noqa: E402

HERE = Path(__file__).resolve().parent
RESULT, DOCS = HERE / "results" / "magnification.json", HERE.parent / "docs"
SIZE, DRAWN, FACTOR = 112, 160, 2.5
FACTORS = {"": (1.67, 3.33), "micro": (3.5, 5.0)}  # how many times the input's movement the target's is
TRAINED = {"n_subjects": 2400, "clips_per_subject": 1, "seed": 0}  # one triple a clip; people teach more
JUDGED = {"n_subjects": 35, "clips_per_subject": 4, "seed": 1}
VALIDATED = 60  # of the trained people
PART = 50  # people drawn at a time
# Name -> method, settings, stages (all, or the flow alone: refiner and grid decide nothing else).
NETWORKS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "single_image": ("single_image", {}, ("flow", "stage1", "stage2")),
    "single_image_tanh": ("single_image", {"flow_head": "tanh"}, ("flow",)),
    "single_image_12": ("single_image", {"k": 12}, ("flow",)),
    "single_image_16": ("single_image", {"k": 16}, ("flow",)),
    "starter": ("single_image", {"generator": "warp", "k": 16}, ("stage1", "stage2")),
    "memm": ("memm", {}, ("teacher", "student")),
    "memm_alone": ("memm", {}, ("student",)),
}
BEGUN = {"starter": "single_image_16"}  # whose stage 'flow', which renders nothing either, it begins from
STARTER = "starter-single-image"
FLOWS = {
    "single_image": "8x8, refiner",
    "single_image_tanh": "8x8, no refiner",
    "single_image_12": "12x12, refiner",
    "single_image_16": "16x16, refiner",
}
GUIDED = {"memm": "MEMM, guided", "memm_alone": "MEMM, student alone"}
SHOWN = 4  # faces of the contact sheet
BEGIN, END = "<!-- made by benchmarks/magnification.py -->", "<!-- end -->"


def triples(folder: Path, n_subjects: int, clips_per_subject: int, seed: int, kind: str = "") -> list[Clip]:
    """Draw onset, middle and apex of every clip, once: clips of three pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [range(s, min(s + PART, n_subjects)) for s in range(0, n_subjects, PART)]
    stem = f"{kind or 'faces'}-{seed}-{clips_per_subject}"
    files = [folder / f"{stem}-{part.start}-{part.stop}.npz" for part in parts]
    jobs = [
        delayed(_draw)(file, part, clips_per_subject, seed, FACTORS[kind])
        for file, part in zip(files, parts, strict=True)
        if not file.is_file()
    ]
    for done, _ in enumerate(Parallel(-1, return_as="generator_unordered")(jobs), start=1):
        print(f"drawn {done} of {len(jobs)} parts", file=sys.stderr, flush=True)
    return [clip for file in files for clip in _read(file)]


def _read(file: Path) -> list[Clip]:
    with np.load(file) as held:
        arrays = {name: held[name] for name in held.files}
    return [
        Clip.from_array(
            arrays["pictures"][i],
            onset=0,
            apex=2,
            offset=2,
            subject=str(arrays["subjects"][i]),
            name=str(arrays["names"][i]),
            metadata={"triple": Drawn(arrays["flows"][i], float(arrays["factors"][i]))},
        )
        for i in range(len(arrays["pictures"]))
    ]


def _draw(
    file: Path, subjects: range, clips_per_subject: int, seed: int, factors: tuple[float, float]
) -> None:
    database = Synthetic(n_subjects=subjects.stop, size=DRAWN, nuisance=0.0, seed=seed)
    aligner = FaceAligner(size=SIZE, missing="skip")
    found: dict[str, list[Any]] = {n: [] for n in ("pictures", "flows", "factors", "subjects", "names")}
    for subject in subjects:
        for number in range(clips_per_subject):
            clip = database.clip(subject, number)
            aligned = next(iter(aligner.align([clip]).clips), None)
            if aligned is None:
                continue
            triple = drawn_triple(aligned, factors, np.random.default_rng((seed, subject, number)))
            known = triple.metadata["triple"]
            found["pictures"].append(triple.frames[:])
            found["flows"].append(known.flow.astype(np.float16))
            found["factors"].append(known.factor)
            found["subjects"].append(clip.subject)
            found["names"].append(clip.name)
    arrays: dict[str, Any] = {name: np.stack(values) for name, values in found.items()}
    temporary = file.with_name(f".{file.name}")
    np.savez(temporary, **arrays)
    temporary.replace(file)


def train_all(options: argparse.Namespace) -> None:
    """Train every network through its stages."""
    clips = triples(options.train, **TRAINED)
    people = sorted({clip.subject for clip in clips})
    watched = [clip for clip in clips if clip.subject in people[-VALIDATED:]]
    clips = [clip for clip in clips if clip.subject not in people[-VALIDATED:]]
    for name in options.only:
        method_name, settings, stages = NETWORKS[name]
        method = magnify.create(method_name, device="cpu", **settings)
        for stage in stages:
            if (options.train / name / f"{stage}.safetensors").is_file():
                continue
            _, recipe = recipe_of(method, stage)
            begun = None
            if recipe.start and recipe.start not in stages:
                if name in BEGUN:
                    begun = options.train / BEGUN[name] / f"{recipe.start}.safetensors"
                else:  # without what should have been learned before
                    recipe = replace(recipe, start="", losses={"l1": 1.0})
            start = time.process_time()

            def told(done: int, total: int, shown: Any, label: str = f"{name} {stage}") -> None:
                if done % max(total // 10, 1) == 0:
                    print(label, done, total, dict(shown), file=sys.stderr, flush=True)

            train(
                method, clips, options.train / name, validation=watched, stage=stage, recipe=recipe,
                vgg=options.vgg if method_name == "single_image" else None, start=begun, resume=True,
                progress=told,
            )  # fmt: skip
            print(f"{name} {stage}: {time.process_time() - start:.0f} CPU s", flush=True)


Method = Callable[[np.ndarray, np.ndarray], np.ndarray]  # onset, input -> magnified


def methods(options: argparse.Namespace) -> dict[str, Method]:
    """Name -> what makes a strong picture of a weak one and, if it may, of the onset."""

    def two_frames(magnifier: Any) -> Method:
        return lambda onset, weak: magnifier.magnify(weak, onset)

    found: dict[str, Method] = {
        "input, unchanged": lambda onset, weak: weak,
        "linear Eulerian": two_frames(magnify.create("eulerian", factor=FACTOR)),
        "phase, steerable pyramid": two_frames(magnify.create("phase", factor=FACTOR)),
        "phase, Riesz pyramid": two_frames(magnify.create("phase", factor=FACTOR, pyramid="riesz")),
    }
    if options.lvmm is not None:
        lvmm = magnify.create("lvmm", factor=FACTOR, weights=str(options.lvmm), device="cpu")
        found["LVMM, published weights"] = two_frames(lvmm)
    for name, label in GUIDED.items():
        if (file := _trained(options, name)) is not None:
            found[label] = two_frames(magnify.create("memm", weights=str(file), device="cpu"))
    for name, label in FLOWS.items():
        settings = NETWORKS[name][1]
        if (file := _trained(options, name, "flow")) is not None:
            found[f"flow re-applied, {label}"] = _reapplied(SingleImage(weights=str(file), **settings))
    if (file := _trained(options, "single_image")) is not None:
        found["flow re-applied, of Mag1"] = _reapplied(SingleImage(weights=str(file)))
        for cascade in (1, 2, 3):
            magnifier = SingleImage(weights=str(file), device="cpu", cascade=cascade)
            found[f"single image, Mag{cascade}"] = two_frames(magnifier)
    found["single image, starter"] = two_frames(SingleImage(weights=STARTER, device="cpu"))
    return found


def _trained(options: argparse.Namespace, name: str, stage: str | None = None) -> Path | None:
    """Return the weights of a network's stage, the last if None; None, saying so, if they are not there."""
    file = options.weights / name / f"{stage or NETWORKS[name][2][-1]}.safetensors"
    if not file.is_file():
        print(f"{file} is not there, and left out", file=sys.stderr)
        return None
    return file


def _reapplied(magnifier: SingleImage) -> Method:
    def apply(onset: np.ndarray, weak: np.ndarray) -> np.ndarray:
        picture, module = to_tensor(weak[None]), magnifier.module()
        assert isinstance(module, SingleImageModule)  # as the network of this method is
        with torch.inference_mode():
            return to_frames(warp(picture, module.express(picture)[1]))[0]

    return apply


def judge(options: argparse.Namespace) -> None:
    """Measure all methods, or those of some rows, and draw the sheet of all."""
    clips, micro = (triples(options.weights, **JUDGED, kind=kind) for kind in FACTORS)
    made = methods(options)
    if options.rows is None:
        result: dict[str, Any] = {
            "judged": JUDGED, "trained": TRAINED, "factors": FACTORS, "factor": FACTOR,
            "versions": versions(), "pictures": len(clips),
            "paper_seconds": paper_seconds(clips[0].frames[1]), "methods": {}, "micro": {},
        }  # fmt: skip
    else:
        result = json.loads(RESULT.read_text(encoding="utf-8"))
    wanted = [name for name in made if options.rows is None or name in options.rows]
    cascades = [name for name in wanted if name.startswith(("input", "single image"))]
    for kind, chosen, names in (("methods", clips, wanted), ("micro", micro, cascades)):
        pictures = {name: [magnified(made[name], clip) for clip in chosen] for name in names}
        result[kind] |= scored(options, chosen, pictures)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shown = clips[:: len(clips) // SHOWN][:SHOWN]
    strong = {name: [magnified(method, clip)[0] for clip in shown] for name, method in made.items()}
    write_picture(DOCS / "images" / "magnification.jpg", contact_sheet(shown, strong))
    page = (DOCS / "magnification.md").read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    page = f"{before}{BEGIN}\n\n{report(result)}\n{END}{after}"
    (DOCS / "magnification.md").write_text(page, encoding="utf-8")


def magnified(method: Method, clip: Clip) -> tuple[np.ndarray, float]:
    """Return the strong picture and the processor's seconds."""
    start = time.process_time()
    strong = method(clip.frames[0], clip.frames[1])
    return strong, time.process_time() - start


def scored(
    options: argparse.Namespace, clips: list[Clip], pictures: dict[str, list[tuple[np.ndarray, float]]]
) -> dict[str, Any]:
    """Return the figures of every method on some triples."""
    describe = None if options.descriptor is None else face_descriptor.load(options.descriptor, "cpu")
    features = None if options.inception is None else inception.load(options.inception, "cpu")
    detector = faces.create("faceapi68") if describe is not None else None
    rows = {}
    for name, strong in pictures.items():
        made = [
            Magnified(
                onset=clip.frames[0],
                weak=clip.frames[1],
                strong=picture,
                exact=clip.frames[2],
                flow=clip.metadata["triple"].flow.astype(np.float32),
                subject=clip.subject,
            )
            for clip, (picture, _) in zip(clips, strong, strict=True)
        ]
        scores = magnification_scores(made, DIS(), detector, describe, features)
        rows[name] = {
            "figures": {key: value._asdict() for key, value in scores.figures.items()},
            "sets": {key: value.value for key, value in scores.sets.items()},
            "cpu_seconds": float(np.median([seconds for _, seconds in strong])),
        }
        print(name, {k: round(v.mean, 4) for k, v in scores.figures.items()}, flush=True)
    return rows


def paper_seconds(picture: np.ndarray) -> float:
    """Return what the network at its published size takes for a picture; untrained, which is as slow."""
    magnifier = magnify.create("single_image", "paper", weights="random", device="cpu")
    magnifier.magnify(picture)
    clip = Clip.from_array(np.stack([picture] * 3), apex=1)
    return float(
        np.median([magnified(lambda onset, weak: magnifier.magnify(weak), clip)[1] for _ in range(5)])
    )


def contact_sheet(clips: list[Clip], pictures: dict[str, list[np.ndarray]]) -> np.ndarray:
    """A column a method, two rows a face: the picture, and its flow from the onset."""
    columns = {"onset": [clip.frames[0] for clip in clips], **pictures}
    columns["strong (target)"] = [clip.frames[2] for clip in clips]
    sheet = []
    for name, made in columns.items():
        tiles = []
        for clip, picture in zip(clips, made, strict=True):
            flow = DIS().flow(clip.frames[0], picture)
            tiles += [picture, colour_flow(flow, 4.0)]
        tiles = [cv2.resize(tile, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC) for tile in tiles]
        sheet.append(titled(np.vstack(tiles), name))
    return np.hstack(sheet)


def report(result: dict[str, Any]) -> str:
    """Both tables as Markdown."""
    return (
        f"{result['pictures']} pictures; the input's movement is 1/1.67 to 1/3.33 of the target's.\n\n"
        f"{table(result['methods'])}\n"
        f"At its published size (preset `paper`) the single-image network takes "
        f"{result['paper_seconds']:.2f} CPU s for a picture.\n\n"
        "Cascades on smaller inputs, 1/3.5 to 1/5 of the target's movement, a pixel or two:\n\n"
        f"{table(result['micro'])}"
    )


def table(methods: dict[str, Any]) -> str:
    """A table as Markdown; of what the exact pictures get there is a row of its own."""
    rows = [
        "| method | L1 to the target, of 255 | SSIM | gain | direction, degrees | identity | FD-768 "
        "| KID-768 | CPU s |",
        "|---|" + "---:|" * 8,
    ]
    for name, row in methods.items():
        figures, sets = row["figures"], row["sets"]
        cells = [
            _cell(figures, "L1", 255, 2), _cell(figures, "SSIM", 1, 4), _cell(figures, "gain", 1, 2),
            _cell(figures, "direction", 1, 1), _cell(figures, "identity", 1, 3),
            *(f"{sets[key]:.{n}f}" if key in sets else "" for key, n in (("FD-768", 2), ("KID-768", 4))),
            f"{row['cpu_seconds']:.3f}",
        ]  # fmt: skip
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    figures = next(iter(methods.values()))["figures"]
    cells = ["0", "1", _cell(figures, "gain_exact", 1, 2), _cell(figures, "direction_exact", 1, 1)]
    rows.append(
        "| the target itself | "
        + " | ".join(cells)
        + f" | {_cell(figures, 'identity_exact', 1, 3)} | 0 | | |"
    )
    return "\n".join(rows) + "\n"


def _cell(figures: dict[str, Any], name: str, unit: float, digits: int) -> str:
    if name not in figures:
        return ""
    mean, low, high = (figures[name][key] for key in ("mean", "low", "high"))
    interval = "" if low is None else f" [{low * unit:.{digits}f}, {high * unit:.{digits}f}]"
    return f"{mean * unit:.{digits}f}{interval}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, metavar="OUT", help="train into this folder, and end")
    parser.add_argument("--only", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--vgg", help="ImageNet weights of VGG19, for --train")
    parser.add_argument("--weights", type=Path, metavar="OUT", help="judge what was trained into this folder")
    parser.add_argument("--rows", nargs="+", metavar="NAME", help="judge these alone, keep other figures")
    parser.add_argument("--lvmm", type=Path, help="published weights of LVMM")
    parser.add_argument("--inception", type=Path, help="of 'microexp weights get inception-nsfwjs'")
    parser.add_argument("--descriptor", type=Path, help="of 'microexp weights get face-descriptor'")
    options = parser.parse_args()
    if (options.train is None) == (options.weights is None):
        parser.error("give either --train OUT or --weights OUT")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    train_all(options) if options.train is not None else judge(options)


if __name__ == "__main__":
    main()
