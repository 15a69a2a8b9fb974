"""How far two sets of pictures are apart: the Frechet distance and KID. In: features. Out: distances.

Both depend on the network whose features they compare, so figures by the Inception-v3 that can be had here
(`microexp.networks.inception`) are not those of papers, which use another training of it. The Frechet
distance depends on the number of pictures, too: fewer of the same give a larger one. Compare figures of equal
numbers only. KID does not have this fault; for small sets take it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microexp.errors import DataError
from microexp.networks.inception import LAYERS, Inception, picture_features


@dataclass(frozen=True)
class SetDistance:
    """The distance of two sets of pictures, with what it rests on.

    Attributes
    ----------
    value : float
        The distance.
    pictures : pair of int
        How many pictures the two sets have.
    dimensions : int
        Of the features.
    """

    value: float
    pictures: tuple[int, int]
    dimensions: int

    @property
    def singular(self) -> bool:
        """Whether a set has too few pictures for its covariance to have full rank: N - 1 < d."""
        return min(self.pictures) <= self.dimensions

    def __str__(self) -> str:
        first, second = self.pictures
        return f"{self.value:.4g} ({first} and {second} pictures)"


def frechet_distance(first: np.ndarray, second: np.ndarray) -> SetDistance:
    """Return the squared Frechet distance of the Gaussians with the sets' means and covariances.

    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``, covariances of N - 1. With ``C = X^T X``, X the centred
    features over the square root of N - 1, the last trace is the sum of the singular values of ``X Y^T``:
    exact for singular covariances, too, and without the root of a matrix.

    Parameters
    ----------
    first, second : numpy.ndarray
        ``(N, d)`` and ``(M, d)``: features, one row a picture.

    Raises
    ------
    DataError
        If a set has fewer than 2 pictures, the sets differ in d, or a feature is not finite.

    References
    ----------
    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
    NeurIPS 2017, equation 6.
    """
    first, second = _checked(first, second)
    x, y = _deviations(first), _deviations(second)
    between = ((first.mean(0) - second.mean(0)) ** 2).sum()
    singular_values = np.linalg.svd(x @ y.T, compute_uv=False)
    value = between + (x**2).sum() + (y**2).sum() - 2 * singular_values.sum()
    return SetDistance(max(float(value), 0.0), (len(first), len(second)), first.shape[1])


def kernel_distance(first: np.ndarray, second: np.ndarray) -> SetDistance:
    """Return KID: the unbiased squared maximum mean discrepancy by the kernel ``(x . y / d + 1)^3``.

    It may be below 0; its mean over sets of one distribution is 0, whatever their size.

    Parameters
    ----------
    first, second : numpy.ndarray
        ``(N, d)`` and ``(M, d)``: features, one row a picture. All are used at once, not blocks of them.

    Raises
    ------
    DataError
        As `frechet_distance`.

    References
    ----------
    Binkowski et al., "Demystifying MMD GANs", ICLR 2018, equations 3 and 4.
    """
    first, second = _checked(first, second)
    within = _mean_of_others(_kernel(first, first)) + _mean_of_others(_kernel(second, second))
    value = within - 2 * _kernel(first, second).mean()
    return SetDistance(float(value), (len(first), len(second)), first.shape[1])


def set_distances(
    module: Inception,
    first: Iterable[np.ndarray],
    second: Iterable[np.ndarray],
    layers: Sequence[str] = ("mixed5",),
) -> dict[str, SetDistance]:
    """Return both distances of two sets of pictures by features of Inception-v3.

    Parameters
    ----------
    module : Inception
        With its weights: `microexp.networks.inception.load`.
    first, second : iterable of numpy.ndarray
        ``(H, W, 3) uint8 RGB``.
    layers : sequence of str
        "mixed5" (768 features, of a network trained on ImageNet) or "pool" (2048, tuned to something else).

    Returns
    -------
    dict of str to SetDistance
        "FD-768" and "KID-768" of "mixed5", "FD-2048" and "KID-2048" of "pool".

    Raises
    ------
    DataError
        If a set has fewer than 2 pictures, or one is not RGB of 8 bits.
    UnknownNameError
        If there is no such layer.
    """
    return feature_distances(*(picture_features(module, pictures, layers) for pictures in (first, second)))


def feature_distances(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]
) -> dict[str, SetDistance]:
    """Return the distances that `set_distances` does, of what `picture_features` made of two sets.

    Raises
    ------
    DataError
        As `frechet_distance`.
    """
    found = {}
    for layer in first:
        found[f"FD-{LAYERS[layer]}"] = frechet_distance(first[layer], second[layer])
        found[f"KID-{LAYERS[layer]}"] = kernel_distance(first[layer], second[layer])
    return found


def _deviations(features: np.ndarray) -> np.ndarray:
    """Return rows X, at most d of them, with ``X^T X`` the covariance."""
    x = (features - features.mean(0)) / np.sqrt(len(features) - 1)
    return np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _mean_of_others(kernel: np.ndarray) -> float:
    """Return the mean of a square matrix off its diagonal."""
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def _checked(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or not first.shape[1]:
        raise DataError(
            f"two sets of features (N, d) of one d can be compared, got {first.shape} and {second.shape}"
        )
    if min(len(first), len(second)) < 2:
        raise DataError(
            f"sets of {len(first)} and {len(second)} pictures have no distance: both need 2 or more"
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("sets of features can be compared if all are finite numbers")
    return first, second
