"""Whether motion was magnified, in the right direction, and the person kept.

Motion is measured by an estimator, which sees little of what moves by a fraction of a pixel. So where the
exact picture is known, it is measured like the magnified one ("gain_exact", ...): that is what a perfect
method would get.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microexp.clip import Clip
from microexp.datasets.synthetic import Triple, Truth
from microexp.errors import DataError
from microexp.evaluate.frechet import SetDistance, feature_distances
from microexp.evaluate.restoration import Figure, figure
from microexp.faces.base import FaceDetector, main_face
from microexp.motion.base import FlowEstimator
from microexp.motion.dis import DIS
from microexp.networks.face_descriptor import FaceDescriptor, descriptors, face_chip
from microexp.networks.inception import Inception, picture_features
from microexp.superres.quality import ssim

_MOVING = 0.5  # of the largest motion: what moves more is the moving region
FLOOR = 0.5  # pixels; a smaller mean displacement of landmarks is their noise


@dataclass(frozen=True, eq=False)
class Magnified:
    """One magnified picture and what it is held against.

    Attributes
    ----------
    onset, weak, strong : numpy.ndarray
        ``(H, W, 3) uint8 RGB``: the resting face, the same with the movement that was magnified, and what the
        method made of that.
    exact : numpy.ndarray or None
        What it should have made, where that is known.
    flow : numpy.ndarray or None
        ``(H, W, 2)``: the true motion from `onset` to `weak`, dx then dy, pixels, where that is known.
    subject : str
        Who it is; pictures of one subject are not independent.

    Raises
    ------
    DataError
        If the pictures, or the flow, differ in size.
    """

    onset: np.ndarray
    weak: np.ndarray
    strong: np.ndarray
    exact: np.ndarray | None = None
    flow: np.ndarray | None = None
    subject: str = ""

    def __post_init__(self) -> None:
        pictures = {"weak": self.weak, "magnified": self.strong, "exact": self.exact}
        for name, picture in pictures.items():
            if picture is not None and picture.shape != self.onset.shape:
                raise DataError(
                    f"the {name} picture is {picture.shape}, the onset {self.onset.shape}: they must be alike"
                )
        if self.flow is not None and self.flow.shape != (*self.onset.shape[:2], 2):
            raise DataError(f"a flow of {self.flow.shape} is none of pictures {self.onset.shape}")

    @classmethod
    def of_triple(cls, triple: Triple, strong: np.ndarray, subject: str = "") -> Magnified:
        """Hold what was made of a synthetic triple's weak picture against the triple's strong one."""
        return cls(triple.neutral, triple.micro, strong, triple.macro, triple.micro_flow, subject)

    @classmethod
    def of_clip(cls, clip: Clip, strong: Clip) -> Magnified:
        """Hold the apex frame of a magnified clip against the clip it was made of.

        The flow is known of synthetic clips, at the size they were drawn in.

        Raises
        ------
        DataError
            If there is no apex, or the clips are not of one size, length and name.
        """
        if clip.identity != strong.identity:
            raise DataError(
                f"the magnified clip {strong.identity} is held against another clip, {clip.identity}"
            )
        if len(clip) != len(strong):
            raise DataError(f"{clip.identity} has {len(clip)} frames, magnified {len(strong)}")
        apex = clip.key_index("apex")
        pictures = clip.frames[clip.onset], clip.frames[apex], strong.frames[apex]
        return cls(*pictures, None, _true_flow(clip, apex), f"{clip.database}/{clip.subject}")


@dataclass(frozen=True)
class MagnificationScores:
    """A row of a table on magnification.

    Attributes
    ----------
    figures : mapping of str to Figure
        See `magnification_scores`.
    counts : mapping of str to int
        How many pictures each figure is the mean of.
    sets : mapping of str to SetDistance
        Distances of the set of magnified pictures from that of strong ones, of the layer "mixed5", and those
        of the pictures that were not magnified, "_input".
    """

    figures: Mapping[str, Figure]
    counts: Mapping[str, int]
    sets: Mapping[str, SetDistance]


def moving_region(flow: np.ndarray) -> np.ndarray:
    """Return where a flow ``(H, W, 2)`` is longer than half of its maximum, ``(H, W) bool``."""
    length = np.linalg.norm(flow, axis=-1)
    return length > _MOVING * length.max()


def gain(before: np.ndarray, after: np.ndarray, direction: np.ndarray | None = None) -> float:
    """Return how many times as large the motion is after magnification as before.

    The components along a direction, added up over the moving region: ``sum <after, u> / sum <before, u>``,
    u of length 1. Motion to anywhere else does not count, motion back counts against it.

    Parameters
    ----------
    before, after : numpy.ndarray
        ``(H, W, 2)``: flows from the onset to the picture and to the magnified picture, of one estimator.
    direction : numpy.ndarray or None
        ``(H, W, 2)``: the true flow, which gives u and the moving region; None to take `before`, which is
        noisier and, as noise in it counts as motion, gives a lower gain.

    Returns
    -------
    float
        1 if nothing changed. NaN if no motion was found before, so that there is none to compare with.

    Raises
    ------
    DataError
        If the flows differ in size, or the direction moves nowhere.
    """
    if direction is not None:
        _check_moves(direction)
    along = before if direction is None else direction
    _check_flows(before, after, along)
    length, region = np.linalg.norm(along, axis=-1), moving_region(along)
    unit = along[region] / length[region][:, None]
    first, second = (float((flow[region] * unit).sum()) for flow in (before, after))
    return second / first if first > 0 else math.nan


def direction_error(flow: np.ndarray, true: np.ndarray) -> float:
    """Return the angle between a flow and the true one, degrees, over the moving region.

    Parameters
    ----------
    flow, true : numpy.ndarray
        ``(H, W, 2)``. The mean is weighted by the true flow's length; where the flow is 0, it has no
        direction, and 90 degrees count, as of a random one.

    Raises
    ------
    DataError
        If the flows differ in size, or the true one moves nowhere.
    """
    _check_flows(flow, true)
    _check_moves(true)
    region = moving_region(true)
    a, b = np.asarray(flow[region], np.float64), np.asarray(true[region], np.float64)
    across, along = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(1)
    angles = np.where(a.any(1), np.degrees(np.arctan2(np.abs(across), along)), 90.0)
    return float(np.average(angles, weights=np.linalg.norm(b, axis=1)))


def landmark_gain(
    onset: np.ndarray, before: np.ndarray, after: np.ndarray, floor: float = FLOOR
) -> float | None:
    """Return the mean displacement of landmarks after magnification over that before.

    Parameters
    ----------
    onset, before, after : numpy.ndarray
        ``(68, 2)``: landmarks of the resting face, of the picture and of the magnified picture, pixels.
    floor : float
        Mean displacement before, pixels, below which landmarks say nothing.

    Returns
    -------
    float or None
        None if the displacement before is below the floor.
    """
    first, second = (float(np.linalg.norm(points - onset, axis=-1).mean()) for points in (before, after))
    return second / first if first >= floor and first > 0 else None


def l1(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean absolute difference of two pictures ``uint8``, in [0, 1]."""
    return float(np.abs(first.astype(np.float64) - second).mean() / 255)


def identity_distance(
    first: np.ndarray, second: np.ndarray, descriptor: FaceDescriptor, detector: FaceDetector
) -> float:
    """Return how far the faces in two pictures are apart; below 0.6 they are taken for one person's.

    The Euclidean distance of their descriptors; each face is cut out by its own landmarks.

    Parameters
    ----------
    first, second : numpy.ndarray
        ``(H, W, 3) uint8 RGB``. Of several faces the main one counts.
    descriptor : FaceDescriptor
        With its weights: `microexp.networks.face_descriptor.load`.
    detector : FaceDetector
        Finds faces and landmarks, for instance ``microexp.faces.create("faceapi68")``.

    Raises
    ------
    DataError
        If there is no face in a picture.
    """
    found = [_landmarks(picture, detector) for picture in (first, second)]
    if missing := [place for place, points in zip(("first", "second"), found, strict=True) if points is None]:
        raise DataError(f"no face is found in the {' and the '.join(missing)} picture, so it shows nobody")
    pairs = zip((first, second), found, strict=True)
    return _distance(descriptor, [(picture, points) for picture, points in pairs if points is not None])


def magnification_scores(
    results: Sequence[Magnified],
    estimator: FlowEstimator | None = None,
    detector: FaceDetector | None = None,
    descriptor: FaceDescriptor | None = None,
    inception: Inception | None = None,
    reference: Sequence[np.ndarray] | None = None,
) -> MagnificationScores:
    """Score what a method made of pictures: all of it as one row of a table.

    Parameters
    ----------
    results : sequence of Magnified
        Whether `exact` and `flow` are known must be the same of all.
    estimator : FlowEstimator or None
        Of motion; None for DIS, preset "medium".
    detector : FaceDetector or None
        Of faces and landmarks; None to leave out what needs it.
    descriptor : FaceDescriptor or None
        For "identity", which needs the detector too; None to leave it out.
    inception : Inception or None
        For the distances of sets; None to leave them out.
    reference : sequence of numpy.ndarray or None
        Pictures ``(H, W, 3) uint8`` of strong expressions for these; None for the exact ones.

    Returns
    -------
    MagnificationScores
        With the figures "gain" and, where the flow is known, "direction" (degrees); where the exact picture
        is known "SSIM" and "L1" against it (of [0, 1]), with "SSIM_input" and "L1_input" of the pictures that
        were not magnified. With a detector "faces", the share of magnified pictures that it finds a face in,
        and of those pictures "landmarks" (`landmark_gain`); with a descriptor "identity", the distance from
        the onset's face. "gain_exact", "direction_exact", "landmarks_exact" and "identity_exact" are of the
        exact pictures. A figure that no picture gives is left out.

    Raises
    ------
    DataError
        If there are no results, they differ in what is known of them, or a picture before magnification
        shows no face, or there is nothing to compare the set with.
    """
    if not results:
        raise DataError("there are no magnified pictures to score")
    if len({(one.exact is None, one.flow is None) for one in results}) > 1:
        raise DataError("the exact picture, and the flow, must be known of all magnified pictures or of none")
    measures = _Measures(estimator or DIS(), detector, descriptor)
    rows = [measures.of(one) for one in results]
    figures, counts = {}, {}
    for name in rows[0]:
        known = [(row[name], one.subject) for row, one in zip(rows, results, strict=True)]
        known = [(value, subject) for value, subject in known if not math.isnan(value)]
        if known:
            figures[name] = figure([value for value, _ in known], [subject for _, subject in known])
            counts[name] = len(known)
    sets = {} if inception is None else _set_distances(inception, results, reference)
    return MagnificationScores(figures, counts, sets)


@dataclass(frozen=True)
class _Measures:
    """What measures single pictures; a figure that a picture does not give is NaN."""

    estimator: FlowEstimator
    detector: FaceDetector | None
    descriptor: FaceDescriptor | None

    def of(self, one: Magnified) -> dict[str, float]:
        """Return the figures of one magnified picture by name."""
        values = self._motion(one, one.strong)
        if one.exact is not None:
            values |= _named_exact(self._motion(one, one.exact))
            values |= {"SSIM": ssim(one.strong, one.exact), "SSIM_input": ssim(one.weak, one.exact)}
            values |= {"L1": l1(one.strong, one.exact), "L1_input": l1(one.weak, one.exact)}
        return values if self.detector is None else values | self._faces(one, self.detector)

    def _motion(self, one: Magnified, strong: np.ndarray) -> dict[str, float]:
        before = self.estimator.flow(one.onset, one.weak)
        after = self.estimator.flow(one.onset, strong)
        values = {"gain": gain(before, after, one.flow)}
        if one.flow is not None:
            values["direction"] = direction_error(after, one.flow)
        return values

    def _faces(self, one: Magnified, detector: FaceDetector) -> dict[str, float]:
        onset, weak = _landmarks(one.onset, detector), _landmarks(one.weak, detector)
        if onset is None or weak is None:
            raise DataError(
                f"no face is found in a picture before magnification (subject '{one.subject}'); measure "
                "without a detector"
            )
        strong = _landmarks(one.strong, detector)
        values = self._kept(one.onset, one.strong, onset, weak, strong)
        values["faces"] = float(strong is not None)
        if one.exact is not None:
            exact = _landmarks(one.exact, detector)
            values |= _named_exact(self._kept(one.onset, one.exact, onset, weak, exact))
        return values

    def _kept(
        self,
        resting: np.ndarray,
        picture: np.ndarray,
        onset: np.ndarray,
        weak: np.ndarray,
        strong: np.ndarray | None,
    ) -> dict[str, float]:
        moved = None if strong is None else landmark_gain(onset, weak, strong)
        values = {"landmarks": math.nan if moved is None else moved}
        if self.descriptor is not None:
            faces = [] if strong is None else [(resting, onset), (picture, strong)]
            values["identity"] = _distance(self.descriptor, faces) if faces else math.nan
        return values


def _true_flow(clip: Clip, apex: int) -> np.ndarray | None:
    """Return the exact flow of a synthetic clip as it was drawn, from onset to apex; None of any other."""
    truth = clip.metadata.get("truth")
    if not isinstance(truth, Truth):
        return None
    size, length = truth.script.size, truth.script.length
    return truth.flow_between(clip.onset, apex) if clip.frames.shape == (length, size, size, 3) else None


def _named_exact(values: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_exact": value for name, value in values.items()}


def _landmarks(picture: np.ndarray, detector: FaceDetector) -> np.ndarray | None:
    """Return the landmarks of a picture's main face, ``(68, 2)``; None if it has none."""
    faces = detector.detect(picture)
    return main_face(faces, (picture.shape[0], picture.shape[1])).landmarks if faces else None


def _distance(descriptor: FaceDescriptor, faces: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the distance of two faces, each a picture and its landmarks."""
    first, second = descriptors(descriptor, np.stack([face_chip(*face) for face in faces]))
    return float(np.linalg.norm(first - second))


def _set_distances(
    inception: Inception, results: Sequence[Magnified], reference: Sequence[np.ndarray] | None
) -> dict[str, SetDistance]:
    wanted = [one.exact for one in results if one.exact is not None] if reference is None else reference
    if not len(wanted):
        raise DataError(
            "a set of magnified pictures is compared with exact ones, or with a reference: there is neither"
        )
    features = picture_features(inception, wanted)
    strong = feature_distances(picture_features(inception, [one.strong for one in results]), features)
    weak = feature_distances(picture_features(inception, [one.weak for one in results]), features)
    return {**strong, **{f"{name}_input": distance for name, distance in weak.items()}}


def _check_flows(*flows: np.ndarray) -> None:
    if any(flow.ndim != 3 or flow.shape[-1] != 2 or flow.shape != flows[0].shape for flow in flows):
        raise DataError(
            f"motion is compared in flows (H, W, 2) of one size, got {[flow.shape for flow in flows]}"
        )


def _check_moves(true: np.ndarray) -> None:
    if not np.any(true):
        raise DataError("the true flow is 0 everywhere: there is no motion to measure along")
