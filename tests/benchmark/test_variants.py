from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microexp import recognize, superres
from microexp.benchmark import Plan, SpecError, make_plan, make_tasks
from microexp.benchmark.plan import Task, make_quality_tasks
from microexp.benchmark.spec import parse_spec
from microexp.benchmark.variants import Resize, Variant, make_variants
from microexp.clip import Clip
from microexp.datasets.synthetic import SyntheticFrames
from microexp.superres.cascade import Cascade
from microexp.superres.degradation import GanPaperDegradation
from microexp.superres.resize import matlab_resize
from microexp.weights import write_weights

GRID = """\
title: Small
databases:
  - {name: synthetic, params: {n_subjects: 2, clips_per_subject: 2, size: 64}}
restorations:
  size: 32
  resolutions: [8, 16]
  methods:
    - {label: Bicubic, method: none}
    - {label: Bicubic_restore, method: bicubic}
    - label: EDSR
      method: edsr
      params: {channels: 4, blocks: 1}
      weights: {2: random}
      resolutions: [8]
recognisers:
  - {label: SVM, method: linear_svm}
  - {label: LBP, method: lbp_top}
"""
VARIED = """\
title: Small
databases:
  - {name: synthetic, params: {n_subjects: 2, clips_per_subject: 2, size: 64}}
variants:
  - {label: as it is, factors: {magnification: none, factor: 1}}
  - {label: twice, factors: {magnification: phase, factor: 2}, prepare: ["phase:factor=2"]}
recognisers:
  - {label: SVM, method: linear_svm}
"""


def variants(text: str) -> list[Variant]:
    return make_variants(parse_spec(text, "bad.yaml"))


def clip(height: int, width: int, seed: int = 0) -> Clip:
    frames = np.random.default_rng(seed).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    return Clip.from_array(frames, apex=1, subject="s", database="d", name=f"c{seed}")


def through(variant: Variant, clips: Sequence[Clip]) -> list[Clip]:
    for step in variant.steps:
        clips = step.fit_transform(clips)
    return list(clips)


def test_a_grid_has_the_labels_and_factors_of_the_published_tables() -> None:
    found = [(v.label, v.factors["resolution"], v.factors["superres"]) for v in variants(GRID)]
    assert found == [
        ("32x32", 32, "original"),
        ("Bicubic 8x8", 8, "bicubic"),
        ("Bicubic_restore 8to32", 8, "bicubic_restore"),
        ("EDSR 8to32", 8, "edsr"),
        ("Bicubic 16x16", 16, "bicubic"),
        ("Bicubic_restore 16to32", 16, "bicubic_restore"),
    ]


def test_what_the_clips_of_a_grid_look_like() -> None:
    original, small, restored, cascade, *_ = variants(GRID)
    (source,) = clips = [clip(64, 64)]
    at_size = np.stack([matlab_resize(frame, (32, 32)) for frame in source.frames[:]])
    low = np.stack([matlab_resize(frame, (8, 8)) for frame in at_size])
    np.testing.assert_array_equal(through(original, clips)[0].frames[:], at_size)
    np.testing.assert_array_equal(through(small, clips)[0].frames[:], low)
    back = np.stack([matlab_resize(frame, 4) for frame in low])
    np.testing.assert_array_equal(through(restored, clips)[0].frames[:], back)
    assert isinstance(cascade.steps[-1], Cascade)
    assert [upscaler.scale for upscaler in cascade.steps[-1].upscalers] == [2, 2]
    assert through(cascade, clips)[0].size == (32, 32)


@pytest.mark.parametrize("form", [(20, 50), (32, 32), (100, 70)])
def test_clips_of_any_form_are_brought_to_the_size_first(form: tuple[int, int]) -> None:
    (source,) = clips = [clip(*form)]
    (square,) = Resize(32).fit_transform(clips)
    assert square.size == (32, 32)
    assert (square.apex, square.identity) == (source.apex, source.identity)
    if form == (32, 32):
        assert square is source


def test_another_degradation_and_two_entries_of_one_method() -> None:
    text = GRID.replace("  size: 32", "  size: 32\n  degradation: gan-paper\n  original: false")
    second = "    - {label: EDSR 2, method: edsr, weights: {4: random}, resolutions: [8]}"
    text = text.replace("recognisers:", f"{second}\nrecognisers:")
    found = variants(text)
    assert isinstance(found[0].steps[1], GanPaperDegradation)
    assert through(found[0], [clip(32, 32)])[0].size == (8, 8)
    levels = [v.factors["superres"] for v in found if v.label.startswith("EDSR")]
    assert levels == ["EDSR", "EDSR 2"]


def test_published_weights_bring_their_settings() -> None:
    text = GRID.replace("{2: random}", "{4: starter-edsr}").replace(
        "params: {channels: 4, blocks: 1}", "note: x"
    )
    text = text.replace("      note: x\n", "")
    network = variants(text)[3].steps[-1]
    assert (network.scale, network.channels, network.blocks) == (4, 32, 4)
    assert not variants(text)[3].problem


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  size: 32", "  sizes: 32", r"line 5, restorations.sizes: unknown key .* mean 'size'"),
        ("  size: 32", "  kernel: lanczos", r"line 5, restorations.kernel: unknown kernel"),
        ("  size: 32", "  degradation: jpeg", r"line 5, restorations.degradation: .*'gan-paper'"),
        ("[8, 16]", "[8, 12]", r"line 6, restorations.resolutions\[1\]: .* divide the size, 32.* not 12"),
        ("[8, 16]", "[8, 32]", r"line 6, restorations.resolutions\[1\]: .* not 32"),
        ("[8, 16]", "[8, 8]", r"line 6, restorations.resolutions\[1\]: .* not 8"),
        ("[8, 16]", "[8, 0]", r"line 6, restorations.resolutions\[1\]: .* not 0"),
        ("[8, 16]", "[8.5]", r"line 6, restorations.resolutions\[0\]: .*valid integer"),
        ("resolutions: [8]", "resolutions: [4]", r"line 14, .*methods\[2\].resolutions: .*\[8, 16\]"),
        ("resolutions: [8]", "resolution: [8]", r"line 14, .*methods\[2\].resolution: unknown key"),
        ("method: bicubic", "method: bicubik", r"line 9, .*methods\[1\].method: .* mean 'bicubic'"),
        ("method: none", "method: none, preset: x", r"line 8, .*methods\[0\].preset: "),
        ("label: Bicubic_restore", "label: Bicubic", r"line 9, .*methods\[1\].label: .* already"),
        ("method: bicubic", "method: bicubic, weights: {4: random}", r"line 9, .*weights: bicubic has no"),
        ("{channels: 4, blocks: 1}", "{channel: 4}", r"line 12, .*\[2\].params.channel: .* mean 'channels'"),
        ("{channels: 4, blocks: 1}", "{scale: 4}", r"line 12, .*\[2\].params.scale: .*'weights'"),
        ("method: edsr", "method: edsr\n      preset: larg", r"line 12, .*\[2\].preset: .* mean 'large'"),
        ("{2: random}", "{5: random}", r"line 13, .*\[2\].weights\[5\]: edsr enlarges by 2, 3, .*, not by 5"),
        ("{2: random}", "{3: random}", r"line 13, .*\[2\].weights: an enlargement by 4 is not reached .* 3"),
        ("      weights: {2: random}\n", "", r"line 10, .*methods\[2\]: edsr is a network and needs weights"),
        ("{2: random}", "{2: edsr-x4-mmagic}", r"line 13, .*weights\[2\]: .* is edsr of factor 4"),
        ("{2: random}", "{2: rdn-x2-mmagic}", r"line 13, .*weights\[2\]: 'rdn-x2-mmagic' is rdn"),
        ("{2: random}", "{2: edsr-x2-magic}", r"line 13, .*weights\[2\]: .* mean 'edsr-x2-mmagic'"),
        ("linear_svm", "linear_svm, published: {UF1: .5}", r"line 16, .*published: .*_protocol"),
        ("recognisers:", "variants: [{label: x}]\nrecognisers:", r"line 15, variants: .* either"),
    ],
)  # fmt: skip
def test_a_fault_of_a_grid_is_named_by_line_and_key(old: str, new: str, message: str) -> None:
    assert old in GRID
    with pytest.raises(SpecError, match=f"bad.yaml, {message}"):
        variants(GRID.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("phase:factor=2", "fase", r"line 6, variants\[1\].prepare\[0\]: .* mean 'phase'"),
        ("phase:factor=2", "phase:factor=.5", r"line 6, variants\[1\].prepare\[0\]: .*factor"),
        ("phase:factor=2", "lvmm", r"line 6, variants\[1\].prepare\[0\]: LVMM needs weights"),
        ("phase:factor=2", "lvmm:weights=lvmm-oh", r"line 6, .*prepare\[0\]: .* mean 'lvmm-oh2018'"),
        ("label: twice", "label: as it is", r"line 6, variants\[1\].label: .* already"),
        ("phase, factor: 2", "phase", r"line 6, variants\[1\].factors: .* magnification, factor"),
        ("phase, factor: 2", "none, factor: 1", r"line 6, variants\[1\].factors: .* same factors"),
        ("factor: 2}", "factor: 2.5}", r"line 6, variants\[1\].factors.factor: "),
        ("label: twice", "label: ''", r"line 6, variants\[1\].label: .*at least 1"),
        ("label: twice", "lable: twice", r"line 6, variants\[1\]: the key 'label' is missing"),
    ],
)
def test_a_fault_of_a_variant_is_named_by_line_and_key(old: str, new: str, message: str) -> None:
    assert old in VARIED
    with pytest.raises(SpecError, match=f"bad.yaml, {message}"):
        variants(VARIED.replace(old, new))


def test_published_figures_are_those_of_one_variant() -> None:
    text = GRID.replace("method: lbp_top", "method: lbp_top, published: {UF1: .5}")
    with pytest.raises(SpecError, match=r"line 17, recognisers\[1\].published: .* one variant"):
        parse_spec(f"{text}published_protocol: x\n", "bad.yaml")


def test_jobs_are_databases_by_recognisers_by_variants_and_nothing_is_restored_for_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> Any:
        raise AssertionError("a frame was made")

    monkeypatch.setattr(SyntheticFrames, "read", forbidden)
    for name in ("bicubic", "edsr"):
        monkeypatch.setattr(superres.get(name), "_upscale", forbidden)
    spec = parse_spec(GRID, "grid.yaml")
    tasks = make_tasks(spec, jobs=1)
    labels = [variant.label for variant in make_variants(spec)]
    jobs = [task.job for task in tasks]
    assert [(job.label, job.variant) for job in jobs] == [(r, v) for r in ("SVM", "LBP") for v in labels]
    assert len({job.key for job in jobs}) == len(jobs)
    assert not any(job.problem for job in jobs)
    assert {job.folds for job in jobs} == {2}
    plan = make_plan(spec, tasks)
    assert plan.factors == ["resolution", "superres"]
    assert plan.spec["restorations"]["methods"][0]["resolutions"] == [8, 16]
    assert plan.spec["restorations"]["kernel"] == "matlab"
    plan.write(tmp_path)
    assert Plan.read(tmp_path, "grid") == plan
    assert "Bicubic_restore-8to32" in jobs[2].folder(tmp_path).name


def test_rows_share_the_clips_of_a_variant_but_for_what_they_do_themselves() -> None:
    text = GRID.replace("method: lbp_top", 'method: lbp_top, prepare: ["bicubic:scale=2"]')
    tasks = make_tasks(parse_spec(text, "grid.yaml"), jobs=1)
    svm, lbp = ({t.job.variant: t for t in tasks if t.job.label == name} for name in ("SVM", "LBP"))
    assert sides(lbp["Bicubic 8x8"]) == {16}
    assert sides(svm["Bicubic 8x8"]) == {8}
    assert lbp["Bicubic 8x8"].dataset.fingerprint != svm["Bicubic 8x8"].dataset.fingerprint
    plain = make_tasks(parse_spec(GRID, "grid.yaml"), jobs=1)
    by_variant: dict[str, set[int]] = {}
    for task in plain:
        by_variant.setdefault(task.job.variant, set()).add(id(task.dataset))
    assert all(len(ids) == 1 for ids in by_variant.values())


def sides(task: Task) -> set[int]:
    return {side for clip in task.dataset.clips or () for side in clip.size}


def test_restored_clips_are_measured_against_the_originals_at_the_size() -> None:
    spec = parse_spec(GRID, "grid.yaml")
    found = make_quality_tasks(spec, make_tasks(spec, jobs=1))
    assert [task.variant for task in found] == [
        "Bicubic_restore 8to32",
        "EDSR 8to32",
        "Bicubic_restore 16to32",
    ]
    for task in found:
        assert task.factors["resolution"] in (8, 16)
        for restored, original in zip(task.dataset.clips or (), task.original.clips or (), strict=True):
            assert restored.size == original.size == (32, 32)
            assert restored.identity == original.identity
    assert make_quality_tasks(parse_spec(VARIED, "v"), make_tasks(parse_spec(VARIED, "v"), jobs=1)) == []


def test_weights_that_are_not_here_are_said_and_hinder_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    for source, message in (
        (f"{tmp_path}/edsr.pth", "there is no weight file"),
        ("edsr-x2-mmagic", "microexp weights get edsr-x2-mmagic"),
    ):
        spec = parse_spec(GRID.replace("{2: random}", f'{{2: "{source}"}}'), "grid.yaml")
        tasks = make_tasks(spec, jobs=1)
        problems = {task.job.variant: task.job.problem for task in tasks if task.job.problem}
        assert list(problems) == ["EDSR 8to32"]
        assert "grid.yaml, line 13, restorations.methods[2].weights[2]: " in problems["EDSR 8to32"]
        assert message in problems["EDSR 8to32"]
        assert "EDSR 8to32" not in [task.variant for task in make_quality_tasks(spec, tasks)]
        assert len({task.job.key for task in tasks}) == len(tasks)


def test_weights_of_another_content_make_other_data(tmp_path: Path) -> None:
    file = tmp_path / "edsr.safetensors"
    spec = parse_spec(GRID.replace("{2: random}", f'{{2: "{file}"}}'), "grid.yaml")

    def data(seed: int | None) -> set[str]:
        if seed is not None:
            options = {"channels": 4, "blocks": 1, "weights": "random", "random_state": seed}
            network = superres.create("edsr", scale=2, **options)
            write_weights(file, network.module().state_dict(), network.description())
        tasks = make_tasks(spec, jobs=1)
        return {task.dataset.fingerprint for task in tasks if task.job.variant == "EDSR 8to32"}

    first = data(seed=0)
    file.touch()
    assert data(seed=None) == first
    assert not data(seed=1) & first


def test_variants_named_one_by_one() -> None:
    tasks = make_tasks(parse_spec(VARIED, "v.yaml"), jobs=1)
    assert [(t.job.variant, t.job.factors) for t in tasks] == [
        ("as it is", {"magnification": "none", "factor": 1}),
        ("twice", {"magnification": "phase", "factor": 2}),
    ]
    plain, strong = (task.dataset.clips[0].key_frame("apex") for task in tasks if task.dataset.clips)
    assert plain.shape == strong.shape
    assert (plain != strong).any()


@pytest.mark.parametrize("name", sorted(recognize.names()))
@pytest.mark.parametrize("side", [8, 16])
def test_every_recogniser_takes_clips_as_small_as_these(name: str, side: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (9, side, side, 3), dtype=np.uint8)
    features = recognize.create(name).features([Clip.from_array(frames, apex=4, offset=8)])
    assert len(features) == 1
    assert np.isfinite(features).all()
