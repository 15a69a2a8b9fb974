from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from microexp import magnify
from microexp.cli import app
from microexp.clip import Clip
from microexp.datasets.synthetic import Synthetic
from microexp.errors import DataError, MicroexpError, OptionError, WeightsError
from microexp.faces.aligner import FaceAligner
from microexp.frames.write import write_picture
from microexp.magnify._flow_fields import in_pixels, warp
from microexp.magnify._single_image import TERMS, SingleImageModule, ssim
from microexp.magnify.single_image import GENERATORS, SingleImage
from microexp.networks.tensors import to_tensor
from microexp.train.magnification import Triples
from microexp.train.magnification_data import drawn_triple
from microexp.weights import write_weights
from tests.magnify.test_generator import count, vgg_file

STARTER = "starter-single-image"
SMALL = {"width": 0.125, "blocks": 1, "flow_channels": 8, "size": 32, "weights": "random"}


def picture(height: int = 40, width: int = 36, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def moving(**settings: object) -> SingleImage:
    """Return a method whose network makes flows large enough to be seen."""
    method = SingleImage(**{**SMALL, **settings})  # type: ignore[arg-type]
    with torch.no_grad():
        method.module().flow_magnifier.gain.fill_(3.0)
        method.module().decoder.head.weight.mul_(40)
    return method


def triples(side: int = 32, count: int = 2) -> Triples:
    generator = torch.Generator().manual_seed(0)
    faces = torch.nn.functional.interpolate(torch.rand(3 * count, 3, 8, 8, generator=generator), (side, side))
    flow = torch.rand(count, 2, side, side, generator=generator)
    return Triples(*faces.chunk(3), torch.full((count,), torch.nan), flow)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (magnify.card("single_image").presets["paper"], 4_240_000 + 3_000_512 + 2 * 11_378_819 + 4_022_915),
        ({"norm": "none"}, 267_424 + 189_488 + 2 * 458_179 + 1_006_915),
        ({"norm": "none", "generator": "warp"}, 267_424 + 189_488 + 1_006_915),
        ({"width": 0.5, "blocks": 4, "norm": "none"}, 1_063_232 + 752_736 + 2 * 1_821_827 + 1_006_915),
    ],
)
def test_the_network_has_as_many_parameters_as_specified(settings: dict[str, object], wanted: int) -> None:
    with torch.device("meta"):
        assert count(SingleImage(**settings).build()) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("generator", GENERATORS)
@pytest.mark.parametrize("k", [8, 12, 16])
def test_every_stage_has_its_shape(generator: str, k: int) -> None:
    module = SingleImage(**{**SMALL, "generator": generator, "k": k}).module()  # type: ignore[arg-type]
    with torch.inference_mode():
        made = module(torch.rand(2, 3, 50, 40))
    for name, value in made._asdict().items():
        assert value.shape == ((2, 2, k, k) if name.startswith("flow") else (2, 3, 50, 40)), name


@pytest.mark.parametrize("generator", ["residual", "warp"])
def test_without_generators_or_before_they_learn_pictures_are_only_warped(generator: str) -> None:
    module, pictures = moving(generator=generator).module(), torch.rand(2, 3, 50, 40)
    with torch.inference_mode():
        made = module(pictures)
        assert float(made.flow_mag.abs().max()) > 0.01
        assert torch.allclose(made.neutral, warp(pictures, made.flow_fw), atol=1e-6)
        assert torch.allclose(made.reexpressed, warp(made.neutral, made.flow_bw), atol=1e-6)
        assert torch.allclose(made.magnified, warp(pictures, made.flow_mag), atol=1e-6)
        assert torch.equal(module.magnify(pictures), made.magnified)


def test_features_of_the_neutral_face_are_what_is_reexpressed() -> None:
    module = moving(generator="paper").module()
    with torch.inference_mode():
        pictures = torch.rand(1, 3, 32, 32)
        made = module(pictures)
        again = module.generator_exp(*module.features(made.neutral), made.flow_bw)
        assert torch.allclose(made.reexpressed, again, atol=1e-5)


@pytest.mark.parametrize("generator", ["residual", "warp"])
def test_the_picture_itself_is_moved_at_its_own_size(generator: str) -> None:
    method, large = moving(generator=generator), picture(96, 120)
    stages = method.intermediates(large)
    flow = torch.from_numpy(stages.flow_mag)
    columns, rows = np.meshgrid(np.arange(120), np.arange(96))
    inside = (columns + stages.flow_mag[..., 0] >= 0) & (columns + stages.flow_mag[..., 0] <= 118)
    inside &= (rows + stages.flow_mag[..., 1] >= 0) & (rows + stages.flow_mag[..., 1] <= 94)
    x = columns + stages.flow_mag[..., 0]
    y = rows + stages.flow_mag[..., 1]
    x0, y0 = np.floor(x[inside]).astype(int), np.floor(y[inside]).astype(int)
    a, b = (x[inside] - x0)[:, None], (y[inside] - y0)[:, None]
    wanted = (1 - b) * ((1 - a) * large[y0, x0] + a * large[y0, x0 + 1])
    wanted += b * ((1 - a) * large[y0 + 1, x0] + a * large[y0 + 1, x0 + 1])
    assert flow.abs().max() > 0.5
    assert (
        np.abs(stages.magnified[inside] - wanted).max() < 0.75
    )  # rounding, and a little of the interpolation


def test_intermediates_are_pictures_and_flows_to_draw() -> None:
    method, face = moving(), picture()
    stages = method.intermediates(face)
    for name, value in stages._asdict().items():
        wanted = ((40, 36, 2), np.float32) if name.startswith("flow") else ((40, 36, 3), np.uint8)
        assert (value.shape, value.dtype) == wanted, name
    assert np.array_equal(stages.magnified, method.magnify(face))
    with torch.inference_mode():
        flow = method.module()(to_tensor(face[None])).flow_fw
    assert np.allclose(stages.flow_fw.transpose(2, 0, 1), in_pixels(flow, 40, 36)[0], atol=1e-5)
    with pytest.raises(DataError, match="uint8 RGB"):
        method.intermediates(face[..., 0])


def test_a_cascade_is_the_network_again() -> None:
    face = picture()
    module = moving().module()
    passes = [to_tensor(face[None])]
    with torch.inference_mode():
        for _ in range(3):
            passes.append(module.magnify(passes[-1]).clamp(0, 1))
    for cascade in (1, 2, 3):
        made = SingleImage(**SMALL, cascade=cascade).using(module).magnify(face)  # type: ignore[arg-type]
        assert np.abs(made / 255 - passes[cascade][0].permute(1, 2, 0).numpy()).max() <= 0.501 / 255
    assert not torch.equal(passes[1], passes[2])


def test_pictures_are_not_dependent_on_what_else_is_in_a_clip() -> None:
    method = moving()
    faces = np.stack([picture(seed=seed) for seed in range(3)])
    assert np.array_equal(method.magnify(faces)[2], method.magnify(faces[2]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cascade": 4}, "cascade"),
        ({"k": 10}, "8, 12, 16"),
        ({"size": 50}, "multiple of 4"),
        ({"sigma": 0.0}, "sigma"),
        ({"norm": "layer"}, "normalisation"),
        ({"generator": "plain"}, "residual"),
        ({"flow_head": "soft"}, "absp"),
        ({"backward": "inverse"}, "fixed_point"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        SingleImage(**{**SMALL, **settings}).magnify(picture())  # type: ignore[arg-type]


def test_vgg_must_be_named() -> None:
    method = SingleImage(**SMALL)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="--vgg"):
        method.prepare(method.build(), None)
    module = method.build()
    method.prepare(module, "random")
    assert module.features.is_random


def test_a_network_that_only_warps_has_nothing_of_vgg_and_no_generator(tmp_path: Path) -> None:
    method = SingleImage(**SMALL, generator="warp")  # type: ignore[arg-type]
    module = method.build()
    method.prepare(module, None)
    parts = {name.partition(".")[0] for name in module.state_dict()}
    assert parts == {"encoder", "decoder", "flow_magnifier"}
    with pytest.raises(OptionError, match="perceptual"):
        method.losses(module, triples(), ["apex_perceptual"])
    for recipe in method.recipes().values():
        assert method.losses(module, triples(), tuple(recipe.losses)).keys() == recipe.losses.keys()


@pytest.mark.parametrize(("held", "wanted"), [("residual", "warp"), ("warp", "residual")])
def test_weights_of_the_form_with_or_without_generators_are_told_apart(
    held: str, wanted: str, tmp_path: Path
) -> None:
    """A file that says its form decides it; tensors alone must be those of the form that is asked for."""
    file, plain = tmp_path / "told.safetensors", tmp_path / "plain.safetensors"
    method = moving(generator=held)
    write_weights(file, method.module().state_dict(), method.description())
    write_weights(plain, method.module().state_dict(), {})
    settings = {**SMALL, "generator": wanted}
    made = SingleImage(**{**settings, "weights": str(file)}).magnify(picture())  # type: ignore[arg-type]
    assert np.array_equal(made, method.magnify(picture()))
    with pytest.raises(
        WeightsError, match=rf"{re.escape(str(plain))} .*generator_exp\.|features\."
    ) as caught:
        SingleImage(**{**settings, "weights": str(plain)}).module()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_the_state_has_all_that_inference_needs_and_no_more(tmp_path: Path) -> None:
    method = SingleImage(**SMALL)  # type: ignore[arg-type]
    module, twin = method.build(), method.build()
    names = module.state_dict().keys()
    method.prepare(module, vgg_file(tmp_path, "conv3_4"))
    assert module.state_dict().keys() == names
    twin.load_state_dict(module.state_dict())
    with torch.inference_mode():
        pictures = torch.rand(1, 3, 32, 32)
        assert torch.equal(module.eval()(pictures).magnified, twin.eval()(pictures).magnified)
    assert not any(p.requires_grad for p in module.features.parameters())


@pytest.mark.parametrize("stage", ["flow", "stage1", "stage2"])
@pytest.mark.parametrize("generator", GENERATORS)
def test_a_stage_trains_what_it_names_and_all_of_that(stage: str, generator: str) -> None:
    method = SingleImage(**{**SMALL, "generator": generator})  # type: ignore[arg-type]
    torch.manual_seed(0)
    module, recipe = method.build(), method.recipes()[stage]
    method.prepare(module, None if generator == "warp" else "random")
    with torch.no_grad():  # what begins as zero lets no gradient pass in the first step
        for name, parameter in module.named_parameters():
            if name.endswith(("rgb.weight", "change.weight")):
                parameter.normal_(0, 0.01)
    values = method.losses(module, triples(), tuple(recipe.losses))
    assert values.keys() == recipe.losses.keys()
    torch.stack(list(values.values())).sum().backward()
    for name, parameter in module.named_parameters():
        if name.startswith(recipe.trained):
            assert parameter.grad is not None, name
        if name.startswith("features."):
            assert parameter.grad is None
    for prefix in recipe.trained:
        grads = [p.grad for name, p in module.named_parameters() if name.startswith(prefix)]
        assert any(bool(grad.any()) for grad in grads if grad is not None), prefix


def test_losses_of_equal_pictures() -> None:
    """A network that changes nothing is right where nothing moves; only the symmetry of faces is missing."""
    method = SingleImage(**{**SMALL, "flow_head": "tanh"})  # type: ignore[arg-type]
    module = method.build().eval()
    method.prepare(module, "random")
    torch.nn.init.zeros_(module.decoder.head.weight)
    face = triples().onset
    with torch.inference_mode():
        values = method.losses(
            module, Triples(face, face, face, torch.ones(2), torch.zeros(2, 2, 32, 32)), TERMS
        )
    for name, value in values.items():
        if name == "symmetry":
            assert float(value) == pytest.approx(float((face - face.flip(3)).abs().mean()), abs=1e-4)
        else:
            assert float(value) == pytest.approx(0, abs=2e-3), name
    assert set(values) == set(TERMS)


def test_the_flow_is_compared_where_it_is_known() -> None:
    method = moving()
    module, batch = method.module(), triples()
    size = batch.flow.shape[-2:]
    with torch.no_grad():
        made = in_pixels(module(batch.middle).flow_fw, *size)
        shift = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
        known = batch._replace(flow=made + shift)
        assert float(method.losses(module, known, ["flow"])["flow"]) == pytest.approx(25, rel=1e-4)
        half = torch.cat([known.flow[:1], torch.full_like(known.flow[1:], torch.nan)])
        assert float(method.losses(module, batch._replace(flow=half), ["flow"])["flow"]) == pytest.approx(
            12.5
        )


def test_terms_against_their_equations() -> None:
    method = moving()
    module, batch = method.module(), triples()
    with torch.inference_mode():
        values = method.losses(module, batch, ["l1", "warp", "warp_squared", "ssim", "apex_l1", "apex_warp"])
        made = module(batch.middle)

        def off(first: Tensor, second: Tensor) -> float:
            return float((first - second).abs().mean())

        first_stage = off(made.neutral, batch.onset) + off(made.reexpressed, batch.middle)
        assert float(values["l1"]) == pytest.approx(first_stage, rel=1e-5)
        unlike = 2 - float(ssim(made.neutral, batch.onset) + ssim(made.reexpressed, batch.middle))
        assert float(values["ssim"]) == pytest.approx(unlike, rel=1e-4)
        there = off(warp(batch.middle, made.flow_fw), batch.onset)
        assert float(values["warp"]) == pytest.approx(
            there + off(warp(batch.onset, made.flow_bw), batch.middle), rel=1e-5
        )
        squared = (warp(batch.middle, made.flow_fw) - batch.onset).square().mean()
        squared += (warp(batch.onset, made.flow_bw) - batch.middle).square().mean()
        assert float(values["warp_squared"]) == pytest.approx(float(squared), rel=1e-4)
        assert float(values["apex_l1"]) == pytest.approx(off(made.magnified, batch.apex), rel=1e-5)
        assert float(values["apex_warp"]) == pytest.approx(float(values["apex_l1"]), rel=1e-5)


def test_losses_that_cannot_be_had_are_refused() -> None:
    method = SingleImage(**SMALL)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="known: l1"):
        method.losses(method.build(), triples(), ["stream"])
    with pytest.raises(OptionError, match="perceptual"):
        method.losses(method.build(), triples(), ["apex_perceptual"])
    with pytest.raises(MicroexpError, match="Linear"):
        method.losses(torch.nn.Linear(1, 1), triples(), ["l1"])


def test_structural_similarity_against_a_direct_sum() -> None:
    first, second = torch.rand(1, 2, 13, 13), torch.rand(1, 2, 13, 13)
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    wanted = []
    for x, y in zip(first[0].double().numpy(), second[0].double().numpy(), strict=True):
        x, y = np.pad(x, 5), np.pad(y, 5)
        for i in range(13):
            for j in range(13):
                a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
                m, n = (kernel * a).sum(), (kernel * b).sum()
                u, v, w = (
                    (kernel * a * a).sum() - m * m,
                    (kernel * b * b).sum() - n * n,
                    (kernel * a * b).sum() - m * n,
                )
                wanted.append((2 * m * n + 1e-4) * (2 * w + 9e-4) / ((m * m + n * n + 1e-4) * (u + v + 9e-4)))
    assert float(ssim(first, second)) == pytest.approx(np.mean(wanted), abs=1e-5)
    assert float(ssim(first, first)) == pytest.approx(1, abs=1e-5)


def test_the_second_stage_begins_with_the_generator_of_the_first() -> None:
    method = SingleImage(**SMALL)  # type: ignore[arg-type]
    module = method.build()
    torch.nn.init.normal_(module.generator_exp.rgb.weight)
    state = method.canonical(module.state_dict())
    for name, value in module.generator_exp.state_dict().items():
        assert torch.equal(state[f"generator_mag.{name}"], value)
    torch.nn.init.normal_(module.flow_magnifier.change.bias)  # it has learned: G_mag is its own
    state = method.canonical(module.state_dict())
    assert torch.equal(state["generator_mag.rgb.weight"], module.generator_mag.rgb.weight)


def test_recipes_of_the_paper() -> None:
    recipes = magnify.create("single_image", **magnify.card("single_image").presets["paper"]).recipes()
    assert list(recipes) == ["stage1", "stage2"]
    for name, steps in (("stage1", 720), ("stage2", 1920)):
        recipe = recipes[name]
        assert (recipe.steps, recipe.batch_size, recipe.lr, recipe.size) == (steps, 16, 1e-5, 112)
        assert (recipe.betas, recipe.cosine) == ((0.5, 0.999), False)
        assert len(recipe.losses) == 3
    assert recipes["stage2"].start == "stage1"


def test_stages_follow_each_other() -> None:
    recipes = SingleImage().recipes()
    assert [recipe.start for recipe in recipes.values()] == ["", "flow", "stage1"]
    assert isinstance(SingleImage(**SMALL).module(), SingleImageModule)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def drawn() -> list[Clip]:
    """Onset, weak and strong picture of aligned faces that no training has seen."""
    clips = Synthetic(n_subjects=4, clips_per_subject=1, size=160, nuisance=0.0, seed=5).clips()
    aligned = FaceAligner(size=112).align(clips).clips
    return [
        drawn_triple(clip, (1.67, 3.33), np.random.default_rng(number)) for number, clip in enumerate(aligned)
    ]


def test_starter_weights_bring_a_weak_expression_nearer_to_the_strong_one(drawn: list[Clip]) -> None:
    magnifier = magnify.create("single_image", weights=STARTER, device="cpu")
    off = []
    for clip in drawn:
        weak, strong = clip.frames[1], clip.frames[2].astype(np.float64)
        off.append([np.abs(face - strong).mean() for face in (magnifier.magnify(weak), weak)])
    assert np.less(*np.mean(off, axis=0))


def test_the_command_magnifies_with_starter_weights_alone(
    drawn: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "empty"))
    face, out = tmp_path / "weak.png", tmp_path / "strong.png"
    write_picture(face, drawn[0].frames[1])
    options = ["--method", "single_image", "--weights", STARTER, "--no-align", "--out", str(out)]
    result = CliRunner().invoke(app, ["magnify", str(face), *options])
    assert result.exit_code == 0, result.output
    wanted = magnify.create("single_image", weights=STARTER, device="cpu").magnify(drawn[0].frames[1])
    assert np.array_equal(np.asarray(Image.open(out)), wanted)


def test_the_list_says_the_terms_of_the_starter_weights_and_what_they_know() -> None:
    result = CliRunner().invoke(app, ["weights", "list", "--method", "single_image", "--json"])
    (entry,) = json.loads(result.output)
    assert entry["name"] == STARTER
    assert entry["licence"] == "Apache-2.0"
    assert "synthetic faces" in entry["trained_on"]
