"""Convert the networks of the npm package @vladmandic/face-api to ``microexp/faces/faceapi.safetensors``.

The package (MIT, see ``NOTICE``) is fetched by npm once, or given as a file; its checksum is checked. Weights
stay what they are there, 8 bits with a scale and a smallest value a tensor, in PyTorch's axis order. The
output is the same byte for byte each time; its checksum belongs into ``microexp/faces/_networks.py``::

    python scripts/convert_faceapi.py [--package FILE.tgz]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

PACKAGE = "@vladmandic/face-api@1.7.15"
PACKAGE_SHA256 = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
MODELS = {  # prefix of the tensors here -> model of the package
    "detector": "tiny_face_detector_model",
    "landmarks": "face_landmark_68_model",
    "landmarks_tiny": "face_landmark_68_tiny_model",
}
KINDS = {  # last part of a tensor's name there -> (name here, order of its axes here)
    "filters": ("weight", (3, 2, 0, 1)),
    "depthwise_filter": ("depthwise.weight", (2, 3, 0, 1)),
    "pointwise_filter": ("pointwise.weight", (3, 2, 0, 1)),
    "weights": ("weight", (1, 0)),
    "bias": ("bias", (0,)),
}
OUT = Path(__file__).resolve().parents[1] / "src/microexp/faces/faceapi.safetensors"


def main() -> None:
    """Convert, write, and print size and checksum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--package", type=Path, help=f"the .tgz of {PACKAGE}; fetched by npm if not given")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = options.package or fetch(Path(folder))
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        if digest != PACKAGE_SHA256:
            raise SystemExit(f"{package} is not {PACKAGE}: its sha256 is {digest}, not {PACKAGE_SHA256}")
        with tarfile.open(package) as archive:
            tensors = {k: v for prefix, model in MODELS.items() for k, v in convert(archive, prefix, model)}
    save_file(tensors, options.out, {"source": PACKAGE, "licence": "MIT"})
    data = options.out.read_bytes()
    print(f"{options.out.name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def fetch(folder: Path) -> Path:
    """Fetch the package with npm and return its path."""
    subprocess.run(["npm", "pack", PACKAGE, "--pack-destination", str(folder)], check=True)
    return next(folder.glob("*.tgz"))


def convert(archive: tarfile.TarFile, prefix: str, model: str) -> list[tuple[str, np.ndarray]]:
    """Return the named tensors of one model: 8-bit values, and scale and smallest value as ``.range``."""
    (group,) = json.loads(read(archive, f"{model}-weights_manifest.json"))
    data = b"".join(read(archive, name) for name in group["paths"])
    found, start = [], 0
    for weight in group["weights"]:
        quantised = weight["quantization"]
        if quantised["dtype"] != "uint8":
            raise SystemExit(f"{model}: {weight['name']} is {quantised['dtype']}, not uint8")
        values = np.frombuffer(data, np.uint8, int(np.prod(weight["shape"])), start).reshape(weight["shape"])
        start += values.size
        layer, kind = weight["name"].rsplit("/", 1)
        name, order = KINDS[kind]
        separable = any(w["name"] == f"{layer}/pointwise_filter" for w in group["weights"])
        name = "pointwise.bias" if kind == "bias" and separable else name
        key = ".".join([prefix, *layer.split("/"), name])
        found.append((key, np.ascontiguousarray(values.transpose(order))))
        found.append((f"{key}.range", np.array([quantised["scale"], quantised["min"]], np.float32)))
    if start != len(data):
        raise SystemExit(f"{model}: {len(data) - start} bytes are left over")
    return found


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """Return one file of the package's model folder."""
    file = archive.extractfile(f"package/model/{name}")
    if file is None:
        raise SystemExit(f"{name} is not in the package")
    return file.read()


if __name__ == "__main__":
    main()
