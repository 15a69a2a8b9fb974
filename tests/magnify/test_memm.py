from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from microexp import magnify
from microexp.errors import OptionError
from microexp.magnify.memm import MEMM, MEMMModule, SelfAttention, build_module
from microexp.train.magnification import Triples

WIDTH = 4


def blobs(shifts: list[float], side: int = 32) -> Tensor:
    """Grey pictures with a bright spot that is moved to the right, ``(N, 3, side, side)``."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    made = [torch.exp(-((x - side / 2 - s) ** 2 + (y - side / 2) ** 2) / 18) for s in shifts]
    return torch.stack(made)[:, None].expand(-1, 3, -1, -1).contiguous()


def triples() -> Triples:
    sizes = [-2.0, -1.0, 1.0, 2.0]
    middle, apex = blobs(sizes), blobs([2 * s for s in sizes])
    return Triples(
        blobs([0.0] * 4), middle, apex, torch.full((4,), float("nan")), torch.zeros(4, 2, *middle.shape[-2:])
    )


def with_motion(seed: int = 0) -> MEMMModule:
    """A network whose last layers are not nought."""
    torch.manual_seed(seed)
    module = build_module(WIDTH)
    for animator in (module.student, module.teacher):
        torch.nn.init.normal_(animator.last[-1].weight, std=0.3)
    return module.eval()


def test_an_untrained_network_leaves_frames_as_they_are() -> None:
    weak = np.random.default_rng(0).integers(0, 256, (3, 37, 50, 3), np.uint8)
    assert np.array_equal(MEMM(width=WIDTH, weights="random").magnify(weak), weak)


@pytest.mark.parametrize("side", [8, 24])
@torch.inference_mode()
def test_without_motion_the_untrained_channels_see_no_difference(side: int) -> None:
    student, picture = build_module(WIDTH).eval().student, torch.rand(1, 3, side, side)
    for one, other in zip(student.onset_channel(picture), student.frame_channel(picture), strict=True):
        assert torch.equal(one, other)


@torch.inference_mode()
def test_magnification_needs_the_student_alone() -> None:
    module, weak = with_motion(), np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)
    magnifier = MEMM(width=WIDTH, weights="random").using(module)
    strong = magnifier.magnify(weak)
    assert not np.array_equal(strong, weak)
    for parameter in module.teacher.parameters():
        parameter.fill_(float("nan"))
    assert np.array_equal(magnifier.magnify(weak), strong)


@torch.inference_mode()
def test_both_frames_matter() -> None:
    module = with_motion()
    onset, frame, other = torch.rand(3, 1, 3, 24, 24)
    assert not torch.allclose(module(onset, frame), module(other, frame), atol=1e-4)
    assert not torch.allclose(module(onset, frame), module(onset, other), atol=1e-4)


@torch.inference_mode()
def test_a_constant_flow_moves_the_picture() -> None:
    module, picture = build_module(WIDTH).eval(), torch.rand(1, 3, 16, 24)
    module.student.last[-1].bias[:2] = torch.tensor([2.0, 1.0])  # pixels: what stands 2 right, 1 below
    assert torch.allclose(module(picture, picture)[..., :15, :22], picture[..., 1:, 2:], atol=1e-5)


@torch.inference_mode()
def test_a_constant_share_of_the_difference_is_linear_magnification() -> None:
    module = build_module(WIDTH).eval()
    module.student.last[-1].bias[5] = 2.0
    onset, frame = torch.rand(2, 1, 3, 16, 24)
    assert torch.allclose(module(onset, frame), onset + 3 * (frame - onset), atol=1e-5)


@torch.inference_mode()
def test_self_attention_is_softmax_over_all_positions() -> None:
    layer, x = SelfAttention(16), torch.randn(1, 16, 3, 5)
    assert torch.equal(layer(x), x)
    layer.gain.fill_(1.0)
    q, k, v = (part(x)[0].flatten(1).numpy() for part in (layer.query, layer.key, layer.value))
    scores = np.exp(q.T @ k / np.sqrt(2))  # 2 channels of questions
    answers = v @ (scores / scores.sum(axis=1, keepdims=True)).T
    assert np.allclose((layer(x) - x)[0].flatten(1), answers, atol=1e-5)


def test_each_stage_trains_its_own_network() -> None:
    recipes, module = MEMM(width=WIDTH).recipes(), with_motion()
    torch.nn.init.ones_(module.student.attention.gain)
    torch.nn.init.ones_(module.teacher.attention.gain)
    for recipe in recipes.values():
        module.zero_grad(set_to_none=True)
        found = MEMM(width=WIDTH).losses(module, triples(), recipe.losses)
        assert found.keys() == recipe.losses.keys()
        sum(found.values()).backward()
        reached = {name for name, p in module.named_parameters() if p.grad is not None}
        assert reached == {name for name, _ in module.named_parameters() if name.startswith(recipe.trained)}


def test_the_student_follows_the_teacher() -> None:
    recipes = MEMM().recipes()
    assert list(recipes) == ["teacher", "student"]
    assert recipes["student"].start == "teacher"
    assert (recipes["teacher"].trained, recipes["student"].trained) == (("teacher.",), ("student.",))


def test_guidance_is_nothing_for_a_student_that_sees_and_does_the_same() -> None:
    module, batch = with_motion(), triples()
    apart = MEMM(width=WIDTH).losses(module, batch, ["guidance"])["guidance"]
    module.student.load_state_dict(module.teacher.state_dict())
    alike = MEMM(width=WIDTH).losses(module, batch._replace(middle=batch.apex), ["guidance"])["guidance"]
    assert apart.item() > 0
    assert alike.item() == 0


@torch.inference_mode()
def test_losses_of_the_untrained_are_those_of_doing_nothing() -> None:
    batch = triples()
    found = MEMM(width=WIDTH).losses(build_module(WIDTH), batch, ["reconstruction", "l1"])
    assert found["reconstruction"].item() == pytest.approx(float((batch.onset - batch.apex).square().mean()))
    assert found["l1"].item() == pytest.approx(float((batch.middle - batch.apex).abs().mean()))


def test_a_small_network_learns_to_double_a_motion() -> None:
    torch.manual_seed(0)
    method, batch = MEMM(width=8), triples()
    module = method.build()
    optimiser = torch.optim.Adam(module.student.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = method.losses(module, batch, ["l1"])["l1"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_bad_settings_are_refused() -> None:
    with pytest.raises(OptionError, match="width must be 4 or more, got 3"):
        MEMM(width=3, weights="random").check_parameters()
    with pytest.raises(OptionError, match="no factor; its terms are reconstruction, l1, guidance"):
        MEMM().losses(build_module(WIDTH), triples(), ["factor"])


def test_there_is_no_factor_and_faces_are_aligned() -> None:
    assert "factor" not in magnify.create("memm").get_params()
    assert magnify.get("memm").aligned
