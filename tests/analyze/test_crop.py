import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from microexp.analyze.crop import ROOM, USUAL, Crop, crop_box, crop_flow, crop_image, crop_matrix
from microexp.faces.geometry import transform_points

SIZE = 140  # so that the crop has 100 pixels


def landmarks(left: tuple[float, float], right: tuple[float, float]) -> np.ndarray:
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = left, right
    return points


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(20, 200), st.sampled_from([96, 128, 192]))
def test_the_eyes_come_to_their_places(x: float, y: float, distance: float, size: int) -> None:
    points = landmarks((x, y), (x + distance, y))
    left, right = transform_points(points, crop_matrix(points, size))[[36, 42]]
    side = size / ROOM
    top = (size - 1) / 2 - side / 2
    np.testing.assert_allclose(right - left, [USUAL.eye_distance * side, 0], atol=1e-3)
    np.testing.assert_allclose((left + right) / 2, [(size - 1) / 2, top + USUAL.eye_row * side], atol=1e-3)


@given(st.builds(Crop, st.floats(0.4, 0.7), st.floats(0.1, 0.3), st.floats(-0.1, 0.1), st.floats(0.9, 1.1)))
def test_a_crop_has_the_eyes_where_it_says(crop: Crop) -> None:
    left, top, width, height = crop_box(SIZE, crop)
    eyes = np.array([(SIZE - 1) / 2, (SIZE - 1) / 2 + (USUAL.eye_row - 0.5) * SIZE / ROOM])
    assert np.isclose(USUAL.eye_distance * SIZE / ROOM / width, crop.eye_distance)
    np.testing.assert_allclose((eyes - [left, top]) / [width, height], [0.5 + crop.shift, crop.eye_row])
    assert np.isclose(height, crop.height * width)


def test_the_usual_crop_is_in_the_middle() -> None:
    np.testing.assert_allclose(crop_box(SIZE), [19.5, 19.5, 100, 100])


def test_pictures_are_of_the_crop_alone() -> None:
    flow = np.zeros((SIZE, SIZE, 2), np.float32)
    flow[..., 0] = np.arange(SIZE)  # to the right, the more so the further right
    flow[:10] = flow[:, :10] = flow[-10:] = flow[:, -10:] = 1e3  # outside the crop
    u, v, _ = crop_image(flow)
    np.testing.assert_allclose(u, np.tile(np.linspace(0, 1, 28), (28, 1)), atol=0.01)
    assert not v.any()


def test_flow_of_a_shifted_picture_is_the_shift() -> None:
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.uniform(0, 255, (300, 300)), (0, 0), 4)
    grey = (grey - grey.min()) / np.ptp(grey) * 255
    first = np.repeat(grey[20:220, 20:220, None], 3, 2).astype(np.uint8)
    second = np.repeat(grey[20:220, 18:218, None], 3, 2).astype(np.uint8)  # moved 2 pixels to the right
    points = landmarks((70, 80), (130, 80))
    scale = crop_matrix(points, 96)[0, 0]
    flow = crop_flow(first, second, points, 96)
    np.testing.assert_allclose(np.median(flow, (0, 1)), [2 * scale, 0], atol=0.05)
