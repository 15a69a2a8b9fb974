"""dlib's detector and 68 landmarks, those of most published papers; needs the extra ``dlib``."""

from __future__ import annotations

import importlib
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from microexp.errors import OptionError
from microexp.faces.base import Face, FaceDetector

CARD = {
    "class": "Dlib68",
    "title": "dlib: HOG face detector and 68 landmarks",
    "summary": "Faces and 68 landmarks by dlib, as in most papers of the field; needs the extra 'dlib'.",
    "takes": "a picture (H, W, 3) uint8 RGB",
    "gives": "faces: box, score (distance from the SVM's boundary), landmarks (68, 2) float32 in pixels",
    "paper": {
        "authors": "Kazemi, Vahid and Sullivan, Josephine",
        "title": "One Millisecond Face Alignment with an Ensemble of Regression Trees",
        "venue": "IEEE Conference on Computer Vision and Pattern Recognition (CVPR)",
        "year": 2014,
        "doi": "10.1109/CVPR.2014.241",
    },
    "licence": "BSL-1.0 (dlib)",
    "weights_licence": "trained on iBUG 300-W, whose terms exclude commercial use",
    "notes": [
        "Not shipped: pip install 'microexp[dlib]' brings dlib-bin and face-recognition-models (100 MB).",
        "Landmarks are whole pixels.",
    ],
}
_MODEL = "models/shape_predictor_68_face_landmarks.dat"


class Dlib68(FaceDetector):
    """dlib's frontal face detector and 68-point shape predictor.

    Parameters
    ----------
    upsample : int
        How often the picture is doubled before faces are searched: 0 finds faces from 80 pixels, 1 from 40,
        with more false ones.
    min_score : float
        Least score; 0 is the detector's own boundary.

    Raises
    ------
    OptionError
        When used, if the extra is not installed or `upsample` is not 0 to 3.
    """

    def __init__(self, upsample: int = 0, min_score: float = 0.0) -> None:
        self.upsample = upsample
        self.min_score = min_score

    def _detect(self, picture: np.ndarray) -> list[Face]:
        if self.upsample not in range(4):
            raise OptionError(f"dlib68: upsample must be 0, 1, 2 or 3, got {self.upsample!r}")
        find, predict = _models()
        boxes, scores, _ = find.run(picture, self.upsample, self.min_score)
        return [
            Face(
                (float(box.left()), float(box.top()), float(box.right()), float(box.bottom())),
                float(score),
                np.array([(point.x, point.y) for point in predict(picture, box).parts()], np.float32),
            )
            for box, score in zip(boxes, scores, strict=True)
        ]


@lru_cache(maxsize=1)
def _models() -> tuple[Any, Any]:
    """Dlib's face detector and shape predictor."""
    try:
        dlib = importlib.import_module("dlib")
    except ImportError as error:
        raise OptionError("'dlib68' needs dlib: pip install 'microexp[dlib]'") from error
    # The package is not imported: importing it needs pkg_resources, which newer setuptools lack.
    spec = importlib.util.find_spec("face_recognition_models")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise OptionError("'dlib68' needs face-recognition-models: pip install 'microexp[dlib]'")
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(Path(folders[0]) / _MODEL))
