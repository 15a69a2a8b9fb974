"""Distances of magnified apex frames to unmagnified ones, from the spec to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from microexp.benchmark import SpecError, make_plan, make_quality_tasks, make_tasks, run, write_reports
from microexp.benchmark.quality import SetDistances, read_distances, read_quality, weights_sha256
from microexp.benchmark.run import failures
from microexp.benchmark.spec import load_spec, parse_spec
from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.errors import DataError, WeightsError
from microexp.evaluate.engines import make_engine
from microexp.evaluate.frechet import frechet_distance, kernel_distance
from microexp.networks import inception
from microexp.weights import catalogue, write_weights

TEXT = """\
title: Small
databases:
  - {name: synthetic, labels: megc3, params: {n_subjects: 3, clips_per_subject: 3, size: 64}}
variants:
  - {label: as it is, factors: {magnification: none, cascade: 0}}
  - {label: twice, factors: {magnification: phase, cascade: 1}, prepare: ["phase:factor=2"]}
  - {label: net, factors: {magnification: lvmm3, cascade: 1}, prepare: ["lvmm:weights=none.pth"]}
set_distance: {weights: WEIGHTS}
recognisers:
  - {label: large, method: linear_svm, prepare: ["bicubic:scale=2"]}
  - {label: plain, method: linear_svm}
"""
SERIAL = make_engine("serial")


def dataset(seed: int, databases: Iterable[str] = "ddd") -> Dataset:
    """Clips whose apex frame, the second, alone differs between seeds."""
    rng, clips = np.random.default_rng(seed), []
    for i, database in enumerate(databases):
        frames = np.zeros((3, 24, 24, 3), np.uint8)
        frames[1] = rng.integers(0, 256, frames[1].shape)
        clips.append(Clip.from_array(frames, apex=1, database=database, subject="s", name=str(i)))
    table = pd.DataFrame(
        {"database": [c.database for c in clips], "subject": "s", "emotion": "e", "label": 0}
    )
    return Dataset(table.assign(clip=[c.name for c in clips]), ("e",), clips=clips)


def task(first: Dataset, second: Dataset, weights: Path, database: str = "d") -> SetDistances:
    factors = {"magnification": "phase", "cascade": 1}
    about = (database, "twice", factors)
    return SetDistances(*about, first, second, str(weights), weights_sha256(str(weights)))


def small_features(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Twelve numbers a picture."""
    return np.stack([p[:: len(p) // 2, :: len(p) // 2].ravel() for p in pictures]) / 255


@pytest.fixture
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A quick function in place of the network, and an empty cache; how often weights were loaded."""
    loaded: list[str] = []
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(inception, "load", lambda weights, device: loaded.append(weights))
    monkeypatch.setattr(
        inception, "picture_features", lambda module, pictures, layers: {"mixed5": small_features(pictures)}
    )
    return loaded


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that no network reads."""
    file = tmp_path / "inception.safetensors"
    file.write_bytes(b"weights")
    return file


def apexes(data: Dataset) -> list[np.ndarray]:
    return [clip.key_frame("apex") for clip in data.clips or ()]


def test_distances_are_those_of_the_apex_frames_by_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = inception.Inception().eval()
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(part.weight)
    file = tmp_path / "w.safetensors"
    write_weights(file, module.state_dict(), inception.InceptionNetwork().description())
    first, second = dataset(0), dataset(1)
    one = task(first, second, file)
    one.run(tmp_path)
    (found,) = read_distances(tmp_path, [one.key]).to_dict("records")
    features = [inception.picture_features(module, apexes(data))["mixed5"] for data in (first, second)]
    frechet = frechet_distance(*features)
    assert frechet.value > 0.01
    assert found["FD-768"] == pytest.approx(frechet.value, rel=1e-4)
    assert found["KID-768"] == pytest.approx(kernel_distance(*features).value, rel=1e-4)
    assert (found["part"], found["pictures"], found["singular"]) == ("d", 3, True)
    assert (found["database"], found["variant"], found["cascade"]) == ("d", "twice", 1)


@pytest.mark.usefixtures("loads")
def test_parts_of_a_composite_database_are_sets_of_their_own(tmp_path: Path, weights: Path) -> None:
    names = np.array(["casme2", "samm", "casme2", "smic", "samm"])
    first, second = dataset(0, names), dataset(1, names)
    one = task(first, second, weights, "megc2019")
    one.run(tmp_path)
    found = read_distances(tmp_path, [one.key]).set_index("part")
    assert found["pictures"].to_dict() == {"megc2019": 5, "casme2": 2, "samm": 2}  # of smic there is one clip
    for part, row in found.iterrows():
        chosen = names == part if part != "megc2019" else np.full(5, True)
        features = [small_features(apexes(data))[chosen] for data in (first, second)]
        assert row["FD-768"] == pytest.approx(frechet_distance(*features).value, rel=1e-9)
        assert row["KID-768"] == pytest.approx(kernel_distance(*features).value, rel=1e-9)


def test_a_set_is_described_once_however_often_it_is_compared(
    tmp_path: Path, weights: Path, loads: list[str]
) -> None:
    plain = dataset(0)
    for seed in (1, 2):
        task(dataset(seed), plain, weights).run(tmp_path)
    assert len(loads) == 3
    weights.write_bytes(b"others")
    other = task(dataset(1), plain, weights)
    assert not other.is_done(tmp_path)
    other.run(tmp_path)
    assert len(loads) == 5
    assert other.key != task(dataset(2), plain, weights).key


@pytest.mark.usefixtures("loads")
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(tmp_path: Path, weights: Path) -> None:
    for first, second, message in (
        (dataset(0), dataset(0, "dd"), "the 3 clips of twice are not the 2 originals"),
        (dataset(0, "d"), dataset(1, "d"), "sets of 1 and 1 pictures have no distance"),
    ):
        with pytest.raises(DataError, match=message):
            task(first, second, weights).run(tmp_path)
    missing = tmp_path / "none.safetensors"
    with pytest.raises(WeightsError, match=f"there is no weight file {missing}"):
        task(dataset(0), dataset(1), missing).run(tmp_path)
    assert not list(tmp_path.rglob("*.json"))


def test_each_magnified_variant_that_can_run_is_compared_with_the_unmagnified_one_as_the_first_row_sees_it(
    weights: Path,
) -> None:
    spec = parse_spec(TEXT.replace("WEIGHTS", str(weights)), "small.yaml")
    tasks = make_tasks(spec, 1)
    (one,) = make_quality_tasks(spec, tasks)
    assert (one.variant, one.factors) == ("twice", {"magnification": "phase", "cascade": 1})
    assert [made.job.variant for made in tasks if made.job.problem] == ["net", "net"]
    assert (one.dataset, one.original) == (tasks[1].dataset, tasks[0].dataset)
    assert {clip.size for clip in one.original.clips or ()} == {(128, 128)}
    assert make_plan(spec, tasks).qualities == [one.key]


@pytest.mark.usefixtures("loads")
def test_weights_that_are_not_here_stop_nothing_and_once_they_are_the_distances_come(tmp_path: Path) -> None:
    out, text = tmp_path / "out", TEXT.replace("WEIGHTS", "inception-nsfwjs")
    for left_out in ("{label: net", "{label: large"):
        text = text.replace(f"  - {left_out}", "#")

    def go() -> tuple[set[str], list[tuple[str, str]], Callable[[str], str]]:
        spec = parse_spec(text, "small.yaml")
        tasks = make_tasks(spec, 1)
        plan, qualities = make_plan(spec, tasks), make_quality_tasks(spec, tasks)
        found = run(plan, tasks, out, qualities=qualities, engine=SERIAL)
        write_reports(plan, out)
        failed = failures((quality.key for quality in qualities), out)
        return {state.status for state in found}, failed, lambda name: (out / name).read_text()

    statuses, ((label, reason),), written = go()
    assert statuses == {"done"}
    assert label == "set distance of twice on synthetic"
    assert "microexp weights get inception-nsfwjs" in reason
    assert f"Not measured: {reason}." in written("report.html").replace("&#39;", "'")
    file = catalogue.entry("inception-nsfwjs").file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")

    statuses, failed, written = go()
    assert (statuses, failed) == ({"done"}, [])
    (result,) = (out / "quality").iterdir()
    csv = pd.read_csv(out / "distances.csv")
    assert csv["file"].tolist() == [f"quality/{result.name}"]
    assert csv[["variant", "part", "pictures"]].to_numpy().tolist() == [["twice", "synthetic", 9]]
    for name in ("report.html", "table.tex"):
        assert "Frechet distance and KID to the unmagnified apex frames" in written(name)
        assert f"{csv['FD-768'][0]:.2f}" in written(name)
        assert "synthetic 9, singular" in written(name)
    before = result.stat().st_mtime_ns
    go()
    assert result.stat().st_mtime_ns == before
    result.write_text("{")
    go()
    assert pd.read_csv(out / "distances.csv").equals(csv)
    assert read_quality(out, [result.stem]).empty


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{weights: WEIGHTS}", "{}", r"line 8, set_distance: the key 'weights' is missing"),
        ("{weights: WEIGHTS}", "{weights: x, layer: y}", r"line 8, set_distance.layer: unknown key 'layer'"),
        ("{weights: WEIGHTS}", "{weights: 3}", r"line 8, set_distance.weights: .*string, not 3"),
        ("magnification: none", "magnification: weak", r"line 8, set_distance: needs one variant .* none"),
        ("magnification: phase", "magnification: none", r"line 8, set_distance: needs one variant .* none"),
        ("WEIGHTS", "inception-nsfw", r"line 8, set_distance.weights: .* mean 'inception-nsfwjs'"),
        ("WEIGHTS", "starter-edsr", r"line 8, set_distance.weights: 'starter-edsr' is edsr, not inception"),
    ],
)
def test_a_fault_is_named_by_line_and_key(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(SpecError, match=f"bad.yaml, {message}"):
        make_tasks(parse_spec(TEXT.replace(old, new), "bad.yaml"), 1)


def test_the_shipped_spec_on_magnification_asks_for_them() -> None:
    spec = load_spec("magnification")
    assert spec.set_distance is not None
    assert catalogue.entry(spec.set_distance.weights).method == "inception"
