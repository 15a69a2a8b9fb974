"""The packed head mesh: vertices, triangles, landmark vertices, identity and face-unit displacements."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources

import cv2
import numpy as np

from microexp.errors import DataError

ASSET_SHA256 = "c9c9dbf0b1f39fc9474b6eb0f3893cd5455a50d459f70e88d67d7decaa605ea6"
SKIN, LEFT_EYE, RIGHT_EYE, UPPER_TEETH, LOWER_TEETH, TONGUE, CAVITY, SOCKET = range(8)
_DRAWING = (  # the modules that decide what pictures look like
    *("_action_units", "_assets", "_chart", "_hair", "_look", "_mesh", "_raster", "_render"),
    *("_sample", "_scene", "_script", "_skin", "_truth"),
)
_UNIT = 1e-3  # decimetres per stored step of a displacement


@dataclass(frozen=True, eq=False)
class Assets:
    """The base head.

    Attributes
    ----------
    vertices : numpy.ndarray
        ``(V, 3) float64``, decimetres; x towards the subject's left, y up, z towards the camera.
    triangles : numpy.ndarray
        ``(T, 3) int64``.
    parts : numpy.ndarray
        ``(T,) uint8``: skin, eyes, teeth, tongue, mouth cavity, eye sockets (the constants above).
    landmarks : numpy.ndarray
        ``(68,) int64`` vertex ids in iBUG order.
    names : tuple of str
        Names of the displacement fields.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    parts: np.ndarray
    landmarks: np.ndarray
    names: tuple[str, ...]
    targets: np.ndarray

    def target(self, name: str) -> np.ndarray:
        """Return one displacement field, ``(V, 3) float64``, decimetres."""
        return self.targets[self._index[name]].astype(np.float64) * _UNIT

    def has(self, name: str) -> bool:
        """Whether a displacement field of that name moves the head at all."""
        return name in self._index

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def skin_vertices(self) -> np.ndarray:
        """``(V,) bool``: vertices of the outer skin."""
        mask = np.zeros(len(self.vertices), bool)
        mask[self.triangles[self.parts == SKIN]] = True
        return mask

    def part_vertices(self, part: int) -> np.ndarray:
        """Return the ids of the vertices of one part."""
        return np.unique(self.triangles[self.parts == part])


def asset_bytes() -> bytes:
    """Return the asset file as it lies in the package."""
    return (resources.files(__package__) / "assets.npz").read_bytes()


@lru_cache(maxsize=1)
def renderer_version() -> str:
    """What pictures depend on beside their parameters: head mesh, code of this package, libraries."""
    digest = hashlib.sha256(ASSET_SHA256.encode())
    for name in _DRAWING:
        digest.update((resources.files(__package__) / f"{name}.py").read_bytes())
    return f"{digest.hexdigest()[:16]} numpy {np.__version__} opencv {cv2.__version__}"


@lru_cache(maxsize=1)
def assets() -> Assets:
    """Read the packed head once a process.

    Raises
    ------
    DataError
        If the file is not the one that this version of the code was made for.
    """
    data = asset_bytes()
    if hashlib.sha256(data).hexdigest() != ASSET_SHA256:
        raise DataError("the synthetic database's assets.npz is damaged; reinstall microexp")
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return Assets(
            vertices=archive["vertices"].astype(np.float64) * 1e-4,
            triangles=archive["triangles"].astype(np.int64),
            parts=archive["parts"],
            landmarks=archive["landmarks"].astype(np.int64),
            names=tuple(str(name) for name in archive["names"]),
            targets=archive["targets"],
        )
