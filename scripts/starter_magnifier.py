"""Write the starter weights of `single_image` from a network that ``benchmarks/magnification.py`` trained.

Of what the file holds, the form that only warps is kept (encoder, flow decoder and flow magnifier), so that
nothing of VGG19 and no generator comes along, in half precision, which halves the file; what it says of its
training stays. The checksum is put into the catalogue::

    python benchmarks/magnification.py --train OUT --only single_image_16 starter --vgg FILE
    python scripts/starter_magnifier.py OUT/starter/stage2.safetensors
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from microexp.magnify.single_image import SingleImage
from microexp.weights import load_into, read_metadata, read_weights, write_weights
from microexp.weights.download import sha256_of

FOLDER = Path(__file__).resolve().parents[1] / "src" / "microexp" / "weights"
FILE = "starter-single-image.safetensors"


def main() -> None:
    """Write the weights, and their checksum."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, metavar="FILE", help="weights of a trained network of this method")
    trained = parser.parse_args().file
    said = read_metadata(trained)
    method = SingleImage(**{**json.loads(said["architecture"]), "generator": "warp"})
    method.check_said(said, trained)
    module, state = method.build(), read_weights(trained)
    load_into(module, {name: state[name] for name in module.state_dict()}, trained)
    write_weights(FOLDER / "starter" / FILE, module.half().state_dict(), {**said, **method.description()})
    catalogue = FOLDER / "catalogue.toml"
    entry = f'"{FILE}" = "{sha256_of(FOLDER / "starter" / FILE)}"'
    text = re.sub(rf'"{re.escape(FILE)}" = "[0-9a-f]*"', entry, catalogue.read_text(encoding="utf-8"))
    catalogue.write_text(text, encoding="utf-8")
    print(entry)


if __name__ == "__main__":
    main()
