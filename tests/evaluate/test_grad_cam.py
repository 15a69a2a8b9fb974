"""Grad-CAM against CAM computed by hand, and on every registered network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.exceptions import NotFittedError
from torch import Tensor, nn
from torch.nn import functional as F

from microexp import recognize
from microexp.errors import DataError, OptionError
from microexp.evaluate.grad_cam import energy_share, grad_cam, overlay
from microexp.motion.flow_image import FlowImage
from microexp.recognize.torch_base import TorchRecognizer
from microexp.train import Recipe
from tests.conftest import planted_images


class Plain(TorchRecognizer):
    """Convolution, global average pool, linear: the network for which Grad-CAM is CAM."""

    feature_ndim = 4

    def __init__(self, epochs: int = 2, random_state: int = 0, device: str = "cpu", verbose: bool = False):
        self.epochs = epochs
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def describe(self, clips: Any) -> np.ndarray:
        return FlowImage().fit_transform(clips)

    def build(self, n_classes: int) -> nn.Module:
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(nn.Conv2d(3, 5, 4, stride=4), pool, nn.Linear(5, n_classes))

    def recipe(self) -> Recipe:
        return Recipe(epochs=self.epochs, batch_size=8, lr=0.05)


class Viewed(Plain):
    """The same on features with an axis of views, of which prediction takes the first."""

    feature_ndim = 5

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        return module(staged[:, 0])


class Attending(Plain):
    """Names the layer to look at itself: here the rectified maps of the first of two convolutions."""

    def build(self, n_classes: int) -> nn.Module:
        tail = [nn.Conv2d(5, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, n_classes)]
        return nn.Sequential(nn.Conv2d(3, 5, 4, stride=4), nn.ReLU(inplace=True), *tail)

    def attended(self, module: nn.Module) -> nn.Module:
        return module[1]


class Cropping(Plain):
    """Sees the middle of the picture."""

    crop = 20

    def forward(self, module: nn.Module, staged: Tensor) -> Tensor:
        return module(staged[..., 4:24, 4:24])


class Flat(Plain):
    """A network without a convolution."""

    def build(self, n_classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 28 * 28, n_classes))


def scaled(maps: Tensor, side: int) -> np.ndarray:
    """Rectified, spread bilinearly, over the maximum."""
    heat = F.interpolate(maps.clamp_min(0)[:, None], (side, side), mode="bilinear")[:, 0]
    return (heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-30)).numpy()


def cam(module: Any, X: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Class weights times maps over the number of positions."""
    with torch.no_grad():
        maps = module[0](torch.from_numpy(X))
        weights = module[-1].weight[torch.from_numpy(targets)]
        return scaled(torch.einsum("nk,nkyx->nyx", weights, maps) / maps.shape[2:].numel(), X.shape[-1])


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    return planted_images(20)


def with_strong_weights(recognizer: Plain) -> Plain:
    """So that every class has something that speaks for it."""
    generator = torch.Generator().manual_seed(0)
    for parameter in recognizer.module_.parameters():
        parameter.data.normal_(generator=generator)
    return recognizer


@pytest.fixture(scope="module")
def plain(images: Any) -> Plain:
    return with_strong_weights(Plain().fit(*images))


@pytest.mark.parametrize("asked", [None, 0, 1, 2])
def test_it_is_cam_where_a_linear_head_follows_the_average_of_the_maps(
    asked: int | None, plain: Plain, images: Any
) -> None:
    X, _ = images
    labels = None if asked is None else np.full(len(X), asked)
    targets = plain.predict_proba(X).argmax(1) if labels is None else labels
    heat = grad_cam(plain, X, labels)
    expected = cam(plain.module_, X, targets)
    assert heat.shape == (20, 28, 28)
    assert heat.dtype == np.float32
    assert expected.any()
    assert np.allclose(heat, expected, atol=1e-5)


def test_labels_are_those_of_the_fit_whatever_integers_they_are(plain: Plain, images: Any) -> None:
    X, y = images
    names = np.array([-3, 5, 40])
    renamed = with_strong_weights(Plain().fit(X, names[y]))
    assert np.array_equal(grad_cam(renamed, X, names[y]), grad_cam(plain, X, y))


def test_the_axis_of_views_is_left_to_the_recogniser(plain: Plain, images: Any) -> None:
    X, y = images
    views = np.stack([X, X[::-1]], axis=1)
    viewed = with_strong_weights(Viewed().fit(views, y))
    assert np.allclose(grad_cam(viewed, views), grad_cam(plain, X), atol=1e-6)


def test_a_recogniser_may_name_its_layer(images: Any) -> None:
    X, y = images
    recognizer = Attending().fit(X, y)
    with torch.enable_grad():
        maps = F.relu(recognizer.module_[0](torch.from_numpy(X))).detach().requires_grad_()
        recognizer.module_[2:](maps).gather(1, torch.from_numpy(y)[:, None]).sum().backward()
    gradient = maps.grad
    assert gradient is not None
    by_hand = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1)
    assert np.allclose(grad_cam(recognizer, X, y), scaled(by_hand, 28), atol=1e-5)


def test_the_margin_that_is_cut_off_is_cold(plain: Plain, images: Any) -> None:
    X, y = images
    heat = grad_cam(with_strong_weights(Cropping().fit(X, y)), X, y)
    seen = np.ascontiguousarray(X[..., 4:24, 4:24])
    assert np.allclose(heat[:, 4:24, 4:24], cam(plain.module_, seen, y), atol=1e-5)
    heat[:, 4:24, 4:24] = 0
    assert not heat.any()


def test_nothing_for_the_class_is_zero_everywhere(images: Any) -> None:
    X, y = images
    recognizer = Plain().fit(X, y)
    with torch.no_grad():
        recognizer.module_[0].weight.zero_()
        recognizer.module_[0].bias.fill_(1.0)
        recognizer.module_[-1].weight.fill_(-1.0)
    assert not grad_cam(recognizer, X).any()


def test_the_network_stays_as_it_was(plain: Plain, images: Any) -> None:
    parameters = list(plain.module_.parameters())
    values, gradients = [p.detach().clone() for p in parameters], [p.grad.clone() for p in parameters]
    with torch.no_grad():  # a caller who switched gradients off gets the same
        heat = grad_cam(plain, images[0])
    assert np.array_equal(heat, grad_cam(plain, images[0]))
    assert not any(m.training for m in plain.module_.modules())
    assert not any(m._forward_hooks for m in plain.module_.modules())
    assert all(p.requires_grad for p in parameters)
    assert all(map(torch.equal, parameters, values))
    assert all(map(torch.equal, (p.grad for p in parameters), gradients))


def test_one_clip_does_not_change_the_map_of_another(plain: Plain, images: Any) -> None:
    X, _ = images
    assert np.allclose(grad_cam(plain, X[7:8])[0], grad_cam(plain, X)[7], atol=1e-6)


FLOW = (3, 28, 28)
TINY: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {  # parameters, shape of one clip's features
    "starter_cnn": ({}, FLOW),
    "ststnet": ({}, FLOW),
    "off_apexnet": ({}, FLOW),
    "dual_inception": ({}, FLOW),
    "rcn_a": ({}, FLOW),
    "featref": ({"units": 8}, FLOW),
    "htnet": ({"width": 12, "depths": (1, 1, 1)}, FLOW),
    "bowam": ({"size": 34, "dims": (8, 16), "depths": (1, 1), "layer_scale": 0.1}, (1, 3, 34, 34)),
    "convnext": ({"size": 34, "dims": (8, 16), "depths": (1, 1), "layer_scale": 0.1}, (1, 3, 34, 34)),
    "frl_dgt": ({"size": 32, "width": 8, "heads": 2, "patch": 8, "apex_views": 1}, (2, 32, 32)),
    "resnet18": ({"width": 4, "size": 64}, (3, 64, 64)),
    "cnn_svm": ({"size": 16}, (3, 16, 16)),
}
WITHOUT_A_MAP: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "resnet3d": ({"width": 2, "size": 32, "n_frames": 4}, (3, 4, 32, 32)),
}


def tiny(name: str) -> tuple[Any, np.ndarray]:
    """A network that has hardly been trained, and features of six clips."""
    params, shape = (TINY | WITHOUT_A_MAP)[name]
    X = np.random.default_rng(0).random((6, *shape), dtype=np.float32)
    recognizer = recognize.create(name, epochs=1, batch_size=6, device="cpu", **params)
    return recognizer.fit(X, np.arange(6) % 3), X


def test_every_registered_network_is_tried_here() -> None:
    networks = {name for name in recognize.names() if recognize.get(name).has_epochs}
    assert networks == TINY.keys() | WITHOUT_A_MAP.keys()


@pytest.mark.parametrize("name", TINY)
def test_registered_networks_have_a_map_for_some_class(name: str) -> None:
    recognizer, X = tiny(name)
    heat = np.stack([grad_cam(recognizer, X, np.full(6, label)) for label in range(3)])
    assert heat.shape == (3, 6, *X.shape[-2:])
    assert ((heat >= 0) & (heat <= 1)).all()
    peaks = heat.max(axis=(2, 3))
    assert ((peaks == 0) | np.isclose(peaks, 1)).all()
    assert (peaks > 0).any(axis=0).all()


@pytest.mark.parametrize("name", WITHOUT_A_MAP)
def test_networks_without_a_two_dimensional_convolution_say_so(name: str) -> None:
    recognizer, X = tiny(name)
    with pytest.raises(OptionError, match="no two-dimensional convolution"):
        grad_cam(recognizer, X)


def test_who_is_no_network_or_has_no_map_is_told(images: Any) -> None:
    X, y = images
    with pytest.raises(OptionError, match="LinearSVM is none"):
        grad_cam(recognize.create("linear_svm").fit(X, y), X)
    with pytest.raises(OptionError, match="Flat has no two-dimensional convolution"):
        grad_cam(Flat().fit(X, y), X)
    with pytest.raises(NotFittedError):
        grad_cam(Plain(), X)


@pytest.mark.parametrize("labels", [[0, 1], np.full(20, 3), np.zeros((20, 1), int)])
def test_labels_that_do_not_fit_are_refused(labels: Any, plain: Plain, images: Any) -> None:
    with pytest.raises(DataError, match=r"20 clips need as many labels out of \[0, 1, 2\]"):
        grad_cam(plain, images[0], labels)


HEATS = hnp.arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32))
MASKS = hnp.arrays(bool, (6, 7))


@given(HEATS, MASKS)
def test_inside_and_outside_make_the_whole(heat: np.ndarray, mask: np.ndarray) -> None:
    inside, outside = energy_share(heat, mask), energy_share(heat, ~mask)
    if heat.any():
        assert inside + outside == pytest.approx(1)
    else:
        assert np.isnan(inside)


@given(MASKS)
def test_even_heat_has_the_share_of_the_area(mask: np.ndarray) -> None:
    assert energy_share(np.full((6, 7), 0.3), mask) == pytest.approx(mask.mean())


def test_masks_that_do_not_fit_are_refused() -> None:
    for mask in (np.ones((7, 6), bool), np.ones((6, 7))):
        with pytest.raises(DataError, match="boolean mask of its shape"):
            energy_share(np.ones((6, 7)), mask)


def test_overlay_is_blue_where_cold_and_red_where_hot() -> None:
    picture = np.full((40, 60, 3), 120, np.uint8)
    heat = np.zeros((2, 2))
    heat[:, 1] = 1
    seen = overlay(picture, heat, alpha=0.5)
    assert seen.shape == picture.shape
    assert seen.dtype == np.uint8
    assert seen[0, 0, 2] > seen[0, 0, 0]
    assert seen[0, -1, 0] > seen[0, -1, 2]
    assert np.array_equal(overlay(picture, heat, alpha=0), picture)


def test_overlay_refuses_what_is_no_picture() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(DataError, match="uint8 RGB and heat"):
        overlay(picture / 255, np.zeros((2, 2)))
    with pytest.raises(DataError, match="uint8 RGB and heat"):
        overlay(picture, np.zeros((1, 2, 2)))
    with pytest.raises(OptionError, match="alpha"):
        overlay(picture, np.zeros((2, 2)), alpha=2)
