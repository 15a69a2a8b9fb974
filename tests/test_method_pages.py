"""The pages of methods are what the cards say, and lead where they say."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from scripts import method_pages
from typer.testing import CliRunner

from microexp import recognize
from microexp.cli import app
from microexp.recognize.complexity import Complexity
from microexp.registry import Card

ROOT = Path(__file__).parents[1]
Made = dict[str, str]


@pytest.fixture(scope="module")
def made() -> Made:
    return method_pages.pages()


@pytest.fixture(scope="module")
def methods() -> dict[str, list[str]]:
    families = ("recognize", "superres", "motion", "faces")
    return {family: [card.name for card in method_pages.own_cards(family)] for family in families}


def card(**values: object) -> Card:
    literal = {"class": "X", "title": "t", "summary": "s.", "takes": "a", "gives": "b", **values}
    return Card.from_literal("x", "recognize", literal)


def test_the_pages_of_the_repository_are_those_of_its_cards(made: Made) -> None:
    assert method_pages.stale(made) == []


def test_pages_that_are_not_those_of_the_cards_are_named(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(method_pages, "pages", lambda: made)
    monkeypatch.setattr(method_pages, "FOLDER", tmp_path / "methods")
    monkeypatch.setattr(sys, "argv", ["method_pages.py"])
    assert method_pages.main() == 0
    assert method_pages.stale(made) == []
    (tmp_path / "methods" / "motion.md").write_text("older", encoding="utf-8")
    (tmp_path / "methods" / "faces.md").unlink()
    (tmp_path / "methods" / "gone.md").touch()
    monkeypatch.setattr(sys, "argv", ["method_pages.py", "--check"])
    assert method_pages.main() == 1
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in said] == [
        f"docs/methods/{x}.md" for x in ("faces", "gone", "motion")
    ]
    monkeypatch.setattr(sys, "argv", ["method_pages.py"])
    assert method_pages.main() == 0
    assert sorted(p.name for p in (tmp_path / "methods").iterdir()) == sorted(made)


def test_every_method_has_its_row_and_its_section(made: Made, methods: dict[str, list[str]]) -> None:
    for family, names in methods.items():
        assert re.findall(r"^## (\w+)$", made[f"{family}.md"], re.MULTILINE) == names
        assert re.findall(rf"\({family}\.md#(\w+)\)", made["index.md"]) == names


def test_the_index_has_the_counts_of_the_cards(made: Made) -> None:
    assert re.search(
        r"^\| \[`off_apexnet`\].*\| 2019 \| 2,664,475 \| 3\.83 M \|$", made["index.md"], re.MULTILINE
    )


def test_the_rows_of_a_table_are_as_long_as_its_head(made: Made) -> None:
    for text in made.values():
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_the_python_on_the_pages_runs(made: Made, methods: dict[str, list[str]]) -> None:
    for family, names in methods.items():
        blocks = re.findall(r"```python\n(.*?)```", made[f"{family}.md"], re.DOTALL)
        assert len(blocks) == len(names)
        for block in blocks:
            exec(block, {})


def test_every_method_can_be_cited(methods: dict[str, list[str]]) -> None:
    answer = CliRunner().invoke(app, ["cite", *(name for names in methods.values() for name in names)])
    assert answer.exit_code == 0, answer.output


def test_the_navigation_leads_to_every_page() -> None:
    nav = str(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"'([\w/]+\.md)'", nav)) == pages


def test_links_lead_to_pages_that_exist(made: Made) -> None:
    for text in made.values():
        for target in re.findall(r"\]\((?!https?:)([\w./]+)", text):
            assert (ROOT / "docs" / "methods" / target).is_file(), target


def test_published_figures_have_the_keys_as_columns_and_the_decimals_of_their_source() -> None:
    rows = (
        {"source": "T1", "protocol": "leaks", "data": "all", "UF1": 0.909, "clips": 1442},
        {"source": "T2", "data": "part", "UF1": 0.9103, "UAR": 0.5},
    )
    assert method_pages.figure_rows(card(published=rows)) == [
        {"source": "T1", "data": "all", "UF1": "0.9090", "clips": "1,442", "UAR": "", "protocol": "leaks"},
        {"source": "T2", "data": "part", "UF1": "0.9103", "clips": "", "UAR": "0.5", "protocol": ""},
    ]


def test_published_counts_stand_beside_ours() -> None:
    rows = (
        {"source": "paper", "data": "all", "parameters": 1670},
        {"source": "log", "data": "all", "UF1": 0.7},
    )
    one = card(published=rows, parameters=1683)
    paper = {"counted": "paper", "parameters": "1,670"}
    assert method_pages.size_rows(one, None) == [{"counted": "here", "parameters": "1,683"}, paper]
    counted = {"counted": "here", "parameters": "1,683", "multiply-adds": "390 k", "input": "3 x 28 x 28"}
    assert method_pages.size_rows(one, Complexity(1683, 390_000, (3, 28, 28))) == [counted, paper]


def test_presets_have_their_settings() -> None:
    one = card(presets={"paper": {"C": 60, "class_weight": None}, "same": {}})
    assert method_pages.preset_rows(replace(one, name="linear_svm")) == [
        {"preset": "`paper`", "settings": "`C=60`, `class_weight=None`"},
        {"preset": "`same`", "settings": "the defaults"},
    ]


def test_presets_of_a_network_have_their_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognize, "create", lambda name, preset: recognize.get(name)(maps=64, pool=7))
    one = replace(card(presets={"large": {"maps": 64, "pool": 7}}), name="rcn_a")
    assert method_pages.preset_rows(one) == [
        {"preset": "`large`", "settings": "`maps=64`, `pool=7`", "parameters": "55,747"}
    ]


def test_defaults_that_are_none_show_the_recipe() -> None:
    defaults = {
        row["parameter"]: row["default"] for row in method_pages.default_rows(recognize.card("ststnet"))
    }
    assert defaults["`epochs`"] == "`None` (`800`)"
    assert defaults["`motion`"] == "`None`"
    assert defaults["`random_state`"] == "`0`"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (999, "999"),
        (390_000, "390 k"),
        (3_833_280, "3.83 M"),
        (46_946_112, "46.9 M"),
        (4_472_300_000, "4.47 G"),
    ],
)
def test_large_numbers_have_three_digits(number: int, text: str) -> None:
    assert method_pages.short(number) == text


def test_signs_of_markdown_are_shown_as_they_are() -> None:
    assert method_pages.plain("a * b, u_x, _x, <subject>") == r"a \* b, u_x, \_x, &lt;subject>"
    assert method_pages.plain("`a * _b` in docs/apex.md") == "`a * _b` in [docs/apex.md](../apex.md)"
