import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microexp.errors import DataError
from microexp.motion.strain import Strain, optical_strain

coefficient = st.floats(-1, 1)


def linear_field(a, b, c, d, size=12):
    y, x = np.mgrid[:size, : size + 3]
    return np.stack([a * x + b * y + 3, c * x + d * y - 2], axis=-1)


@given(coefficient, coefficient, coefficient, coefficient)
def test_linear_field_has_constant_strain(a, b, c, d):
    strain = optical_strain(linear_field(a, b, c, d))
    assert strain.shape == (12, 15) and strain.dtype == np.float32
    np.testing.assert_allclose(strain, np.sqrt(a**2 + d**2 + (b + c) ** 2 / 2), atol=1e-6)


def test_translation_and_rigid_rotation_have_none():
    assert not optical_strain(linear_field(0, 0, 0, 0)).any()
    np.testing.assert_allclose(optical_strain(linear_field(0, -0.1, 0.1, 0)), 0, atol=1e-7)


def test_leading_dimensions_and_the_transformer():
    flow = np.random.default_rng(0).normal(size=(2, 3, 9, 8, 2)).astype(np.float32)
    strain = optical_strain(flow)
    assert strain.shape == (2, 3, 9, 8) and (strain >= 0).all()
    assert np.array_equal(strain[1, 2], optical_strain(flow[1, 2]))
    assert np.array_equal(Strain().fit_transform(flow[0]), strain[0])


def test_x_and_y_derivatives_are_not_swapped():
    flow = np.zeros((9, 9, 2))
    flow[..., 0] = np.arange(9) ** 2 / 2  # u = x^2 / 2: u_x = x
    np.testing.assert_allclose(optical_strain(flow)[4, 1:-1], np.arange(1, 8))


@pytest.mark.parametrize("shape", [(5, 5), (5, 5, 3), (1, 5, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match=r"\(\.\.\., H, W, 2\)"):
        optical_strain(np.zeros(shape))
