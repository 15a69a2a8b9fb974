"""Pictures of a head: weak-perspective camera, light, and shading of what the z-buffer sees.

Light is linear; a picture is float32 RGB in [0, 255] after the display curve (power 1/2.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from microexp.datasets.synthetic import _chart as chart
from microexp.datasets.synthetic._action_units import side_weight
from microexp.datasets.synthetic._assets import (
    CAVITY,
    LEFT_EYE,
    LOWER_TEETH,
    RIGHT_EYE,
    SKIN,
    SOCKET,
    TONGUE,
    UPPER_TEETH,
    assets,
)
from microexp.datasets.synthetic._hair import hair_volume, paint_hair, scalp_height
from microexp.datasets.synthetic._look import Look, head_vertices
from microexp.datasets.synthetic._mesh import neighbour_average, vertex_normals
from microexp.datasets.synthetic._raster import Coverage, rasterise
from microexp.datasets.synthetic._skin import fold_masks, paint_skin

Folds = Mapping[tuple[str, str], float]

GAMMA = 2.2
FOLD_SHADE = 0.32  # how much a fold at full depth darkens the picture (log of display values)
SUPERSAMPLING = 2
_DISTANCE = 10.0  # from the camera to the eyes, decimetres
_EYE_LEVEL = 0.46  # of the picture's height
_INNER = {  # linear albedo of the parts inside the mouth and the eye sockets
    UPPER_TEETH: (0.62, 0.58, 0.48),
    LOWER_TEETH: (0.52, 0.48, 0.39),
    TONGUE: (0.36, 0.11, 0.10),
    CAVITY: (0.16, 0.035, 0.03),
    SOCKET: (0.30, 0.12, 0.10),
}


@dataclass(frozen=True)
class Pose:
    """Head motion away from the subject's resting pose.

    Attributes
    ----------
    angles : tuple of float
        Pitch, yaw, roll, radians.
    shift : tuple of float
        Right and down, pixels of the picture.
    """

    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift: tuple[float, float] = (0.0, 0.0)


REST = Pose()


@dataclass(frozen=True)
class Window:
    """A rectangle of the picture that is drawn, in pixels."""

    left: int
    top: int
    width: int
    height: int


class Head:
    """One subject in front of the camera.

    Parameters
    ----------
    look : Look
        The subject's appearance.
    size : int
        Side of the square picture, pixels.
    """

    def __init__(self, look: Look, size: int) -> None:
        self.look, self.size = look, size
        bare = head_vertices(look)
        self.neutral = bare + hair_volume(look, vertex_normals(bare))
        ids = [assets().part_vertices(part) for part in (LEFT_EYE, RIGHT_EYE)]
        self.eyes = [bare[i].mean(0) for i in ids]
        self.centre = (self.eyes[0] + self.eyes[1]) / 2
        gap = float(np.sqrt(((self.eyes[0] - self.eyes[1]) ** 2).sum()))
        self.scale = look.scale * size / gap  # pixels per decimetre

    def rotation(self, pose: Pose = REST) -> np.ndarray:
        """Return the rotation of the head, ``(3, 3)``."""
        pitch, yaw, roll = (a + b for a, b in zip(self.look.pose, pose.angles, strict=True))
        (cp, sp_), (cy, sy), (cr, sr) = ((np.cos(t), np.sin(t)) for t in (pitch, yaw, roll))
        about_x = np.array([[1, 0, 0], [0, cp, -sp_], [0, sp_, cp]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return about_z @ about_x @ about_y

    def project(self, vertices: np.ndarray, pose: Pose = REST) -> np.ndarray:
        """Return picture coordinates ``(V, 3)``: x and y in pixels (first pixel's centre at 0, 0), depth."""
        x, y, z = ((vertices - self.centre) @ self.rotation(pose).T).T
        near = self.scale * _DISTANCE / (_DISTANCE - z)
        u = (self.size - 1) / 2 + x * near + pose.shift[0]
        v = _EYE_LEVEL * self.size - y * near + pose.shift[1]
        return np.stack([u, v, z], axis=1)

    @cached_property
    def chart(self) -> np.ndarray:
        """Painted skin and hair, linear albedo, at the picture's resolution, ``(h, w, 3) float32``."""
        full = paint_hair(self.look, paint_skin(self.look))
        reduced = min(1.0, 1.25 * SUPERSAMPLING * self.scale / chart.DENSITY)
        size = (round(chart.WIDTH * reduced), round(chart.HEIGHT * reduced))
        return full if reduced == 1.0 else cv2.resize(full, size, interpolation=cv2.INTER_AREA)

    @cached_property
    def backdrop(self) -> np.ndarray:
        """The wall behind, linear RGB, ``(size, size, 3) float32``."""
        rng = np.random.default_rng([self.look.seed, 41, self.look.index])
        rough = rng.standard_normal((5, 5)).astype(np.float32) * 0.10
        cloud = cv2.resize(rough, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        ramp = np.linspace(0.15, -0.15, self.size, dtype=np.float32)[:, None]
        return np.exp(cloud + ramp)[..., None] * np.array(self.look.backdrop, np.float32)

    def light(self, normals: np.ndarray, occlusion: np.ndarray | float = 1.0) -> np.ndarray:
        """Light that falls on surfaces with the given normals ``(N, 3)``, linear RGB ``(N, 3)``."""
        normals = normals.astype(np.float32)
        key = normals @ np.array(self.look.light, np.float32)
        back = normals @ np.array([-self.look.light[0], 0.1, 0.6], np.float32)
        wrap = np.array([0.30, 0.18, 0.12], np.float32)  # light scatters under the skin, red the farthest
        direct = np.clip((key[:, None] + wrap) / (1 + wrap), 0, 1)
        sky = 0.75 + 0.25 * normals[:, 1:2]
        ambient = self.look.ambient * sky * np.reshape(np.asarray(occlusion, np.float32), (-1, 1))
        fill = 0.10 * np.clip(back, 0, 1)[:, None]
        return (
            ambient
            + fill
            + (1.12 - self.look.ambient) * direct * (0.5 + 0.5 * np.reshape(occlusion, (-1, 1)))
        )

    def luminance(self, vertices: np.ndarray, pose: Pose = REST) -> np.ndarray:
        """How bright each vertex is lit, ``(V,) float32``."""
        normals = vertex_normals(vertices) @ self.rotation(pose).T
        return self.light(normals) @ np.array([0.3, 0.6, 0.1], np.float32)

    def draw(
        self,
        vertices: np.ndarray,
        pose: Pose = REST,
        window: Window | None = None,
        folds: Folds | None = None,
    ) -> tuple[np.ndarray, Coverage]:
        """Render the head.

        Parameters
        ----------
        vertices : numpy.ndarray
            ``(V, 3)``, decimetres.
        pose : Pose
            Head motion.
        window : Window, optional
            Part of the picture to draw; all of it if not given.
        folds : mapping, optional
            How deep the folds of the skin are, by (name, side).

        Returns
        -------
        numpy.ndarray
            ``(h, w, 3) float32`` in [0, 255].
        Coverage
            What each of the supersampled pixels sees.
        """
        window = window or Window(0, 0, self.size, self.size)
        s = SUPERSAMPLING
        points = self.project(vertices, pose)
        points[:, :2] = (points[:, :2] + 0.5 - [window.left, window.top]) * s
        seen = rasterise(points, assets().triangles, (window.height * s, window.width * s))
        wall = self.backdrop[window.top :, window.left :][: window.height, : window.width]
        canvas = np.repeat(np.repeat(wall, s, 0), s, 1).reshape(-1, 3)
        canvas[seen.pixels] = self._shade(vertices, pose, seen, folds or {})
        linear = cv2.resize(
            canvas.reshape(*seen.shape, 3), (window.width, window.height), interpolation=cv2.INTER_AREA
        )
        return display(linear), seen

    def _shade(self, vertices: np.ndarray, pose: Pose, seen: Coverage, folds: Folds) -> np.ndarray:
        """Linear RGB of the covered pixels, ``(N, 3) float32``."""
        turn = self.rotation(pose)
        per_vertex = np.concatenate(
            [vertex_normals(vertices) @ turn.T, chart.vertex_chart(), self.occlusion[:, None]], axis=1
        ).astype(np.float32)
        values = seen.interpolate(assets().triangles, per_vertex)
        normals = values[:, :3] / np.sqrt((values[:, :3] ** 2).sum(1, keepdims=True) + 1e-9)
        parts = assets().parts[seen.triangles]
        albedo = self._albedo(parts, values[:, 3:5])
        light = self.light(normals, np.where(parts == SKIN, values[:, 5], 1.0))
        linear = albedo * light
        skin = parts == SKIN
        if folds:
            linear *= np.exp(-FOLD_SHADE * GAMMA * self.folds_at(seen, folds))[:, None]
        linear[skin] += self._gloss(normals[skin], values[skin, 3:5], values[skin, 5])
        for part, centre in ((LEFT_EYE, self.eyes[0]), (RIGHT_EYE, self.eyes[1])):
            eye = parts == part
            if eye.any():
                points = seen.interpolate(assets().triangles, vertices.astype(np.float32))[eye]
                linear[eye] = self._eye(points - centre.astype(np.float32), turn)
        self._shadow_mouth(linear, parts)
        self._shadow_eyes(linear, parts, seen)
        return linear

    def _albedo(self, parts: np.ndarray, at: np.ndarray) -> np.ndarray:
        albedo = chart.sample(self.chart, at)
        for part, colour in _INNER.items():
            albedo[parts == part] = colour
        shirt = np.clip((-1.05 - 0.12 * np.abs(at[:, 0]) - at[:, 1]) / 0.015, 0, 1)[:, None]
        return np.where(
            shirt > 0, albedo * (1 - shirt) + shirt * np.array(self.look.shirt, np.float32), albedo
        )

    def folds_at(self, seen: Coverage, folds: Folds) -> np.ndarray:
        """Depth of the skin's folds at covered pixels, ``(N,) float32``, summed over `folds`."""
        at = seen.interpolate(assets().triangles, chart.vertex_chart().astype(np.float32))
        depth = np.zeros(len(at), np.float32)
        for (name, side), amount in folds.items():
            mask = fold_masks()[name]
            depth += amount * chart.sample(mask, at) * side_weight(at[:, 0], side)
        depth[assets().parts[seen.triangles] != SKIN] = 0
        return depth

    def _gloss(self, normals: np.ndarray, at: np.ndarray, occlusion: np.ndarray) -> np.ndarray:
        """Reflection of the key light on the skin, ``(N, 1)``."""
        half = np.array(self.look.light) + [0, 0, 1]
        half /= np.sqrt((half**2).sum())
        facing = np.clip(normals @ half.astype(np.float32), 0, 1)
        hair = np.clip(scalp_height(self.look, at) / 0.05, 0, 1)
        oily = np.exp(-((at[:, 0] / 0.28) ** 2)) * 0.6 + 0.4
        skin = self.look.gloss * oily * (0.045 * facing**14 + 0.05 * facing**60)
        strand = 0.02 * facing**8
        return ((skin * (1 - hair) + strand * hair) * occlusion)[:, None].astype(np.float32)

    def _eye(self, from_centre: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """Sclera, iris, pupil and the catch light, linear RGB ``(N, 3)``."""
        normals = from_centre / np.sqrt((from_centre**2).sum(1, keepdims=True) + 1e-12)
        angle = np.degrees(np.arccos(np.clip(normals[:, 2], -1, 1)))
        around = np.arctan2(normals[:, 1], normals[:, 0])
        rays = 1 + 0.22 * np.sin(around * 23 + 2 * np.sin(around * 7)) + 0.12 * np.sin(around * 41)
        iris = np.array(self.look.iris, np.float32) * rays[:, None]
        iris = (
            iris * (1.25 - 0.9 * _ramp(angle, 20, 27))[:, None] * (0.8 + 0.5 * _ramp(angle, 18, 11))[:, None]
        )
        white = np.array([0.60, 0.56, 0.53], np.float32) * (1 - 0.35 * _ramp(angle, 32, 70))[:, None]
        white = white * (1 - np.array([0.02, 0.16, 0.16], np.float32) * _ramp(angle, 38, 75)[:, None])
        inside = _ramp(angle, 29, 26.5)[:, None]
        pupil = _ramp(angle, 11.5, 10)[:, None]
        colour = white * (1 - inside) + iris * inside
        colour = colour * (1 - pupil) + 0.004 * pupil
        turned = normals @ turn.T.astype(np.float32)
        half = np.array(self.look.light) + [0, 0, 1]
        half /= np.sqrt((half**2).sum())
        glint = np.clip((turned @ half.astype(np.float32) - 0.986) / 0.006, 0, 1)
        lit = 0.45 + 0.55 * self.light(turned)
        return (colour * lit * 0.85 + 0.75 * glint[:, None]).astype(np.float32)

    @staticmethod
    def _shadow_mouth(linear: np.ndarray, parts: np.ndarray) -> None:
        inside = np.isin(parts, (UPPER_TEETH, LOWER_TEETH, TONGUE, CAVITY))
        linear[inside] *= 0.3

    def _shadow_eyes(self, linear: np.ndarray, parts: np.ndarray, seen: Coverage) -> None:
        """Let the upper lid shade the eyeball."""
        eyes = np.zeros(seen.shape, np.float32)
        eye = (parts == LEFT_EYE) | (parts == RIGHT_EYE)
        eyes.reshape(-1)[seen.pixels[eye]] = 1
        reach = 0.055 * self.scale * SUPERSAMPLING
        lowered = np.zeros_like(eyes)
        down = max(1, round(reach))
        lowered[down:] = eyes[:-down]
        open_sky = cv2.GaussianBlur(np.minimum(lowered, eyes), (0, 0), max(reach * 0.5, 0.5))
        linear[eye] *= (0.42 + 0.58 * np.clip(open_sky.reshape(-1)[seen.pixels[eye]], 0, 1))[:, None]

    @cached_property
    def occlusion(self) -> np.ndarray:
        """How open each vertex of the neutral head lies to the light, ``(V,) float32`` in [0, 1]."""
        points, normals = self.neutral, vertex_normals(self.neutral)
        smooth, open_to = points, np.ones(len(points))
        average = neighbour_average()
        for step in range(1, 25):
            smooth = average @ smooth
            if step in (2, 6, 24):
                hollow = ((smooth - points) * normals).sum(1) / {2: 0.02, 6: 0.05, 24: 0.13}[step]
                open_to *= 1 - 0.36 * np.clip(hollow, -0.25, 1)
        return np.clip(open_to, 0.15, 1.15).astype(np.float32)


def display(linear: np.ndarray) -> np.ndarray:
    """Turn linear light into display values in [0, 255], float32."""
    return (255 * np.clip(linear, 0, 1) ** np.float32(1 / GAMMA)).astype(np.float32)


def _ramp(x: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 before `start`, 1 after `end`, linear between."""
    return np.clip((x - start) / (end - start), 0, 1).astype(np.float32)
