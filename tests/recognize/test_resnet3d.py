from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from microexp import recognize
from microexp.clip import Clip
from microexp.errors import DataError, OptionError
from microexp.motion.tim import tim_matrix
from microexp.recognize._resnet import BasicBlock, ZeroPadShortcut
from microexp.recognize.resnet3d import build_module


def small(**params: object) -> object:
    default = {"width": 2, "size": 16, "n_frames": 4, "epochs": 1, "device": "cpu"}
    return recognize.create("resnet3d", **{**default, **params})


def noise_clip(n: int = 9, **annotation: object) -> Clip:
    frames = np.random.default_rng(n).integers(40, 200, (n, 64, 64, 3), dtype=np.uint8)
    return Clip.from_array(frames, **{"name": "c1", **annotation})


@pytest.mark.parametrize(
    ("classes", "depth", "shortcut", "published"),
    [
        (400, 18, "A", 33_235_280),
        (4, 18, "A", 33_032_132),
        (400, 18, "B", 33_409_104),
        (400, 34, "A", 63_544_912),
    ],
)
def test_parameter_counts_are_the_published_ones(
    classes: int, depth: int, shortcut: str, published: int
) -> None:
    with torch.device("meta"):
        module = build_module(classes, depth, shortcut)
    assert sum(p.numel() for p in module.parameters()) == published


def test_work_is_8_32_giga_multiplications_for_16_frames() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_module(400)(torch.empty(1, 3, 16, 112, 112))
    assert counter.get_total_flops() / 2 == pytest.approx(8.32e9, rel=0.01)


def test_shortcut_a_is_stride_and_zeros_and_has_no_parameters() -> None:
    shortcut = ZeroPadShortcut(5, 2)
    assert not list(shortcut.parameters())
    for x in (torch.rand(2, 3, 5, 7, 8), torch.rand(2, 3, 7, 8)):
        pool = F.avg_pool3d if x.ndim == 5 else F.avg_pool2d
        kept = pool(x, 1, 2)
        assert torch.equal(shortcut(x), torch.cat([kept, torch.zeros(2, 5, *kept.shape[2:])], 1))


def test_a_block_that_adds_nothing_is_its_shortcut() -> None:
    block = BasicBlock(3, 4, 8, 2, "A").eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(1, 4, 4, 6, 6)
    out = block(x)
    assert torch.equal(out[:, :4], x[:, :, ::2, ::2, ::2].clamp_min(0))
    assert not out[:, 4:].any()


def test_each_stage_halves_time_and_space_and_the_first_layer_space_only() -> None:
    with torch.device("meta"):
        module = build_module(4)
        x = module.conv1(torch.empty(1, 3, 16, 112, 112))
        assert tuple(x.shape) == (1, 64, 16, 56, 56)
        x = module.maxpool(x)
        shapes = []
        for stage in (module.layer1, module.layer2, module.layer3, module.layer4):
            x = stage(x)
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 8, 28, 28), (128, 4, 14, 14), (256, 2, 7, 7), (512, 1, 4, 4)]


def test_as_many_frames_as_wanted_stay_as_they_are() -> None:
    clip = noise_clip(12, onset=2, offset=9)
    features = recognize.create("resnet3d", n_frames=8, size=64).features([clip])
    assert features.shape == (1, 3, 8, 64, 64)
    assert np.allclose(features[0], clip.frames[2:10].transpose(3, 0, 1, 2) / 255, atol=1e-5)


def test_frames_are_interpolated_in_time_from_onset_to_offset_or_the_end() -> None:
    clip = noise_clip(9, onset=1, offset=7)
    net = recognize.create("resnet3d", n_frames=5, size=64)
    weighted = np.einsum("nm,nhwc->cmhw", tim_matrix(7, 5), clip.frames[1:8] / 255).clip(0, 1)
    assert np.allclose(net.features([clip])[0], weighted, atol=1e-5)
    cut = Clip.from_array(clip.frames[:8], onset=1)
    assert np.array_equal(net.features([cut]), net.features([clip]))


def test_one_frame_is_repeated_and_a_difference_of_it_is_zero() -> None:
    clip = noise_clip(1)
    features = small(size=64).features([clip])
    assert np.allclose(features[0], clip.frames[0].transpose(2, 0, 1)[:, None] / 255, atol=1e-6)
    assert not small(difference=True).features([clip]).any()


def test_a_difference_is_each_frame_minus_the_onset() -> None:
    clip = noise_clip(9, onset=2)
    plain, relative = (small(difference=d).features([clip]) for d in (False, True))
    assert np.allclose(plain - plain[:, :, :1], relative, atol=1e-5)


def test_a_clip_is_mirrored_as_a_whole() -> None:
    staged, labels = torch.rand(40, 3, 4, 5, 5), torch.arange(40)
    torch.manual_seed(0)
    turned, _ = small(flip=True).augment(staged, labels)
    is_same = (turned == staged).flatten(1).all(1)
    is_mirrored = (turned == staged.flip(-1)).flatten(1).all(1)
    assert (is_same ^ is_mirrored).all()
    assert is_same.any()
    assert is_mirrored.any()


def test_few_clips_are_predicted_at_once() -> None:
    net = small()
    X, y = np.random.default_rng(0).random((11, 3, 4, 16, 16), np.float32), np.arange(11) % 3
    net.fit(X, y)
    seen: list[int] = []
    net.module_.register_forward_hook(lambda module, x, y: seen.append(len(x[0])))
    net.predict(X)
    assert seen == [8, 3]


def test_presets_are_the_settings_of_the_study_and_of_the_authors() -> None:
    study, authors = (recognize.create("resnet3d", preset) for preset in ("sr_mer", "paper"))
    assert (study.n_frames, study.recipe().lr) == (16, 1e-4)
    assert (authors.depth, authors.shortcut, authors.n_frames, authors.size) == (34, "A", 16, 112)


def test_wrong_shapes_and_values_are_refused() -> None:
    with pytest.raises(DataError, match=r"takes pictures \(N, 3, 4, 16, 16\); got \(4, 3, 5, 16, 16\)"):
        small().fit(np.zeros((4, 3, 5, 16, 16)), np.arange(4))
    for wrong in ({"depth": 50}, {"shortcut": "C"}, {"width": 0}, {"n_frames": 0}, {"size": 0}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            small(**wrong).check_parameters()
    with pytest.raises(OptionError, match="n_frames"):
        small(n_frames=0).features([noise_clip()])
