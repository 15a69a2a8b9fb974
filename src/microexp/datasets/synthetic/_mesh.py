"""Arithmetic on the head's mesh: normals, and means over neighbouring vertices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from microexp.datasets.synthetic._assets import assets


def vertex_normals(vertices: np.ndarray) -> np.ndarray:
    """Return unit normals of the vertices, ``(V, 3) float64``."""
    a, b, c = (vertices[assets().triangles[:, i]] for i in range(3))
    normals = _incidence() @ np.cross(b - a, c - a)
    return normals / np.sqrt((normals**2).sum(1, keepdims=True) + 1e-18)


@lru_cache(maxsize=1)
def neighbour_average() -> sp.csr_matrix:
    """Matrix ``(V, V)`` that replaces each vertex by the mean of itself and its neighbours."""
    data = assets()
    count = len(data.vertices)
    i = np.concatenate([data.triangles[:, k] for k in (0, 1, 2, 1, 2, 0)] + [np.arange(count)])
    j = np.concatenate([data.triangles[:, k] for k in (1, 2, 0, 0, 1, 2)] + [np.arange(count)])
    near = sp.csr_matrix((np.ones(len(i)), (i, j)), shape=(count, count))
    near.data[:] = 1
    return (sp.diags(1 / np.asarray(near.sum(1)).ravel()) @ near).tocsr()


@lru_cache(maxsize=1)
def _incidence() -> sp.csr_matrix:
    data = assets()
    corners = data.triangles.ravel()
    faces = np.repeat(np.arange(len(data.triangles)), 3)
    shape = (len(data.vertices), len(data.triangles))
    return sp.csr_matrix((np.ones(len(corners)), (corners, faces)), shape=shape)
