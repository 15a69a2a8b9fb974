"""The small networks on flow images against published counts and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from microexp import recognize
from microexp.errors import DataError, OptionError
from microexp.recognize import dual_inception, htnet, off_apexnet, rcn_a
from microexp.recognize.base import Monitor
from tests.conftest import planted_images


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("module", "published"),
    [
        (off_apexnet.build_module(), 2_664_475),
        (dual_inception.build_module(), 6_449_963),
        (rcn_a.build_module(), 15_331),
        (rcn_a.build_module(attention=False), 15_331),
        (rcn_a.build_module(maps=64), 51_139),
        (rcn_a.build_module(maps=64, pool=7), 55_747),
    ],
)
def test_parameter_counts_are_the_published_ones(module: nn.Module, published: int) -> None:
    assert count(module) == published


def test_htnet_has_the_published_parameters_and_those_that_never_learn() -> None:
    with torch.device("meta"):  # half a gigabyte that nobody needs to fill
        module = htnet.build_module()
    assert count(module) == 139_582_982 == recognize.card("htnet").parameters
    queries_and_keys = sum(
        m.qkv.weight.numel() * 2 // 3 for m in module.modules() if isinstance(m, htnet._Attention)
    )
    assert queries_and_keys == 22_195_200


def test_htnets_queries_and_keys_get_no_gradient() -> None:
    module = htnet.build_module(width=12)
    module(torch.rand(2, 3, 28, 28)).square().sum().backward()
    for part in module.modules():
        if isinstance(part, htnet._Attention):
            query, key, value = part.qkv.weight.grad.chunk(3)
            assert not query.any()
            assert not key.any()
            assert value.any()


def test_htnet_cuts_eyes_above_and_mouth_corners_below() -> None:
    y, x = np.mgrid[:28, :28]
    image = np.stack([y, x])[None].astype(np.float32)
    plain, transposed = htnet.four_crops(image), htnet.four_crops(image, transposed=True)
    assert plain.shape == (1, 2, 28, 28)
    centres = [(11, 9), (10, 21), (21, 10), (21, 20)]  # row, column: cut off, kept inside the picture
    for k, (row, column) in enumerate(centres):
        corner = (slice(None), (slice(None)), 14 * (k // 2), 14 * (k % 2))
        assert plain[corner][0].tolist() == [row - 7, column - 7]
    assert transposed[0, :, 0, 14].tolist() == [21 - 7, 10 - 7]


def test_inception_joins_four_branches_that_see_1_3_5_and_a_pooled_3() -> None:
    block = dual_inception.Inception(2, 5)
    x = torch.rand(1, 2, 9, 9)
    out = block(x)
    assert out.shape == (1, 20, 9, 9)
    moved = x.clone()
    moved[..., 4, 4] += 10.0
    reach = [(block(moved) - out)[0, 5 * k : 5 * k + 5].abs().sum(0) > 0 for k in range(4)]
    for seen, side in zip(reach, (1, 3, 5, 3), strict=True):
        inside = torch.zeros(9, 9, dtype=torch.bool)
        half = side // 2
        inside[4 - half : 5 + half, 4 - half : 5 + half] = True
        assert not seen[~inside].any()


def test_off_apexnet_keeps_u_and_v_apart_until_they_are_joined() -> None:
    module = off_apexnet.build_module().eval()
    joined: list[torch.Tensor] = []
    module.head.register_forward_hook(lambda head, x, y: joined.append(x[0]))
    flow = torch.rand(1, 2, 28, 28)
    module(flow)
    flow[:, 1] += 1
    module(flow)
    (u, v), (same_u, other_v) = (x.chunk(2, dim=1) for x in joined)
    assert torch.equal(u, same_u)
    assert not torch.equal(v, other_v)


def test_off_apexnet_computes_the_same_in_training_as_in_two_streams_of_plain_layers() -> None:
    module = off_apexnet.build_module().train()
    module.head = nn.Sequential(*[part for part in module.head if "Dropout" not in type(part).__name__])
    flow = torch.rand(4, 2, 28, 28)
    features = []
    for k, stream in enumerate((module.u, module.v)):
        x = flow[:, k : k + 1]
        for conv in (stream.first, stream.second):
            x = nn.functional.max_pool2d(nn.functional.relu(conv(x)), 2)
        features.append(x.flatten(1))
    plain = module.head(torch.cat(features, dim=1))
    assert torch.allclose(module(flow), plain, atol=1e-6)
    assert torch.allclose(module.eval()(flow), plain, atol=1e-6)


def test_rcn_takes_pictures_of_any_size_from_8_on() -> None:
    X, y = planted_images(6, size=8)
    assert recognize.create("rcn_a", epochs=1, device="cpu").fit(X, y).predict(X).shape == (6,)
    with pytest.raises(DataError, match="at least 8x8"):
        recognize.create("rcn_a", epochs=1, device="cpu").fit(X[..., :6, :6], y)
    with pytest.raises(OptionError, match="maps and pool must be 1 or more, got 32 and 0"):
        recognize.create("rcn_a", pool=0).check_parameters()


def test_rcn_attention_lies_between_0_and_1_and_survives_a_constant_map() -> None:
    module = rcn_a.build_module().eval()
    first = torch.rand(3, 32, 12, 12)
    attention = module.attention_map(first).detach()
    assert attention.shape == (3, 1, 5, 5)
    assert 0 <= float(attention.min()) <= float(attention.max()) <= 1
    nn.init.constant_(module.classifier.weight, 0.3)
    assert not module.attention_map(torch.ones(1, 32, 12, 12)).any()
    assert torch.isfinite(module(torch.zeros(1, 3, 28, 28))).all()


def test_rcn_attention_teaches_the_classifier() -> None:
    """The gradient of the map flows into the classifier's weights: without it they get another one."""
    module = rcn_a.build_module().eval()
    x = torch.rand(2, 3, 28, 28)
    module(x)[:, 0].sum().backward()
    attached = module.classifier.weight.grad.clone()
    module.zero_grad()
    original = module.attention_map
    module.attention_map = lambda first: original(first).detach()
    module(x)[:, 0].sum().backward()
    assert not torch.allclose(attached, module.classifier.weight.grad)


@pytest.mark.parametrize("name", ["off_apexnet", "dual_inception"])
def test_strain_is_not_looked_at(name: str) -> None:
    X, y = planted_images(12)
    fitted = recognize.create(name, epochs=1, device="cpu").fit(X, y)
    other = X.copy()
    other[:, 2] = 0
    assert np.array_equal(fitted.predict_proba(X), fitted.predict_proba(other))


def test_wrong_sizes_and_depths_are_refused() -> None:
    X, y = planted_images(6)
    with pytest.raises(DataError, match=r"takes flow images \(N, 3, 28, 28\) of u, v, strain"):
        recognize.create("off_apexnet", epochs=1).fit(X[:, :, :20, :20], y)
    with pytest.raises(OptionError, match="depths must be three numbers"):
        recognize.create("htnet", depths=(1, 2)).check_parameters()
    with pytest.raises(OptionError, match="depths must be three numbers"):
        recognize.create("htnet", depths=3).check_parameters()


def test_a_new_fit_forgets_the_epoch_that_a_monitor_chose_before() -> None:
    X, y = planted_images(12)
    recognizer = recognize.create("off_apexnet", epochs=2, device="cpu")
    recognizer.fit(X, y, monitor=Monitor(X, lambda labels: 1.0))  # the earliest of equals: epoch 1
    assert recognizer.best_epoch_ == 1
    recognizer.fit(X, y)
    assert recognizer.best_epoch_ is None
    assert np.array_equal(recognizer.at_last_epoch().predict_proba(X), recognizer.predict_proba(X))
