"""Write ``docs/methods/``: an index and a page for each family of methods, from their cards.

Run it from anywhere::

python scripts/method_pages.py           write the pages
python scripts/method_pages.py --check   write nothing; exit 1 and name the pages that are not what cards say
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from microexp.magnify._network import NetworkMagnifier
from microexp.recognize.complexity import (
    Complexity,
    complexity,
    count_parameters,
    magnification_complexity,
    restoration_complexity,
)
from microexp.recognize.torch_base import TorchRecognizer
from microexp.registry import FAMILIES, Card, Paper
from microexp.superres._network import NetworkUpscaler

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "methods"
MADE = "<!-- Made of the cards by scripts/method_pages.py; do not edit. -->\n"
N_CLASSES = 3
NONE = "–"
# Family -> title of its page, and what its methods do. Databases have a page of their own, docs/databases.md.
TITLES = {
    "recognize": ("Recognisers", "Classifiers of clips: `fit`, `predict`, `predict_proba`."),
    "superres": (
        "Super-resolution",
        "Transformers of clips to larger ones: `transform`, and `upscale` for pictures. Networks need "
        "weights: `microexp weights list`, or `microexp train superres`.",
    ),
    "magnify": (
        "Magnification",
        "Transformers of clips to stronger ones: `transform`, and `magnify` for pictures. Networks need "
        "weights: `microexp weights list`, or `microexp train magnify`.",
    ),
    "motion": ("Motion", "Transformers of clips, or of flow: `transform`."),
    "faces": ("Faces", "Detectors and the aligner; [how exact they are](../faces.md)."),
}
INTRODUCTION = f"""# Methods

One file each, and a card in it, of which these pages are made (`microexp list` shows the cards,
`microexp cite` the papers). Parameters and multiply-adds are counted on the network itself, at the method's
defaults: of a recogniser for one clip and {N_CLASSES} classes, of super-resolution for one frame of 64x64
pixels, of magnification for one of 112x112. Multiply-adds are those of convolutions and matrix products and
of nothing else (`microexp.recognize.complexity`). What was measured here is in
[Measured figures](../results.md); databases are in [Databases](../databases.md).
"""
LEGEND = f"""*Size* is counted here, of a recogniser for one clip and {N_CLASSES} classes, of super-resolution
for one frame of 64x64 pixels, of magnification for one of 112x112; multiply-adds of convolutions and matrix
products only. *Published figures* are as their sources print them and were not made here: ours are in
[Measured figures](../results.md). *Defaults* are those of the constructor; in brackets what `None` stands for
in the recipe. *Presets* are settings by name: `--preset NAME`, or the second argument of `create`.
"""
FIRST, LAST = ("source", "data"), ("protocol",)  # columns of published figures; others stand between
COUNTS = ("parameters", "multiply_adds")
RIGHT = ("parameters", "multiply-adds")  # columns of numbers


def main() -> int:
    """Write the pages, or compare them with the cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare")
    if parser.parse_args().check:
        found = stale(pages())
        for file in found:
            print(f"{file}: not what the cards say; run python scripts/method_pages.py", file=sys.stderr)
        return 1 if found else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = pages()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for name in strangers(made):
        (FOLDER / name).unlink()
    return 0


def stale(made: Mapping[str, str]) -> list[str]:
    """Return the paths of the pages that are missing, differ from those made or should not be there."""
    files = {name: FOLDER / name for name in made}
    differ = [n for n, f in files.items() if not f.is_file() or f.read_text(encoding="utf-8") != made[n]]
    return [f"docs/methods/{name}" for name in sorted([*differ, *strangers(made)])]


def strangers(made: Mapping[str, str]) -> list[str]:
    """Return the names of pages in the folder that no family has."""
    return sorted(file.name for file in FOLDER.glob("*.md") if file.name not in made)


def pages() -> dict[str, str]:
    """Return file name -> text of all pages."""
    made, parts = {}, []
    for family in sorted(set(FAMILIES) - {"datasets"}, key=[*TITLES, *FAMILIES].index):
        cards = own_cards(family)
        sizes = {card.name: count(card) for card in cards}
        made[f"{family}.md"] = family_page(family, cards, sizes)
        parts.append(f"## {title_of(family)}\n\n{overview(family, cards, sizes)}")
    made["index.md"] = MADE + "\n".join([INTRODUCTION, *parts])
    return made


def own_cards(family: str) -> list[Card]:
    """Return the cards of the methods that come with microexp, by name; others may be installed beside it."""
    registry = import_module(f"microexp.{family}")
    own = [name for name in registry.names() if registry.get(name).__module__.startswith("microexp.")]
    return [registry.card(name) for name in own]


def is_network(card: Card) -> bool:
    """Whether a method is a network."""
    return issubclass(class_of(card), TorchRecognizer | NetworkUpscaler | NetworkMagnifier)


def class_of(card: Card) -> type:
    """Return the class of a method."""
    found: type = import_module(f"microexp.{card.family}").get(card.name)
    return found


def count(card: Card) -> Complexity | None:
    """Return the counts of a network at its defaults; None of what is no network."""
    if not is_network(card):
        return None
    method = class_of(card)()
    if isinstance(method, NetworkUpscaler):
        return restoration_complexity(method)
    if isinstance(method, NetworkMagnifier):
        return magnification_complexity(method)
    return complexity(method, N_CLASSES)


def title_of(family: str) -> str:
    """Return the title of a family's page."""
    return TITLES.get(family, (family.capitalize(), ""))[0]


def overview(family: str, cards: Sequence[Card], sizes: Mapping[str, Complexity | None]) -> str:
    """Return the table of a family."""
    rows = []
    for card in cards:
        counted = sizes[card.name]
        parameters = counted.parameters if counted else card.parameters
        rows.append(
            {
                "name": f"[`{card.name}`]({family}.md#{card.name})",
                "method": plain(card.title),
                "year": str(card.paper.year) if card.paper else "",
                "parameters": f"{parameters:,}" if parameters else "",
                "multiply-adds": short(counted.multiply_adds) if counted else "",
            }
        )
    return table(rows, RIGHT)


def family_page(family: str, cards: Iterable[Card], sizes: Mapping[str, Complexity | None]) -> str:
    """Return the page of a family."""
    lead = TITLES.get(family, ("", ""))[1]
    sections = (section(card, sizes[card.name]) for card in cards)
    return MADE + "\n".join([f"# {title_of(family)}\n", f"{lead}\n", LEGEND, *sections])


def section(card: Card, counted: Complexity | None) -> str:
    """Return what a family's page says of one method."""
    parts = [
        f"## {card.name}",
        f"**{plain(card.title)}.** {plain(card.summary)}",
        "\n".join(f"- {line}" for line in facts(card)),
        "**To run it**",
        usage(card),
        *titled("Size", table(size_rows(card, counted), RIGHT)),
        *titled("Published figures", table(figure_rows(card))),
        *titled("Defaults", table(default_rows(card))),
        *titled("Presets", table(preset_rows(card), RIGHT)),
        *titled("What differs and why", "\n".join(f"- {plain(note)}" for note in card.notes)),
    ]
    return "\n\n".join(parts) + "\n"


def titled(title: str, text: str) -> Iterator[str]:
    """Give a title and a text, or nothing where there is no text."""
    if text:
        yield from (f"**{title}**", text.rstrip())


def facts(card: Card) -> Iterator[str]:
    """Give input, output, source and licence."""
    yield f"Takes: {plain(card.takes)}"
    yield f"Gives: {plain(card.gives)}"
    yield f"Paper: {reference(card.paper)}" if card.paper else "Paper: none of its own"
    weights = f"; weights: {card.weights_licence}" if card.weights_licence else ""
    yield f"Licence: {plain(card.licence + weights)}"


def reference(paper: Paper) -> str:
    """Return authors, title, venue, year and a link."""
    authors = "; ".join(paper.authors.split(" and "))
    text = plain(f"{authors}: {paper.title}. {paper.venue}, {paper.year}")
    if paper.doi:
        return f"{text}, [doi:{paper.doi}](https://doi.org/{paper.doi})"
    return f"{text}, <{paper.url}>" if paper.url else text


def usage(card: Card) -> str:
    """Return the commands and the Python of a method."""
    lines = []
    if card.family == "recognize":
        lines.append(f"microexp evaluate {card.name} --database synthetic")
        lines += [f"{lines[0]} --preset {preset}" for preset in list(card.presets)[:1]]
    elif card.family == "superres":
        weights = " --weights FILE" if is_network(card) else ""
        lines.append(f"microexp upscale face.png --method {card.name}{weights} --out large.png")
    elif card.family == "magnify":
        onset = " --onset onset.png" if class_of(card).needs_onset else ""
        weights = " --weights FILE" if is_network(card) else ""
        lines.append(f"microexp magnify apex.png{onset} --method {card.name}{weights} --out strong.png")
    elif card.takes.startswith("clips") and card.gives.startswith("clips"):  # a step, as `create_step` has it
        lines.append(f"microexp evaluate linear_svm --database synthetic --prepare {card.name}")
    lines.append(f"microexp cite {card.name}")
    code = f'from microexp import {card.family}\n\nmethod = {card.family}.create("{card.name}")'
    return "```text\n" + "\n".join(lines) + f"\n```\n\n```python\n{code}\n```"


def size_rows(card: Card, counted: Complexity | None) -> list[dict[str, str]]:
    """Return the counts made here, and beside them those that were published."""
    rows = []
    if counted:
        rows.append(
            {
                "counted": "here",
                "parameters": f"{counted.parameters:,}",
                "multiply-adds": short(counted.multiply_adds),
                "input": " x ".join(map(str, counted.input_shape)),
            }
        )
    elif card.parameters:
        rows.append({"counted": "here", "parameters": f"{card.parameters:,}"})
    for row in card.published:
        printed = {key.replace("_", "-"): figure(row[key]) for key in COUNTS if key in row}
        if printed:
            rows.append({"counted": plain(str(row["source"])), **printed})
    return rows


def figure_rows(card: Card) -> list[dict[str, str]]:
    """Return the published figures; numbers of a column have equally many decimals."""
    keys = dict.fromkeys(key for row in card.published for key in row)
    keys = [
        *FIRST,
        *(key for key in keys if key not in (*FIRST, *LAST)),
        *(key for key in LAST if key in keys),
    ]
    places = {
        key: max((decimals(row[key]) for row in card.published if key in row), default=0) for key in keys
    }
    return [{key: figure(row.get(key, ""), places[key]) for key in keys} for row in card.published]


def preset_rows(card: Card) -> list[dict[str, str]]:
    """Return the presets: what they set, and how many parameters a network then has."""
    create = import_module(f"microexp.{card.family}").create
    rows = []
    for name, settings in card.presets.items():
        text = ", ".join(code(f"{key}={value!r}") for key, value in settings.items())
        rows.append({"preset": code(name), "settings": text or "the defaults"})
        if is_network(card):
            rows[-1]["parameters"] = f"{count_parameters(create(card.name, name), N_CLASSES):,}"
    return rows


def default_rows(card: Card) -> list[dict[str, str]]:
    """Return the constructor's parameters with their defaults, and the recipe's value where that is None."""
    cls = class_of(card)
    recipe = cls().recipe() if issubclass(cls, TorchRecognizer) else None
    rows = []
    for name, parameter in inspect.signature(cls).parameters.items():
        default = code(repr(parameter.default))
        if parameter.default is None and getattr(recipe, name, None) is not None:
            default += f" ({code(repr(getattr(recipe, name)))})"
        rows.append({"parameter": f"`{name}`", "default": default})
    return rows


def table(rows: Sequence[Mapping[str, str]], right: Iterable[str] = ()) -> str:
    """Return a Markdown table of the columns that hold anything; "" if there is no row."""
    keys = [key for key in dict.fromkeys(k for row in rows for k in row) if any(row.get(key) for row in rows)]
    if not keys:
        return ""
    lines = [keys, ["---:" if key in right else "---" for key in keys]]
    lines += [[row.get(key) or NONE for key in keys] for row in rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def plain(text: str) -> str:
    """Return the text so that Markdown shows it as it is; code stays code, pages of the docs become links."""
    parts = text.split("`")
    for k in range(0, len(parts), 2):
        shown = re.sub(r"([*]|(?<!\w)_|_(?!\w))", r"\\\1", parts[k]).replace("<", "&lt;")
        parts[k] = re.sub(r"docs/(\w+\.md)", r"[\g<0>](../\1)", shown)
    return "`".join(parts)


def code(text: str) -> str:
    """Return the text as code."""
    return f"`{text}`"


def figure(value: Any, places: int = 0) -> str:
    """Return a value of a card: a fraction with so many decimals, a whole number with its thousands apart."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return plain(str(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:.{places}f}"


def decimals(value: Any) -> int:
    """Return how many decimals a fraction is given with."""
    return len(repr(value).partition(".")[2]) if isinstance(value, float) else 0


def short(number: int) -> str:
    """Return a large number with three digits, in thousands (k), millions (M) or thousand millions (G)."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            places = max(0, 3 - len(str(number // size)))
            return f"{number / size:.{places}f} {unit}"
    return str(number)


if __name__ == "__main__":
    sys.exit(main())
