from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from microexp import datasets
from microexp.datasets.base import Dataset
from microexp.errors import DataError, MicroexpError, OptionError, PathMissingError
from tests.conftest import flow_dataset, write_megc_tree

SHEET = "combined_3_class2_for_optical_flow.csv"
IMAGES = "STSNet_whole_norm_u_v_os"


def load(root: Path | None) -> Dataset:
    return datasets.create("megc2019_flow", root=root).load()


def edit(root: Path, change: object) -> None:
    sheet = pd.read_csv(root / SHEET, dtype=str, keep_default_na=False)
    change(sheet).to_csv(root / SHEET, index=False)


@pytest.mark.parametrize("space", [True, False])
def test_pictures_and_labels_are_read_as_they_were_laid_out(tmp_path: Path, space: bool) -> None:
    made, read = flow_dataset(), load(write_megc_tree(tmp_path / "m", space=space))
    assert read.flow_images.shape == (24, 3, 28, 28)
    assert read.flow_images.dtype == np.float32
    assert np.abs(read.flow_images - made.flow_images).max() <= 0.5 / 255 + 1e-6
    assert (read.y == made.y).all()
    assert read.table["subject"].tolist() == made.table["subject"].tolist()


def test_subjects_keep_their_leading_zeros(megc_tree: Path) -> None:
    edit(megc_tree, lambda s: s.assign(sub=s["sub"].replace("s00", "006")))
    for file in (megc_tree / IMAGES).glob("s00_*"):
        file.rename(file.with_name(file.name.replace("s00_", "006_")))
    assert "smic/006" in load(megc_tree).groups


def test_the_fingerprint_changes_with_a_label_and_with_a_pixel(megc_tree: Path) -> None:
    before = load(megc_tree).fingerprint
    file = next(iter((megc_tree / IMAGES).glob("*.png")))
    pixels = np.array(Image.open(file))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(file)
    changed = load(megc_tree).fingerprint
    edit(megc_tree, lambda s: s.assign(label=["1", *s["label"][1:]]))
    assert len({before, changed, load(megc_tree).fingerprint}) == 3


def test_what_is_missing_is_named(megc_tree: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PathMissingError, match="needs the folder of your copy: --root"):
        load(None)
    with pytest.raises(PathMissingError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(PathMissingError, match="is empty"):
        load(tmp_path / "empty")
    (megc_tree / IMAGES / "s01_clip6 .png").unlink()
    with pytest.raises(PathMissingError, match="holds no 's01_clip6 .png'"):
        load(megc_tree)
    (megc_tree / SHEET).unlink()
    with pytest.raises(PathMissingError, match=SHEET):
        load(megc_tree)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.drop(columns="label"), "lacks the column.s. label"),
        (lambda s: pd.concat([s, s.iloc[[3]]]), "row 26: the clip smic/s00/clip3 is listed twice"),
        (lambda s: s.assign(label=["7", *s["label"][1:]]), "row 2: label '7'"),
        (lambda s: s.iloc[:0], "has a header but no rows"),
    ],
)
def test_faults_of_the_sheet_are_named_with_their_row(megc_tree: Path, change: object, message: str) -> None:
    edit(megc_tree, change)
    with pytest.raises(DataError, match=message):
        load(megc_tree)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01\xff", b'a,b\n"1,2\n3'])
def test_a_damaged_sheet_is_named(megc_tree: Path, content: bytes) -> None:
    (megc_tree / SHEET).write_bytes(content)
    with pytest.raises(DataError, match=SHEET):
        load(megc_tree)


def test_a_truncated_and_a_wrong_picture_are_named(megc_tree: Path) -> None:
    file = megc_tree / IMAGES / "s00_clip2 .png"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"s00_clip2 \.png"):
        load(megc_tree)
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(file)
    with pytest.raises(DataError, match="is 30x30; the motion images are 28x28"):
        load(megc_tree)


def test_check_reports_everything_at_once(megc_tree: Path) -> None:
    (megc_tree / IMAGES / "s00_clip2 .png").write_bytes(b"x")
    (megc_tree / IMAGES / "s01_clip6 .png").unlink()
    (megc_tree / IMAGES / "stray.png").write_bytes(b"x")
    checks = {c.what: c for c in datasets.create("megc2019_flow", root=megc_tree).check()}
    assert checks["images"].found == "22 good"
    assert len(checks["images"].details) == 2
    assert checks["images without a row"].details == ("stray.png",)
    counts = next(c for what, c in checks.items() if what.startswith("smic"))
    assert counts.expected == "70/51/43, 16"
    assert counts.found == "8/8/8, 4"
    assert not counts.ok


def test_other_label_schemes_are_refused() -> None:
    with pytest.raises(OptionError, match="it offers megc3"):
        datasets.create("megc2019_flow", root=".").load("emotion7")
    assert issubclass(OptionError, MicroexpError)
