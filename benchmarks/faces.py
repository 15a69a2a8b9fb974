"""How exact and how fast faces are found and aligned, on synthetic faces and on videos of one's own.

    python benchmarks/faces.py [--faces 40] [--clips 8] [--videos FILE...]

prints Markdown tables and writes benchmarks/results/faces.json. Everything runs in one thread. What needs the
extra ``dlib`` is measured where it is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import microexp  # noqa: E402
from microexp import faces, motion  # noqa: E402
from microexp.clip import Clip  # noqa: E402
from microexp.datasets.synthetic import Synthetic  # noqa: E402
from microexp.datasets.synthetic._truth import expose  # noqa: E402
from microexp.errors import OptionError  # noqa: E402
from microexp.faces import faceapi68, geometry  # noqa: E402
from microexp.faces.base import FaceDetector, main_face  # noqa: E402
from microexp.faces.regions import eye_distance  # noqa: E402
from microexp.frames import Frames  # noqa: E402

RESULT = Path(__file__).parent / "results" / "faces.json"
SIZE = 224  # side of the aligned pictures, pixels
Rows = list[dict[str, object]]


def detectors() -> dict[str, FaceDetector]:
    """Name -> detector, those that are installed."""
    found = {
        "faceapi68": faces.create("faceapi68"),
        "faceapi68, tiny": faces.create("faceapi68", tiny=True),
        "dlib68": faces.create("dlib68"),
    }
    try:
        found["dlib68"].detect(np.zeros((64, 64, 3), np.uint8))
    except OptionError:
        del found["dlib68"]
    return found


def accuracy(n_faces: int) -> Rows:
    """Landmark error over the outer eye distance on onset frames, noise included, without the jaw."""
    clips = Synthetic(n_subjects=n_faces, clips_per_subject=1).clips()
    pictures = [(clip.key_frame("onset"), clip.metadata["truth"].landmarks(clip.onset)) for clip in clips]
    rows: Rows = []
    for name, detector in detectors().items():
        offsets = []
        for picture, truth in pictures:
            found = detector.detect(picture)
            if found:
                points = main_face(found, picture.shape[:2]).landmarks
                offsets.append((points - truth)[17:] / eye_distance(truth))
        errors = np.linalg.norm(offsets, axis=2).mean(1)
        own = np.linalg.norm(offsets - np.mean(offsets, 0), axis=2).mean()
        rows.append(
            {
                "detector": name,
                "found": f"{len(errors)}/{len(pictures)}",
                "mean error": round(float(errors.mean()), 4),
                "without each landmark's mean offset": round(float(own), 4),
                "worst face": round(float(errors.max()), 4),
            }
        )
    return rows


class StillFrames(Frames):
    """One resting face, recorded again and again by a noisy camera."""

    def __init__(self, clip: Clip, length: int) -> None:
        truth = clip.metadata["truth"]
        self.picture, self.script, self.length = truth.neutral().astype(np.float32), truth.script, length

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.length, *self.picture.shape

    def read(self, index: int) -> np.ndarray:
        return expose(self.picture, self.script, index)


def jitter(n_faces: int, seconds: float = 10.0, fps: float = 30.0) -> Rows:
    """How far points of a still face move in the aligned picture, by the transforms alone."""
    rows: Rows = []
    corners = np.array([[x, y] for x in (0.25, 0.5, 0.75) for y in (0.25, 0.5, 0.75)]) * SIZE
    clips = Synthetic(n_subjects=n_faces, clips_per_subject=1, seed=3).clips()
    modes = {
        "onset": {"mode": "onset"},
        "smooth": {"mode": "smooth"},
        "every frame by itself": {"mode": "smooth", "rate": 1000.0, "smoothing": 0.0},
    }
    for name, options in modes.items():
        aligner = faces.create("aligner", size=SIZE, missing="hold", **options)
        deviations, steps, micro, missing = [], [], [], 0
        for clip in clips:
            still = Clip(StillFrames(clip, round(seconds * fps)), fps, name=clip.name)
            alignment = aligner.transform([still])[0].metadata["alignment"]
            matrices = [alignment.matrix(i) for i in range(len(still))]
            points = geometry.transform_points(corners, geometry.invert(matrices[0]))
            path = np.stack([geometry.transform_points(points, matrix) for matrix in matrices])
            deviations.append(np.linalg.norm(path - path.mean(0), axis=-1).ravel())
            steps.append(np.linalg.norm(np.diff(path, axis=0), axis=-1).ravel())
            span = round(fps / 4)
            micro.append(np.linalg.norm(path[span:] - path[:-span], axis=-1).ravel())
            missing += len(alignment.missing)
        rows.append(
            {
                "mode": name,
                "from its mean, rms px": _rms(deviations),
                "within 1/4 s, rms px": _rms(micro),
                "to the next frame, rms px": _rms(steps),
                "frames without a face": missing,
            }
        )
    return rows


def flow_change(n_clips: int) -> Rows:
    """What alignment changes of the flow from onset to apex, pixels of the aligned picture, over the face."""
    rows: Rows = []
    estimator = motion.create("dis")
    for nuisance in (0.0, 1.0):
        clips = Synthetic(n_subjects=n_clips, clips_per_subject=1, seed=5, nuisance=nuisance).clips()
        aligned = faces.create("aligner", size=SIZE).transform(clips)
        smooth = faces.create("aligner", size=SIZE, mode="smooth").transform(clips)
        truth, errors_before, errors_after, slow = [], [], [], []
        for clip, once, slowly in zip(clips, aligned, smooth, strict=True):
            alignment, known = once.metadata["alignment"], clip.metadata["truth"]
            matrix, apex = alignment.matrix(clip.onset), clip.apex or 0
            exact = geometry.warp_flow(known.flow(apex), matrix, SIZE)
            first = geometry.transform_points(known.landmarks(clip.onset), matrix)
            second = geometry.transform_points(known.landmarks(apex), alignment.matrix(apex))
            read = cv2.remap(exact, *first.T[:, None, 27:].copy(), cv2.INTER_LINEAR)[0]
            truth.append(np.linalg.norm(read - (second - first)[27:], axis=-1))
            face = known.face_mask.astype(np.float32)
            face = cv2.warpAffine(face, matrix, (SIZE, SIZE)) > 0.99
            before = geometry.warp_flow(estimator.clip_flow(clip), matrix, SIZE)
            errors_before.append(np.linalg.norm(before - exact, axis=-1)[face])
            errors_after.append(np.linalg.norm(estimator.clip_flow(once) - exact, axis=-1)[face])
            track = slowly.metadata["alignment"]
            points = geometry.transform_points(first, geometry.invert(track.matrix(clip.onset)))
            moved = geometry.transform_points(points, track.matrix(apex)) - first
            slow.append(np.linalg.norm(moved, axis=-1))
        rows.append(
            {
                "nuisance": nuisance,
                "exact flow against aligned true landmarks, mean px": _mean(truth),
                "DIS error, flow of the source aligned, mean px": _mean(errors_before),
                "DIS error, flow of the aligned clip, mean px": _mean(errors_after),
                "motion added by mode smooth, mean px": _mean(slow),
            }
        )
    return rows


def speed() -> Rows:
    """CPU time of each step at 640x480, one thread, median of 30."""
    picture = scene_640x480()
    found = faces.create("faceapi68").detect(picture)
    around = [found[0].box]
    clip = Clip.from_array(np.stack([picture] * 2))
    steps: dict[str, Callable[[], object]] = {
        "detector, input 320": lambda: faceapi68.boxes(picture, 320, 0.4),
        "detector, input 416": lambda: faceapi68.boxes(picture, 416, 0.4),
        "landmarks, one pass": lambda: faceapi68.landmarks(picture, around),
        "landmarks, tiny, one pass": lambda: faceapi68.landmarks(picture, around, tiny=True),
    }
    for name, detector in detectors().items():
        steps[f"{name}: detect"] = lambda detector=detector: detector.detect(picture)
    for size in (28, 112, 224):
        frames = faces.create("aligner", size=size).transform([clip])[0].frames
        steps[f"aligned frame, read at {size}"] = lambda frames=frames: frames[1]
    return [{"step": name, "CPU ms": _milliseconds(function)} for name, function in steps.items()]


def scene_640x480() -> np.ndarray:
    """A synthetic face of about 130 pixels in a larger picture."""
    clip = Synthetic(n_subjects=1, clips_per_subject=1).clips()[0]
    picture = np.full((480, 640, 3), 128, np.uint8)
    picture[112:368, 192:448] = clip.metadata["truth"].neutral()
    return picture


def videos(files: list[Path]) -> Rows:
    """Frames of videos in which a face is found."""
    rows: Rows = []
    for file in files:
        clip = Clip.from_video(file)
        for name, detector in detectors().items():
            found = [len(detector.detect(picture)) for picture in clip.frames]
            rows.append(
                {
                    "video": file.name,
                    "detector": name,
                    "frames": len(found),
                    "with a face": sum(n > 0 for n in found),
                    "with several": sum(n > 1 for n in found),
                }
            )
    return rows


def _milliseconds(function: Callable[[], object], calls: int = 30) -> float:
    function()
    times = []
    for _ in range(calls):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return round(1000 * float(np.median(times)), 2)


def _rms(parts: list[np.ndarray]) -> float:
    return round(float(np.sqrt(np.mean(np.concatenate(parts) ** 2))), 4)


def _mean(parts: list[np.ndarray]) -> float:
    return round(float(np.mean(np.concatenate(parts))), 4)


def table(title: str, rows: Rows) -> str:
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(str(row[head]) for head in heads) + " |" for row in rows]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faces", type=int, default=40, help="synthetic faces for landmark error")
    parser.add_argument("--clips", type=int, default=8, help="synthetic clips for jitter and flow")
    parser.add_argument("--videos", type=Path, nargs="*", default=[], help="videos that show a face")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    parts: dict[str, Rows] = {
        "Landmarks": accuracy(options.faces),
        "Jitter": jitter(options.clips),
        "Flow": flow_change(options.clips),
        "Speed": speed(),
    }
    if options.videos:
        parts["Videos"] = videos(options.videos)
    for title, rows in parts.items():
        print(table(title, rows))
    versions = {
        "microexp": microexp.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": 1,
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({**parts, "versions": versions}, indent=2) + "\n", encoding="utf-8")
    print(f"Written to benchmarks/results/{RESULT.name}")


if __name__ == "__main__":
    main()
