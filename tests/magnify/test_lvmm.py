from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from microexp import magnify
from microexp.errors import OptionError
from microexp.magnify.lvmm import LVMM, Halving, build_module, recoloured, with_noise
from microexp.train.magnification import Triples
from microexp.weights import write_weights

TERMS = ("l1", "texture", "shape")


def pictures(count: int = 1, height: int = 16, width: int = 24, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def triples(count: int = 2, factor: float = 2.0) -> Triples:
    onset, middle, apex = pictures(3 * count).split(count)
    return Triples(
        onset, middle, apex, torch.full((count,), factor), torch.zeros(count, 2, *onset.shape[-2:])
    )


def published_names() -> list[str]:
    """Names of the published PyTorch file, of the layers of the authors' released configuration."""

    def block(name: str) -> list[str]:
        return [f"{name}.cba_1", f"{name}.cba_2"]

    encoder = ["cba_1", "cba_2", *(c for i in range(3) for c in block(f"resblks.{i}")), "texture_cba"]
    encoder += [c for kind in ("texture", "motion") for i in range(2) for c in block(f"{kind}_resblks.{i}")]
    decoder = ["texture_up", *(c for i in range(9) for c in block(f"resblks.{i}")), "cba_1", "cba_2"]
    layers = {"encoder": encoder, "manipulator": ["g", "h_conv", *block("h_resblk")], "decoder": decoder}
    return [f"{part}.{layer}.conv2d.weight" for part, names in layers.items() for layer in names]


def test_counts_are_the_published_ones() -> None:
    module = build_module()
    assert sum(p.numel() for p in module.parameters()) == 918_928
    assert len(module.state_dict()) == 42


def test_the_published_file_is_understood(tmp_path: Path) -> None:
    state = {key: torch.rand_like(value) for key, value in build_module().state_dict().items()}
    published = dict(zip(published_names(), state.values(), strict=True))
    assert LVMM().canonical(published).keys() == state.keys()
    assert LVMM().canonical(state).keys() == state.keys()
    file = tmp_path / "magnet.safetensors"
    write_weights(file, published, {})
    loaded = LVMM(weights=file).module().state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def test_halving_pads_below_and_on_the_right_as_tensorflow() -> None:
    layer, picture = Halving(1, 1), torch.rand(1, 1, 6, 8)
    x, kernel = np.zeros((7, 9)), layer.weight.detach().numpy()[0, 0]
    x[:6, :8] = picture[0, 0]
    wanted = [[(x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] * kernel).sum() for j in range(4)] for i in range(3)]
    assert np.allclose(layer(picture).detach()[0, 0], wanted, atol=1e-6)


@torch.inference_mode()
def test_texture_is_enlarged_before_its_convolution() -> None:
    module, seen = build_module(), []
    module.decoder.texture_conv.register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    texture, shape = module.encode(pictures())
    assert texture.shape == (1, 32, 4, 6)
    assert shape.shape == (1, 32, 8, 12)
    module.decoder(texture, shape)
    assert torch.equal(seen[0], texture.repeat_interleave(2, 2).repeat_interleave(2, 3))


def amplified() -> torch.nn.Module:
    """A network whose weights are large enough for the manipulator to matter."""
    torch.manual_seed(0)
    module = build_module()
    for weight in module.parameters():
        weight.data *= 2
    return module


@torch.inference_mode()
def test_a_factor_of_one_leaves_the_motion_as_it_is() -> None:
    module = amplified()
    onset, frame = pictures(2).split(1)
    assert torch.equal(module(onset, frame, 1.0), module(frame, frame, 1.0))
    assert not torch.allclose(module(onset, frame, 3.0), module(frame, frame, 3.0), atol=1e-3)


@torch.inference_mode()
def test_without_motion_the_factor_does_not_matter() -> None:
    module, frame = amplified(), pictures()
    assert torch.equal(module(frame, frame, 10.0), module(frame, frame, 1.0))


@pytest.mark.parametrize("factor", [1.5, 3.0, 20.0])
@torch.inference_mode()
def test_the_change_of_shape_grows_by_the_factor_less_one(factor: float) -> None:
    # Without biases all layers between the product and the sum give c h(x) for c x, if c is positive.
    module = amplified()
    shape_a, shape_b = (module.encode(picture)[1] for picture in pictures(2).split(1))
    once = module.manipulator(shape_a, shape_b, 2.0) - shape_b
    more = module.manipulator(shape_a, shape_b, factor) - shape_b
    scale = float(once.abs().max())
    assert scale > 0
    assert torch.allclose(more / scale, (factor - 1) * once / scale, atol=1e-4 * factor)


@torch.inference_mode()
def test_each_sample_has_its_own_factor() -> None:
    module = amplified()
    onset, frame = pictures(4).split(2)
    both = module(onset, frame, torch.tensor([2.0, 5.0]))
    for i, factor in enumerate((2.0, 5.0)):
        alone = module(onset[i : i + 1], frame[i : i + 1], factor)
        assert torch.allclose(both[i], alone[0], atol=1e-4)


@pytest.mark.parametrize(("height", "width", "bottom", "right"), [(41, 53, 44, 56), (1, 5, 8, 8)])
def test_other_sizes_are_continued_by_their_last_pixels(
    height: int, width: int, bottom: int, right: int
) -> None:
    weak = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    continued = np.pad(weak, ((0, 0), (0, bottom - height), (0, right - width), (0, 0)), mode="edge")
    magnifier = LVMM(weights="random")
    magnifier = magnifier.using(amplified().eval())
    strong = magnifier.magnify(continued)[:, :height, :width]
    assert strong.std() > 0
    assert np.array_equal(magnifier.magnify(weak), strong)


def test_the_onset_is_encoded_once() -> None:
    magnifier, calls = LVMM(weights="random"), []
    magnifier.module().encoder.register_forward_hook(lambda *_: calls.append(1))
    magnifier.magnify(np.zeros((4, 8, 8, 3), np.uint8))
    assert len(calls) == 5


def test_the_recipe_is_that_of_the_source() -> None:
    recipe = LVMM().recipes()["paper"]
    assert (recipe.lr, recipe.betas, recipe.batch_size, recipe.size) == (1e-4, (0.9, 0.999), 4, 384)
    assert recipe.steps == 100 * 100_000 // 4
    assert set(recipe.losses) == set(TERMS)


def test_losses_are_drawn_from_the_global_seed() -> None:
    module, batch = build_module(), triples()

    def drawn(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return LVMM().losses(module, batch, TERMS)

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert first.keys() == set(TERMS)
    for term in TERMS:
        assert torch.equal(first[term], again[term])
        assert not torch.equal(first[term], other[term])
    assert LVMM().losses(module, batch, ["shape"]).keys() == {"shape"}


def test_losses_reach_every_layer() -> None:
    module = build_module()
    sum(LVMM().losses(module, triples(), TERMS).values()).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


def test_regularisers_compare_the_frame_in_the_onsets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microexp.magnify.lvmm.with_noise", lambda picture: picture)
    still = triples()
    still = still._replace(onset=still.middle, apex=still.middle)
    found = LVMM().losses(build_module(), still, TERMS)
    assert found["texture"].item() == 0
    assert found["shape"].item() > 0


def test_real_sequences_without_a_factor_are_refused() -> None:
    batch = triples()._replace(factor=torch.tensor([2.0, float("nan")]))
    with pytest.raises(OptionError, match="exact factor"):
        LVMM().losses(build_module(), batch, TERMS)


def test_an_unknown_term_is_refused() -> None:
    with pytest.raises(OptionError, match="no cycle; its terms are l1, texture, shape"):
        LVMM().losses(build_module(), triples(), ["l1", "cycle"])


def test_colours_change_alike_in_pictures_of_one_sample_and_stay_in_range() -> None:
    one = pictures(3)
    first, second = recoloured(one, one.flip(3))
    assert torch.equal(first, second.flip(3))
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    grey = torch.full((200, 3, 1, 1), 0.5)
    (changed,) = recoloured(grey)
    assert 0.15 < float((changed - grey).abs().max()) <= 0.2 + 1e-6  # 0.2 times a half, and 0.1
    assert float(changed.std(dim=1).min()) > 0  # each channel its own


def test_noise_is_that_of_photons() -> None:
    torch.manual_seed(0)
    assert torch.equal(with_noise(torch.zeros(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))
    for level in (0.25, 1.0):
        noise = with_noise(torch.full((400, 3, 16, 16), level)) - level
        deviation = noise.flatten(1).std(dim=1)
        most = 0.3 * (level / 255) ** 0.5
        assert float(deviation.max()) == pytest.approx(most, rel=0.1)
        assert float(deviation.mean()) == pytest.approx(most / 2, rel=0.1)  # strengths are spread evenly


def test_the_usual_factor_is_that_of_the_comparison() -> None:
    assert magnify.create("lvmm").factor == 3.0
