import colorsys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microexp.errors import DataError, OptionError, UnknownNameError
from microexp.flow_colours import colour_flow
from microexp.motion.bidirectional import Bidirectional
from microexp.motion.farneback import Farneback
from microexp.motion.flow_image import CHANNELS, FlowImage
from microexp.motion.strain import optical_strain

flows = arrays(np.float32, (1, 12, 14, 2), elements=st.floats(-5, 5, width=32))


@given(flows, st.sampled_from(["minmax", "signed"]), st.sampled_from([7, 12, 20, None]))
@settings(max_examples=40, deadline=None)
def test_ranges(flow, scaling, size):
    image = FlowImage(channels=CHANNELS, scaling=scaling, size=size).images(flow)
    assert image.shape == (1, 7, size or 12, size or 14) and image.dtype == np.float32
    assert np.abs(image).max() <= 1 and image[:, 2:].min() >= 0
    if scaling == "minmax":
        low, high = image[0, :4].min(axis=(1, 2)), image[0, :4].max(axis=(1, 2))
        assert (low == 0).all() and np.isin(high, (0, 1)).all()


def test_a_constant_channel_is_zero():
    flow = np.full((1, 28, 28, 2), 1.25, np.float32)
    assert not FlowImage().images(flow).any()


def test_signed_keeps_zero_and_strength():
    flow = np.zeros((2, 28, 28, 2), np.float32)
    flow[1, :, :, 0], flow[1, :, :, 1] = -1, 5
    image = FlowImage(channels=("u", "v", "magnitude", "strain"), scaling="signed", limit=2).images(flow)
    assert not image[0].any()
    assert (image[1, 0] == -0.5).all() and (image[1, 1] == 1).all()  # 5 px is clipped
    assert (image[1, 2] == 1).all() and not image[1, 3].any()


def test_none_keeps_pixels_and_area_means():
    flow = np.random.default_rng(0).normal(size=(1, 56, 56, 2)).astype(np.float32)
    u, v, strain = FlowImage(scaling="none").images(flow)[0]
    means = flow[0].reshape(28, 2, 28, 2, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(u, means[..., 0], atol=1e-5)
    np.testing.assert_allclose(v, means[..., 1], atol=1e-5)
    full = optical_strain(flow[0]).reshape(28, 2, 28, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(strain, full, atol=1e-5)


@given(flows)
@settings(max_examples=30, deadline=None)
def test_mirroring_negates_u_only(flow):
    mirrored = flow[:, :, ::-1] * np.float32([-1, 1])
    maker = FlowImage(channels=("u", "v", "strain", "magnitude"), scaling="none", size=7)
    u, *rest = maker.images(flow)[0][..., ::-1]
    other_u, *other_rest = maker.images(mirrored)[0]
    np.testing.assert_allclose(other_u, -u, atol=1e-5)
    np.testing.assert_allclose(other_rest, rest, atol=1e-5)


def test_mirroring_a_clip_negates_u(clip_of):
    clip = clip_of()
    mirrored = clip.replace(frames=clip.frames.map(lambda picture: picture[:, ::-1]))
    maker = FlowImage(Farneback(), channels=("u", "v"), scaling="none")
    image, other = maker.transform([clip, mirrored])
    inner = np.s_[5:-5, 5:-5]
    np.testing.assert_allclose(other[0][inner], -image[0, :, ::-1][inner], atol=0.02)
    np.testing.assert_allclose(other[1][inner], image[1, :, ::-1][inner], atol=0.02)


def test_hsv_is_angle_and_magnitude():
    flow = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype(np.float32)
    image = FlowImage(channels="hsv", size=None).images(flow)[0]
    magnitude = np.hypot(*flow[0].transpose(2, 0, 1))
    value = (magnitude - magnitude.min()) / np.ptp(magnitude)
    for y, x in np.ndindex(6, 6):
        hue = np.arctan2(flow[0, y, x, 1], flow[0, y, x, 0]) / (2 * np.pi) % 1
        assert image[:, y, x] == pytest.approx(colorsys.hsv_to_rgb(hue, 1, value[y, x]), abs=1e-4)


def test_clips_of_different_sizes(clip_of):
    clips = [clip_of(96), clip_of(64, seed=1)]
    image = FlowImage(Farneback(), size=16).fit_transform(clips)
    assert image.shape == (2, 3, 16, 16)
    assert np.array_equal(image[1:], FlowImage(Farneback(), size=16).transform(clips[1:]))
    flow = Farneback().transform(clips[:1])
    assert np.array_equal(image[:1], FlowImage(size=16).images(flow))
    with pytest.raises(DataError, match="differ in size"):
        FlowImage(Farneback(), size=None).transform(clips)


def test_bidirectional_flows(clip_of):
    clips = [clip_of()]
    assert FlowImage(Bidirectional()).transform(clips).shape == (1, 3, 28, 28)
    stacked = FlowImage(Bidirectional(fusion="concat"), channels=("u", "strain"))
    image = stacked.transform(clips)
    assert image.shape == (1, 4, 28, 28)
    assert stacked.channel_names(2) == ["onset_u", "onset_strain", "offset_u", "offset_strain"]
    to_offset = Farneback().flow(clips[0].frames[2], clips[0].frames[4])
    assert np.array_equal(image[:, 2:], stacked.images(to_offset[None]))
    assert FlowImage(channels=("hsv", "v")).channel_names() == ["red", "green", "blue", "v"]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"channels": ("u", "w")}, UnknownNameError),
        ({"channels": ()}, OptionError),
        ({"scaling": "max"}, UnknownNameError),
        ({"scaling": "none", "channels": "hsv"}, OptionError),
        ({"size": 0}, OptionError),
        ({"limit": 0.0}, OptionError),
    ],
)
def test_bad_parameters(params, error, clip_of):
    with pytest.raises(error):
        FlowImage(**params).images(np.zeros((1, 8, 8, 2)))
    with pytest.raises(error):
        FlowImage(**params).transform([clip_of()])


@pytest.mark.parametrize("shape", [(8, 8, 2), (1, 8, 8, 3), (0, 8, 8, 2)])
def test_bad_flow(shape):
    with pytest.raises(DataError, match="N, H, W, 2"):
        FlowImage().images(np.zeros(shape, np.float32))
    with pytest.raises(DataError, match="no clips"):
        FlowImage().transform([])


def test_colour_flow():
    flow = np.zeros((5, 6, 2), np.float32)
    assert (colour_flow(flow) == 255).all()
    flow[0, 0], flow[1, 1] = (2, 0), (-1, 0)
    picture = colour_flow(flow)
    assert picture.shape == (5, 6, 3) and picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[1, 1].tolist() == [128, 255, 255]
    assert colour_flow(flow, max_magnitude=4)[0, 0].tolist() == [255, 128, 128]
    assert colour_flow(flow, max_magnitude=1)[0, 0].tolist() == [255, 0, 0]
    with pytest.raises(OptionError, match="positive"):
        colour_flow(flow, max_magnitude=0)
    with pytest.raises(DataError, match="H, W, 2"):
        colour_flow(flow[0])
