from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from microexp import recognize
from microexp.errors import OptionError
from microexp.recognize import dual_inception
from microexp.recognize.featref import Branch, FeatRef, build_module, proposal_loss
from tests.conftest import planted_images

SHARED = 6272


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("n_classes", "units"), [(3, 128), (5, 7)])
def test_parameters_are_dual_inceptions_streams_and_the_branches(n_classes: int, units: int) -> None:
    with torch.device("meta"):
        streams = 6_449_963 - count(dual_inception.build_module().head)
        branch = 2 * SHARED + SHARED * units + units + units
        fusion = n_classes * units * n_classes + n_classes
        assert count(build_module(n_classes, units)) == streams + n_classes * branch + fusion


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0.01, 1.0))
def test_attention_lies_between_0_and_1_one_feature_at_a_time(seed: int, spread: float) -> None:
    torch.manual_seed(seed)
    branch = Branch(9, 4).double()  # in single precision a sigmoid of 17 is 1
    nn.init.normal_(branch.weight, std=spread)
    nn.init.normal_(branch.bias, std=spread)
    shared = torch.randn(5, 9, dtype=torch.float64)
    factors = branch.attention(shared)
    assert (factors > 0).all()
    assert (factors < 1).all()
    other = shared.clone()
    other[:, 3] += 1
    moved = (branch.attention(other) != factors).any(0)
    assert moved.nonzero().flatten().tolist() == [3]


def test_attention_starts_at_one_half() -> None:
    branch = Branch(9, 4)
    shared = torch.randn(5, 9)
    assert (branch.attention(shared) == 0.5).all()
    refined, proposal = branch(shared)
    assert torch.allclose(refined, F.relu(branch.refine(shared / 2)))
    assert torch.allclose(proposal[:, 0], refined @ branch.propose.weight[0])


@given(st.integers(1, 6), st.integers(2, 7), st.integers(0, 999))
@settings(max_examples=20, deadline=None)
def test_proposal_loss_has_the_closed_form_and_its_gradient(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, y = rng.normal(0, 2, (n, k)), rng.integers(0, k, n)
    p, wanted = 1 / (1 + np.exp(-z)), np.eye(k)[y]
    expected = -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)).sum() / n
    proposals = torch.from_numpy(z).requires_grad_()
    loss = proposal_loss(proposals, torch.from_numpy(y))
    loss.backward()
    assert math.isclose(loss.item(), expected, rel_tol=1e-9)
    assert np.allclose(proposals.grad, (p - wanted) / n)
    undecided = proposal_loss(torch.zeros(n, k), torch.from_numpy(y))
    assert math.isclose(undecided.item(), k * math.log(2), rel_tol=1e-6)


def gradients(balance: float) -> tuple[nn.Module, float, float, float]:
    """The network after a backward pass of its loss; the loss, its cross-entropy and proposal loss."""
    torch.manual_seed(0)
    module = build_module(3, 8)
    flow, labels, criterion = torch.rand(4, 2, 28, 28), torch.tensor([0, 1, 2, 1]), nn.CrossEntropyLoss()
    loss = FeatRef(balance=balance).loss(module, flow, labels, criterion)
    loss.backward()
    logits, proposals = module.with_proposals(flow)
    assert torch.equal(module(flow), logits)
    return module, loss.item(), criterion(logits, labels).item(), proposal_loss(proposals, labels).item()


def test_balance_weighs_cross_entropy_and_proposals() -> None:
    module, loss, cross_entropy, proposal = gradients(1.0)
    assert loss == cross_entropy
    assert not any(branch.propose.weight.grad.any() for branch in module.branches)
    module, loss, _, proposal = gradients(0.0)
    assert loss == proposal
    assert not module.classifier.weight.grad.any()
    module, loss, cross_entropy, proposal = gradients(0.85)
    assert math.isclose(loss, 0.85 * cross_entropy + 0.15 * proposal, rel_tol=1e-6)
    assert all(branch.weight.grad.any() for branch in module.branches)
    assert all(branch.propose.weight.grad.any() for branch in module.branches)


def test_proposals_learn_to_name_their_class_and_strain_is_not_looked_at() -> None:
    X, y = planted_images(12)
    net = recognize.create("featref", epochs=8, batch_size=6, balance=0.5, device="cpu").fit(X, y)
    logits, proposals = net.module_.with_proposals(net.stage(X))
    assert (net.predict(X) == y).mean() >= 0.9
    assert (proposals.argmax(1).numpy() == y).mean() >= 0.9
    assert np.allclose(net.predict_proba(X), torch.softmax(logits, 1).detach(), atol=1e-5)
    other = X.copy()
    other[:, 2] = 0
    assert np.array_equal(net.predict_proba(X), net.predict_proba(other))


def test_presets_are_the_settings_of_the_sr_mer_study() -> None:
    net = recognize.create("featref", "sr_mer")
    assert (net.recipe().lr, net.balance) == (1e-3, 0.85)
    assert recognize.create("featref", "paper").recipe() == net.recipe()


@pytest.mark.parametrize("wrong", [{"balance": 1.1}, {"balance": -0.1}, {"units": 0}])
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        recognize.create("featref", **wrong).check_parameters()
