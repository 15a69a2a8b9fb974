"""Clips on disk: a folder of frames and a file of truth for each, and a table of annotation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from microexp.clip import Clip
from microexp.datasets.base import Dataset
from microexp.datasets.synthetic._truth import Truth
from microexp.errors import DataError, OptionError

_README = """Synthetic micro-expressions, made by microexp.

Results on these clips prove code, not science.

  <subject>/<clip>/img001.png ...   the frames, 8-bit RGB
  <subject>/<clip>/truth.npz        flow_apex (H, W, 2) float32: exact flow from the onset to the apex, in
                                    pixels, dx then dy, head motion included; expression_apex: the same by
                                    the expression alone; landmarks (T, 68, 2) float32: x, y; face_mask
  annotation.csv                    one row a clip; onset, apex and offset count frames from 0

The faces come from the MakeHuman base mesh and the Face Units asset pack, both CC0 1.0. The pictures may be
used for anything.
"""


Progress = Callable[[str, int, int], None]  # (what, done, total)


def write_frames(dataset: Dataset, directory: str | Path, progress: Progress | None = None) -> Path:
    """Write synthetic clips as folders of PNG frames with their truth, and return the folder.

    A clip is written to a temporary folder which is then renamed: an interrupted run leaves whole clips
    only, and running again goes on where it stopped.

    Parameters
    ----------
    dataset : Dataset
        From `Synthetic.load`.
    directory : path
        Where to write; made if it is not there.
    progress : callable, optional
        Called as ``progress("clips", done, total)`` at the start and after each clip.

    Raises
    ------
    OptionError
        If the clips are not synthetic.
    DataError
        If the folder holds the clips of other parameters.
    """
    folder = Path(directory)
    clips = list(dataset.clips or ())
    if not clips or not all(isinstance(clip.metadata.get("truth"), Truth) for clip in clips):
        raise OptionError("only synthetic clips can be written with their truth")
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, dataset)
    tell = progress or (lambda what, done, total: None)
    tell("clips", 0, len(clips))
    for number, clip in enumerate(clips, start=1):
        place = folder / clip.subject / clip.name
        if not place.is_dir():
            _write_clip(clip, place, folder / f".part-{clip.name}")
        tell("clips", number, len(clips))
    table = dataset.table.assign(frames=[len(clip) for clip in clips])
    _write_text(folder / "annotation.csv", table.to_csv(index=False, lineterminator="\n"))
    return folder


def _claim(folder: Path, dataset: Dataset) -> None:
    """Write what describes the folder, unless it describes other clips."""
    mark = folder / "dataset.json"
    if not mark.is_file() and any(not p.name.startswith(".dataset.json") for p in folder.iterdir()):
        raise DataError(f"{folder} holds other files; choose an empty folder for synthetic clips")
    told = json.dumps({"fingerprint": dataset.fingerprint, "scheme": dataset.scheme, "clips": len(dataset)})
    if mark.is_file() and mark.read_text(encoding="utf-8") != told:
        raise DataError(f"{folder} holds synthetic clips of other parameters; choose another folder")
    _write_text(mark, told)
    _write_text(folder / "README.txt", _README)


def _write_clip(clip: Clip, place: Path, temporary: Path) -> None:
    if temporary.exists():
        shutil.rmtree(temporary)  # left by a run that was interrupted
    temporary.mkdir()
    for index, picture in enumerate(clip.frames, start=1):
        Image.fromarray(picture).save(temporary / f"img{index:03d}.png", compress_level=3)
    truth: Truth = clip.metadata["truth"]
    apex = clip.onset if clip.apex is None else clip.apex
    np.savez_compressed(
        temporary / "truth.npz",
        flow_apex=truth.flow(apex),
        expression_apex=truth.flow(apex, head_motion=False, distractors=False),
        landmarks=np.stack([truth.landmarks(i) for i in range(len(clip))]),
        face_mask=truth.face_mask,
        head_motion=np.array(
            [(*pose.angles, *pose.shift) for pose in map(truth.head_motion, range(len(clip)))]
        ),
        emotion=truth.emotion,
        action_units=[str(unit) for unit in truth.action_units],
        intensities=np.array([unit.intensity for unit in truth.action_units], np.float32),
    )
    place.parent.mkdir(exist_ok=True)
    temporary.rename(place)


def _write_text(file: Path, text: str) -> None:
    temporary = file.with_name(f".{file.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(file)
