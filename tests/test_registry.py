from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from microexp.errors import OptionError, UnknownNameError
from microexp.registry import FAMILIES, Card, CardError, Registry

METHODS = [(family, name) for family in FAMILIES for name in Registry(f"microexp.{family}").names()]


@pytest.mark.parametrize(("family", "name"), METHODS)
def test_every_card_is_complete_and_names_a_documented_class(family: str, name: str) -> None:
    registry = Registry(f"microexp.{family}")
    card = registry.card(name)
    assert card.summary.endswith(".")
    assert len(card.summary) < 130
    cls = registry.get(name)
    assert cls.__name__ == card.class_name
    assert cls.__doc__
    for row in card.published:
        assert row["source"]
        assert row["data"]


def test_the_families_hold_what_the_design_promises_so_far() -> None:
    found = {f"{family}/{name}" for family, name in METHODS}
    assert {"datasets/synthetic", "datasets/megc2019_flow"} <= found
    assert {"recognize/linear_svm", "recognize/lbp_top", "recognize/ststnet"} <= found
    assert {"faces/faceapi68", "faces/dlib68", "faces/aligner"} <= found
    assert {f"motion/{m}" for m in ("farneback", "tvl1", "dis", "bidirectional", "strain", "tim")} <= found


def test_every_public_module_of_a_family_is_a_method_or_known_support() -> None:
    support = {"base", "labels", "torch_base", "alignment", "geometry", "regions"}
    support |= {"complexity", "joint", "action_units", "annotated", "long_videos", "lookalike"}
    support |= {"cascade", "degradation", "files", "quality", "resize", "training"}
    for family in FAMILIES:
        registry = Registry(f"microexp.{family}")
        folder = Path(sys.modules["microexp"].__file__ or "").parent / family
        public = {p.stem for p in folder.iterdir() if p.suffix in ("", ".py") and p.name[0] not in "_."}
        assert public - set(registry.names()) <= support


def test_listing_imports_no_method_and_no_torch() -> None:
    code = (
        "import sys; from microexp.registry import FAMILIES, Registry\n"
        "for f in FAMILIES:\n"
        "    r = Registry('microexp.' + f); [r.card(n) for n in r.names()]\n"
        "print([m for m in ('torch', 'cv2', 'sklearn', 'pandas') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'ststnet'"):
        Registry("microexp.recognize").card("ststnett")


def test_an_unknown_parameter_suggests_the_nearest() -> None:
    with pytest.raises(OptionError, match="has no parameter 'epoch'.*Did you mean 'epochs'"):
        Registry("microexp.recognize").create("ststnet", epoch=3)


@pytest.mark.parametrize(
    "literal",
    [
        {"class": "X", "title": "t", "summary": "s.", "takes": "a"},
        {"class": "X", "title": "t", "summary": "s.", "takes": "a", "gives": "b", "colour": "red"},
    ],
)
def test_a_card_with_wrong_keys_is_refused(literal: dict[str, str]) -> None:
    with pytest.raises(CardError, match="gives|colour"):
        Card.from_literal("x", "recognize", literal)


def test_a_method_of_another_package_joins_by_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "otherpackage").mkdir()
    (tmp_path / "otherpackage" / "__init__.py").write_text("")
    (tmp_path / "otherpackage" / "mynet.py").write_text(
        'CARD = {\n    "class": "MyNet",\n    "title": "t",\n    "summary": "s.",\n'
        '    "takes": "a",\n    "gives": "b",\n    "presets": {"small": {"size": 2, "depth": 1}},\n'
        "}\n\n\nclass MyNet:\n    def __init__(self, size=3, depth=9, preset=None):\n"
        "        self.size, self.depth, self.preset = size, depth, preset\n"
    )
    info = tmp_path / "otherpackage-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: otherpackage\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[microexp.recognize]\nmynet = otherpackage.mynet\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("microexp.recognize")
    assert "mynet" in registry.names()
    assert registry.create("mynet", size=5).size == 5
    assert registry.create("mynet", preset="fast").preset == "fast"  # a parameter of the class's own
    made = registry.create("mynet", "small", depth=4)  # what is given goes before the preset
    assert (made.size, made.depth) == (2, 4)
    with pytest.raises(UnknownNameError, match="preset of recognize 'mynet' 'smal'.*small"):
        registry.create("mynet", "smal")


def test_bibtex_has_the_papers_fields() -> None:
    entry = Registry("microexp.recognize").card("ststnet").paper
    assert entry is not None
    text = entry.bibtex("ststnet")
    assert text.startswith("@article{ststnet,")
    assert "doi = {10.1109/FG.2019.8756567}" in text
