from __future__ import annotations

import pytest
import torch

from microexp.errors import UnknownNameError
from microexp.magnify._expression import HEADS, Attention, ExpressionEncoder, FlowDecoder, Refiner
from microexp.magnify._flow_fields import LIMIT, positions
from tests.magnify.test_generator import count

SPIKE = 1000.0


@pytest.mark.parametrize(("width", "wanted"), [(1.0, 4_240_000), (0.5, 1_063_232), (0.25, 267_424)])
def test_the_encoder_has_as_many_parameters_as_specified(width: float, wanted: int) -> None:
    with torch.device("meta"):
        assert count(ExpressionEncoder(width)) == wanted


@pytest.mark.parametrize(
    ("width", "k", "head", "wanted"),
    [
        (1.0, 8, "absp", 3_000_512),
        (1.0, 12, "absp", 3_005_632),
        (1.0, 16, "absp", 3_012_800),
        (1.0, 8, "tanh", 2_996_544),
        (1.0, 16, "tanh", 2_996_544),
        (0.5, 8, "absp", 752_736),
        (0.25, 8, "absp", 189_488),
    ],
)
def test_the_decoder_has_as_many_parameters_as_specified(
    width: float, k: int, head: str, wanted: int
) -> None:
    with torch.device("meta"):
        assert count(FlowDecoder(width, k, head)) == wanted


@pytest.mark.parametrize("size", [32, 64, 112])
@pytest.mark.parametrize("norm", ["bn", "none"])
def test_codes_are_between_minus_one_and_one(size: int, norm: str) -> None:
    codes = ExpressionEncoder(0.125, norm, size)(torch.rand(2, 3, size, size))
    assert codes.shape == (2, 32)
    assert float(codes.detach().abs().max()) <= 1


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("k", [8, 12, 16])
def test_flows_have_the_size_asked_for(head: str, k: int) -> None:
    decoder = FlowDecoder(0.125, k, head)
    code = torch.randn(3, 32, requires_grad=True)
    flow = decoder(code)
    assert flow.shape == (3, 2, k, k)
    flow.square().sum().backward()
    assert code.grad is not None
    assert bool(code.grad.any())
    assert decoder.head.weight.grad is not None
    assert bool(decoder.head.weight.grad.any())
    if head == "bins":
        assert float(flow.detach().abs().max()) <= LIMIT


@pytest.mark.parametrize("kind", ["disp", "abs"])
def test_a_single_hot_position_is_the_result(kind: str) -> None:
    row, column, k = 3, 11, 8
    heat = torch.zeros(1, k * k, 16, 16)
    heat[:, :, row, column] = SPIKE
    wanted = torch.tensor([2 * column / 15 - 1, 2 * row / 15 - 1]).view(1, 2, 1, 1).expand(1, 2, k, k)
    origin = positions(k) if kind == "abs" else 0
    assert torch.allclose(Refiner(k, kind)(heat), wanted - origin, atol=1e-6)


def test_with_the_prior_it_is_where_the_hot_position_lies_from_where_the_prior_looks() -> None:
    k, row, column = 8, 5, 2
    heat = torch.zeros(1, k * k, 16, 16)
    heat[:, :, row, column] = SPIKE
    flow = Refiner(k, "absp")(heat)
    hot = torch.tensor([2 * column / 15 - 1, 2 * row / 15 - 1])
    place = torch.linspace(-1, 1, 16, dtype=torch.float64)
    for i, j in ((0, 0), (3, 6)):  # the prior is a product of one in x and one in y
        for axis, node in enumerate((2 * j / 7 - 1, 2 * i / 7 - 1)):
            weight = torch.exp(-((place - node) ** 2) / (2 * 0.2**2))
            expected = float((weight * place).sum() / weight.sum())
            assert float(flow[0, axis, i, j]) == pytest.approx(float(hot[axis]) - expected, abs=1e-5)


@pytest.mark.parametrize("k", [8, 12, 16])
def test_equal_heat_gives_no_flow_with_the_prior(k: int) -> None:
    flow = Refiner(k, "absp")(torch.full((2, k * k, 16, 16), 3.0))
    assert torch.allclose(flow, torch.zeros(2, 2, k, k), atol=1e-6)


def test_maps_go_to_nodes_row_by_row() -> None:
    k = 8
    heat = torch.zeros(1, k * k, 16, 16)
    heat[0, 2 * k + 5, :, 15] = SPIKE
    flow = Refiner(k, "disp")(heat)[0]
    assert float(flow[0, 2, 5]) == pytest.approx(1)
    flow[0, 2, 5] = 0
    assert float(flow.abs().max()) < 1e-6


def test_cold_is_argmax_and_hot_is_the_mean() -> None:
    heat = torch.zeros(1, 64, 16, 16)
    heat[0, :, 4, 9], heat[0, :, 12, 1] = 1.0, 0.9
    cold, warm = (Refiner(8, "disp", sigma)(heat)[0, :, 0, 0] for sigma in (0.005, 1e6))
    assert torch.allclose(cold, torch.tensor([2 * 9 / 15 - 1, 2 * 4 / 15 - 1]), atol=1e-4)
    assert torch.allclose(warm, torch.zeros(2), atol=1e-5)


def test_attention_against_its_formula() -> None:
    attention, x = Attention(3), torch.randn(1, 3, 2, 4)
    with torch.inference_mode():
        g, theta, phi = (
            torch.einsum("oc,cp->op", layer.weight[:, :, 0, 0], x[0].flatten(1)) + layer.bias[:, None]  # type: ignore[index]
            for layer in (attention.g, attention.theta, attention.phi)
        )
        matrix = phi @ theta.softmax(dim=1).T
        wanted = torch.nn.functional.leaky_relu(x[0].flatten(1) + matrix @ g.softmax(dim=0), 0.1)
        assert torch.allclose(attention(x)[0].flatten(1), wanted, atol=1e-5)


def test_batch_normalisation_keeps_the_codes_of_faces_apart() -> None:
    """Nearly the same pictures get nearly the same code without it: what the specification warns of."""
    torch.manual_seed(0)
    faces = 0.5 + 0.01 * torch.randn(8, 3, 32, 32)
    with torch.inference_mode():
        spread = {
            norm: float(ExpressionEncoder(0.25, norm, 32)(faces).std(0).mean()) for norm in ("bn", "none")
        }
    assert spread["none"] < 0.02 < spread["bn"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="normalisation"):
        ExpressionEncoder(0.125, "layer")
    with pytest.raises(UnknownNameError, match="flow head"):
        FlowDecoder(0.125, 8, "softargmax")
