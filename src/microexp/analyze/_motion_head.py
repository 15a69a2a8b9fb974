"""Head motion: fitted to points that no expression moves, and taken off all regions."""

from __future__ import annotations

import numpy as np

_ROUNDS = 6  # of reweighting
_TOLERANCE = 0.5  # hundredths of an eye distance: a rigid point that is off by more counts for less


def fit_head(points: np.ndarray, depth: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Return the motion of a rigid head seen from afar, to first order in its angles.

    A point at ``(x, y)`` and depth ``z`` moves by ``u = a + s x - r y + p z`` and
    ``v = b + r x + s y + q z``: shift, scale, roll, and what yaw and pitch do. Huber's loss: a point that is
    off counts for less.

    Parameters
    ----------
    points, depth : numpy.ndarray
        ``(K, 2)`` and ``(K,)`` at rest, eye distances.
    moves : numpy.ndarray
        ``(n, K, 2)``: displacements, hundredths of an eye distance.

    Returns
    -------
    numpy.ndarray
        ``(n, 6) float64``: a, b, s, r, p, q.
    """
    model = _model(points, depth)
    target = np.asarray(moves, np.float64)
    weight = np.ones(target.shape[:2])
    for _ in range(_ROUNDS):
        weighted = np.einsum("nk,kci->nkci", weight, model)
        normal = np.einsum("nkci,kcj->nij", weighted, model) + 1e-9 * np.eye(6)
        right = np.einsum("nkci,nkc->ni", weighted, target)
        pose = np.linalg.solve(normal, right[..., None])[..., 0]
        off = np.linalg.norm(target - np.einsum("kci,ni->nkc", model, pose), axis=2)
        weight = 1 / np.maximum(off / _TOLERANCE, 1.0)
    return pose


def head_moves(points: np.ndarray, depth: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return the displacements ``(n, K, 2)`` that head motion ``(n, 6)`` gives points."""
    return np.einsum("kci,ni->nkc", _model(points, depth), pose)


def _model(points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """``(K, 2, 6)``: displacement of each point per unit of each number of the pose."""
    model = np.zeros((len(points), 2, 6))
    x, y = points.T
    model[:, 0] = np.stack([np.ones_like(x), np.zeros_like(x), x, -y, depth, np.zeros_like(x)], axis=1)
    model[:, 1] = np.stack([np.zeros_like(x), np.ones_like(x), y, x, np.zeros_like(x), depth], axis=1)
    return model
