"""Published weights, as `microexp weights get` puts them into the cache folder, against known figures.

    python benchmarks/published_weights.py [--only NAME ...] [--ncnn PARAM BIN NAME]

Of each entry of the catalogue that is in the cache folder: its outputs for a fixed pattern, and PSNR on a
face (scikit-image's astronaut, 256x256, made smaller by MATLAB's bicubic kernel and rounded; for video seven
frames of it moving), both against what other code gave with the same weights where that is known; and, where
--ncnn names the files of ncnn and the package `ncnn` is installed, the largest difference from what ncnn
makes of the face. LPIPS entries: the distance of the pattern from its mirror image, and features of VGG16.
Figures are merged into benchmarks/results/published_weights.json after each entry; then all are printed as a
Markdown table. The exit code is 1 if one is not as it should be.
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
from torch import Tensor

from microexp import superres
from microexp.errors import MicroexpError
from microexp.evaluate.versions import versions
from microexp.networks.vgg import vgg_features
from microexp.superres import _lpips
from microexp.superres._network import NetworkUpscaler, VideoUpscaler
from microexp.superres.quality import psnr
from microexp.superres.resize import resize
from microexp.weights import catalogue
from microexp.weights.download import sha256_of

RESULT = Path(__file__).parent / "results" / "published_weights.json"
SIDE, FRAMES = 256, 7
MOTION = (-0.9, -0.6)  # pixels a frame, right and down
PSNR_TOLERANCE = 0.02  # dB
NCNN_TOLERANCE = 0.5  # grey levels
# Mean, deviation, first, middle and last value of other code's outputs for the pattern.
OUTPUTS = {
    "realesrgan-x4plus": (0.47835049, 0.138858, 0.3794649, 0.5131136, 0.4536551),
    "realesrgan-x4plus-anime-6b": (0.51704328, 0.250685, 0.4650098, 0.3633335, 0.4692594),
    "realsr-df2k": (0.50025483, 0.336898, 0.1133319, 0.479322, 0.79185),
    "realsr-df2k-jpeg": (0.41111041, 0.19049, 0.1924484, 0.3797846, 0.5325705),
    "rrdn-x4-idealo": (0.48013201, 0.344844, 0.3604003, 0.5728949, 0.3264883),
    "esrgan-thick-x2": (0.49113782, 0.240702, 0.2205596, 0.3595145, 0.4124522),
    "esrgan-thick-x3": (0.48893675, 0.287168, 0.4522268, 0.3852079, 0.4285114),
    "esrgan-thick-x4": (0.48926968, 0.284376, 0.174683, 0.28475, 0.2250777),
    "esrgan-thick-x8": (0.48493707, 0.302939, 0.2453687, 0.2877555, 0.3880176),
    "basicvsr-reds4": (0.49527471, 0.336744, -0.04437459, 0.08401649, 0.2360923),
    "basicvsr-vimeo-bi": (0.4994799, 0.362964, -0.02501087, 0.1238869, 0.2874935),
    "basicvsr-vimeo-bd": (0.49467312, 0.44158, 0.007195658, 0.04492104, 0.3068376),
    "lpips-vgg16": (-14.542435, 10.6708, -9.691565, 4.385291, -10.41651),  # conv4_3 of VGG16
}
DISTANCES = {"lpips-alexnet": 0.179246, "lpips-vgg16": 0.272180}
PSNRS = {
    "realesrgan-x4plus": 23.40,
    "realesrgan-x4plus-anime-6b": 21.34,
    "realesr-animevideov3": 24.70,
    "realesr-general-x4v3": 23.55,
    "realsr-df2k": 26.35,
    "rdn-x2-idealo": 32.24,
    "rrdn-x4-idealo": 27.09,
    "esrgan-thick-x2": 30.50,
    "esrgan-thick-x3": 28.46,
    "esrgan-thick-x4": 26.87,
    "esrgan-thick-x8": 23.41,
    "esrgan-medium-x4": 25.94,
    "esrgan-slim-x4": 25.76,
    "basicvsr-reds4": 30.99,
    "basicvsr-vimeo-bi": 31.23,
    "basicvsr-vimeo-bd": 29.00,
}


def pattern(*shape: int) -> Tensor:
    """64 levels in [0, 1], ``(N, C, H, W)`` or ``(N, T, C, H, W)``, that any program can make."""
    factors = (17, 31, 7, 13) if len(shape) == 4 else (5, 17, 31, 7, 13)
    level = sum(f * axis for f, axis in zip(factors, np.indices(shape), strict=True))
    return torch.from_numpy(level % 64).float() / 63


def face() -> np.ndarray:
    """``(1, 256, 256, 3) uint8 RGB``."""
    return astronaut()[None, 0:SIDE, 96 : 96 + SIDE]


def moving_face() -> np.ndarray:
    """The face in the whole picture as that moves, bicubically interpolated: ``(7, 256, 256, 3)``."""
    whole = astronaut()
    moved = [
        cv2.warpAffine(
            whole,
            np.array([[1, 0, MOTION[0] * t], [0, 1, MOTION[1] * t]], np.float32),
            whole.shape[1::-1],
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        for t in range(FRAMES)
    ]
    return np.stack(moved)[:, 0:SIDE, 96 : 96 + SIDE]


def small_and_true(upscaler: NetworkUpscaler) -> tuple[np.ndarray, np.ndarray]:
    true = moving_face() if isinstance(upscaler, VideoUpscaler) else face()
    side = SIDE // upscaler.scale
    true = true[:, : side * upscaler.scale, : side * upscaler.scale]
    return resize(true, (side, side)), true


def compared(output: Tensor, known: tuple[float, ...]) -> dict[str, Any]:
    """Largest difference of the five values, and what is allowed: 2e-6, or 1e-3 of the deviation."""
    flat = output.double().flatten()
    found = [flat.mean(), flat.std(unbiased=False), flat[0], flat[len(flat) // 2], flat[-1]]
    difference = max(abs(float(a) - b) for a, b in zip(found, known, strict=True))
    return {"difference": difference, "tolerance": max(2e-6, 1e-3 * known[1])}


def by_ncnn(param: str, binary: str, small: np.ndarray) -> np.ndarray:
    """What ncnn makes of one picture ``(H, W, 3)``: ``(3, s H, s W)`` float32, in single precision."""
    import ncnn

    net = ncnn.Net()
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_vulkan_compute"):
        setattr(net.opt, option, False)
    net.opt.num_threads = 1
    if net.load_param(param) or net.load_model(binary):
        raise SystemExit(f"ncnn cannot read {param} and {binary}")
    picture = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / 255  # a Mat does not keep it alive
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(picture))
    return np.array(extractor.extract("output")[1])


def judge_network(name: str, ncnn_files: list[str] | None) -> dict[str, Any]:
    entry = catalogue.entry(name)
    upscaler = superres.create(
        entry.method, scale=entry.scale, weights=name, device="cpu", **dict(entry.settings)
    )
    module, row = upscaler.module(), {}
    if name in OUTPUTS:
        shape = (1, 3, 3, 64, 64) if isinstance(upscaler, VideoUpscaler) else (1, 3, 16, 16)
        with torch.inference_mode():
            row["outputs"] = compared(module(pattern(*shape)), OUTPUTS[name])
    small, true = small_and_true(upscaler)
    row["psnr"] = psnr(upscaler.upscale(small), true)
    row["bicubic_psnr"] = psnr(resize(small, true.shape[1:3]), true)
    row["known_psnr"] = PSNRS.get(name)
    if ncnn_files is not None:
        with torch.inference_mode():
            ours = module(torch.from_numpy(small.transpose(0, 3, 1, 2)).float() / 255)[0].numpy()
        row["ncnn_grey_levels"] = 255 * float(np.abs(ours - by_ncnn(*ncnn_files, small[0])).max())
    return row


def judge_lpips(name: str) -> dict[str, Any]:
    module, signed = _lpips.load(name, "cpu"), 2 * pattern(1, 3, 64, 64) - 1
    with torch.inference_mode():
        distance = module(signed, signed.flip(3)).item()
        row: dict[str, Any] = {"distance": distance, "known_distance": DISTANCES[name]}
        if name in OUTPUTS:
            features = vgg_features("vgg16", name, ["21"])(pattern(1, 3, 64, 64))["21"]
            row["outputs"] = compared(features, OUTPUTS[name])
    return row


def faults(row: dict[str, Any]) -> list[str]:
    """Which figures are not as they should be."""
    found = [row["error"]] if "error" in row else []
    if "outputs" in row and row["outputs"]["difference"] > row["outputs"]["tolerance"]:
        found.append("outputs")
    if row.get("known_psnr") is not None and abs(row["psnr"] - row["known_psnr"]) > PSNR_TOLERANCE:
        found.append("PSNR")
    if "distance" in row and abs(row["distance"] - row["known_distance"]) > 1e-6:
        found.append("distance")
    if row.get("ncnn_grey_levels", 0) > NCNN_TOLERANCE:
        found.append("ncnn")
    return found


def judge(name: str, ncnn_files: list[str] | None) -> dict[str, Any]:
    try:
        is_lpips = catalogue.entry(name).method == "lpips"
        row = judge_lpips(name) if is_lpips else judge_network(name, ncnn_files)
    except MicroexpError as error:  # of one entry; the others are judged all the same
        row = {"error": str(error)}
    return {**row, "sha256": sha256_of(catalogue.entry(name).file), "versions": versions()}


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| weights | outputs: largest difference (allowed) | PSNR, dB | as known | bicubic "
        "| LPIPS (as known) | ncnn: largest difference, grey levels | as it should be |",
        "|---|" + "---:|" * 6 + "---|",
    ]
    for name, row in rows.items():
        outputs = row.get("outputs")
        cells = (
            f"{outputs['difference']:.1e} ({outputs['tolerance']:.1e})" if outputs else "",
            *(_figure(row.get(key), 2) for key in ("psnr", "known_psnr", "bicubic_psnr")),
            f"{row['distance']:.6f} ({row['known_distance']:.6f})" if "distance" in row else "",
            f"{row['ncnn_grey_levels']:.4f}" if "ncnn_grey_levels" in row else "",
            "; ".join(faults(row)) or "yes",
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--only",
        nargs="+",
        default=None,
        metavar="NAME",
        help="of the catalogue (default: all that are here)",
    )
    parser.add_argument(
        "--ncnn",
        nargs=3,
        action="append",
        default=[],
        metavar=("PARAM", "BIN", "NAME"),
        help="ncnn's files of an entry, out of the package that `microexp weights get` names; repeatable",
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ncnn_files = {name: [param, binary] for param, binary, name in options.ncnn}
    judged = {"lpips", *superres.names()}
    entries = [entry for entry in map(catalogue.entry, catalogue.names()) if entry.method in judged]
    here = [entry.name for entry in entries if entry.file.is_file()]
    rows = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {}
    for name in options.only or here:
        if name not in here:
            raise SystemExit(f"{name} is not in the cache folder: microexp weights get {name}")
        print(f"{name} ...", file=sys.stderr)
        rows[name] = judge(name, ncnn_files.get(name))
        rows = {known: rows[known] for known in catalogue.names() if known in rows}  # in its order
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))
    return int(any(faults(row) for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
