"""Many videos: each into a folder of its own; one that fails stops no other, what is done stays done.

Layout::

    <out>/<name>/analysis.json   video, remarks, intervals, settings, versions; written last
    <out>/<name>/intervals.csv, page.html, and annotated.mp4 where it was asked for
    <out>/<name>/error.txt       in place of these, if the video could not be analysed
    <out>/index.html, intervals.csv   where there are several videos
"""

from __future__ import annotations

import hashlib
import struct
import warnings
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from joblib import cpu_count

from microexp.analyze.analysis import Progress, analyze, open_clip, settings
from microexp.analyze.annotate import write_annotated
from microexp.analyze.page import index_html, write_page
from microexp.analyze.tables import csv_row, csv_text, to_csv, to_json
from microexp.cache import source_hash
from microexp.errors import MicroexpError, MicroexpWarning, OptionError, PathMissingError
from microexp.evaluate.engines import Outcome, Stream, attempt, make_engine
from microexp.evaluate.store import StorageError, read_json, run_key, write_atomically, writing
from microexp.evaluate.versions import versions
from microexp.frames import IMAGE_SUFFIXES, FolderFrames
from microexp.frames.base import file_identity

RECORD, TABLE, PAGE, ANNOTATED, ERROR = (
    *("analysis.json", "intervals.csv", "page.html", "annotated.mp4", "error.txt"),
)
INDEX = "index.html"
SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv"}
)
_PASSES = {"face": 0, "motion": 1, "answers": 2, "annotated video": 3}
_STEPS = 200  # of progress that each pass has
_NOTE, _NOTED = ".progress", struct.Struct("<qq")  # done, of how much


@dataclass(frozen=True)
class Source:
    """A video, and the name of its folder of results."""

    path: Path
    name: str


@dataclass(frozen=True)
class Report:
    """How one video ended.

    Attributes
    ----------
    source : Source
        Which one.
    content : dict or None
        What its ``analysis.json`` says; None if it could not be analysed.
    error : str
        Why not.
    """

    source: Source
    content: dict[str, Any] | None
    error: str = ""


def find_videos(paths: Iterable[str | Path]) -> list[Source]:
    """Return the videos that paths stand for, each once, in order.

    A file is a video. A folder stands for the videos in it and its sub-folders, known by their suffixes; one
    that has none but holds pictures is itself one video.

    Raises
    ------
    PathMissingError
        If there is nothing at a path, or a folder holds neither videos nor pictures.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        for video in _videos(path):
            found.setdefault(video.resolve(), video)
    stems = Counter(_stem(video) for video in found)
    return [
        Source(video, _stem(real) if stems[_stem(real)] == 1 else f"{_stem(real)}-{_digits(real)}")
        for real, video in found.items()
    ]


def analyze_all(
    sources: Sequence[Source],
    out: str | Path,
    *,
    fps: float | None = None,
    magnify: bool = True,
    annotate: bool = False,
    jobs: int | None = None,
    progress: Progress,
) -> Iterator[Report]:
    """Analyse videos, and yield how each ended, as they end; those that are done already come first.

    With several videos a page and a table of all are written at the end, when the iterator is closed early,
    too.

    Parameters
    ----------
    sources : sequence of Source
        The videos, as `find_videos` gives them.
    out : path
        Folder of the results.
    fps, magnify
        As for `analyze`.
    annotate : bool
        Whether the video is also written with what was found drawn on it.
    jobs : int or None
        Processes; None for one a core, at most one a video.
    progress : callable
        Called with the name of a video, and how much of its work is done, of how much.

    Raises
    ------
    OptionError
        If `jobs` is less than 1, or a source lies where its results would be written.
    StorageError
        If results cannot be written.
    MicroexpError
        If workers keep being killed.
    """
    out = Path(out)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    units = [VideoUnit(source, out / source.name, fps, magnify, annotate) for source in sources]
    for unit in units:
        if unit.folder.resolve() in (unit.source.path.resolve(), unit.source.path.resolve().parent):
            raise OptionError(
                f"{unit.source.path} lies where its results would be written: name another --out"
            )
    reports: dict[str, Report] = {}
    try:
        for report in _reports(units, jobs, progress):
            reports[report.source.name] = report
            yield report
    finally:
        if len(sources) > 1 and reports:
            _write_index(out, [reports[source.name] for source in sources if source.name in reports])


@dataclass(frozen=True)
class VideoUnit:
    """The analysis of one video, as the engines run it."""

    source: Source
    folder: Path
    fps: float | None
    magnify: bool
    annotate: bool
    on_gpu: bool = False

    def done(self) -> dict[str, Any] | None:
        """Return what the record says, if it is of this video as it is, these settings and this version."""
        wanted = [TABLE, PAGE, *([ANNOTATED] if self.annotate else [])]
        if not all((self.folder / name).is_file() for name in wanted):
            return None
        content = read_json(self.folder / RECORD)
        try:
            return content if content is not None and content.get("key") == self._key() else None
        except MicroexpError:  # the analysis says why, as the error of this video
            return None

    def __call__(self, progress: Progress | None = None) -> dict[str, Any]:
        """Analyse the video and write its folder; the record last."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in (RECORD, TABLE, PAGE, ANNOTATED, ERROR):  # the record first
                (self.folder / name).unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MicroexpWarning)  # the remarks of the analysis say the same
            self._write(self._overall(progress or self._note))
        (self.folder / _NOTE).unlink(missing_ok=True)
        content = read_json(self.folder / RECORD)
        if content is None:
            raise StorageError(f"{self.folder / RECORD} vanished while it was written")
        return content

    def _write(self, progress: Progress) -> None:
        name = self.source.name
        analysis = analyze(self.source.path, name=name, fps=self.fps, magnify=self.magnify, progress=progress)
        write_page(self.folder / PAGE, analysis)
        write_atomically(self.folder / TABLE, to_csv(analysis))
        if self.annotate:
            clip = open_clip(self.source.path, name, self.fps)
            write_annotated(self.folder / ANNOTATED, clip, analysis, progress)
        write_atomically(self.folder / RECORD, to_json(analysis, key=self._key()))

    def _key(self) -> str:
        path = self.source.path
        identity = FolderFrames(path).fingerprint() if path.is_dir() else file_identity(path)
        code = source_hash("microexp.analyze")
        return run_key(
            {"source": identity, **settings(self.fps, self.magnify), "versions": versions(), "code": code}
        )

    def _overall(self, tell: Progress) -> Progress:
        """Turn the progress of each pass into one of all."""
        passes = 4 if self.annotate else 3
        before = -1

        def told(what: str, done: int, total: int) -> None:
            nonlocal before
            now = int(_STEPS * (_PASSES[what] + done / total))
            if now != before:
                before = now
                tell(self.source.name, now, _STEPS * passes)

        return told

    def _note(self, what: str, done: int, total: int) -> None:
        """Leave a note of the progress for the parent."""
        (self.folder / _NOTE).write_bytes(_NOTED.pack(done, total))

    def noted(self) -> tuple[int, int] | None:
        """Return the progress that a worker noted; None if there is none to read."""
        try:
            data = (self.folder / _NOTE).read_bytes()
        except FileNotFoundError:  # not begun, or just ended: the worker takes it away
            return None
        if len(data) != _NOTED.size:  # it is being written at this moment
            return None
        done, total = _NOTED.unpack(data)
        return done, total


def _reports(units: Sequence[VideoUnit], jobs: int | None, progress: Progress) -> Iterator[Report]:
    if jobs is not None and jobs < 1:
        raise OptionError(f"jobs must be 1 or more, got {jobs}")
    todo = []
    for unit in units:
        content = unit.done()
        if content is None:
            todo.append(unit)
        else:
            yield Report(unit.source, content)
    workers = min(jobs or cpu_count(), len(todo))
    with closing(_one_by_one(todo, progress) if workers < 2 else _beside(todo, workers, progress)) as stream:
        for unit, outcome in stream:
            if outcome.storage:
                raise StorageError(outcome.reason)
            yield _report(unit, outcome)


def _one_by_one(units: Sequence[VideoUnit], progress: Progress) -> Stream:
    for unit in units:
        yield unit, attempt(_Told(unit, progress))


def _beside(units: Sequence[VideoUnit], workers: int, progress: Progress) -> Stream:
    """Run units in processes; whenever more can be started, tell how far those that run are."""
    waiting, running = deque(units), set[VideoUnit]()

    def more(room: int) -> list[VideoUnit]:
        for unit in running:
            noted = unit.noted()
            if noted is not None:
                progress(unit.source.name, *noted)
        started = [waiting.popleft() for _ in range(min(room, len(waiting)))]
        running.update(started)
        return started

    with closing(make_engine("joblib", workers).run(more)) as stream:
        for unit, outcome in stream:
            running.discard(unit)
            yield unit, outcome


@dataclass(frozen=True)
class _Told:
    """A unit of this process, which tells its progress itself."""

    unit: VideoUnit
    progress: Progress
    on_gpu: bool = False

    def __call__(self) -> dict[str, Any]:
        return self.unit(self.progress)


def _report(unit: VideoUnit, outcome: Outcome) -> Report:
    if not outcome.reason:
        return Report(unit.source, outcome.value)
    write_atomically(unit.folder / ERROR, f"{outcome.reason}\n{outcome.trace}")
    (unit.folder / _NOTE).unlink(missing_ok=True)
    return Report(unit.source, None, outcome.reason)


def _write_index(out: Path, reports: Sequence[Report]) -> None:
    rows = [
        csv_row(report.source.name, interval)
        for report in reports
        for interval in (report.content or {}).get("intervals", [])
    ]
    write_atomically(out / TABLE, csv_text(rows))
    videos = [{"name": r.source.name, **(r.content or {"error": r.error})} for r in reports]
    write_atomically(out / INDEX, index_html(videos))


def _videos(path: Path) -> list[Path]:
    if not path.exists():
        raise PathMissingError(f"{path} does not exist: name a video, a folder of frames, or one of videos")
    if not path.is_dir():
        return [path]
    files = sorted(f for f in path.rglob("*") if f.name[0] != "." and f.is_file() and not _made_here(f))
    videos = [file for file in files if file.suffix.lower() in SUFFIXES]
    if videos:
        return videos
    if any(file.parent == path and file.suffix.lower() in IMAGE_SUFFIXES for file in files):
        return [path]
    raise PathMissingError(f"{path} holds neither videos ({', '.join(sorted(SUFFIXES))}) nor pictures")


def _made_here(file: Path) -> bool:
    """Whether a file is an annotated video among the results of a run."""
    return file.name == ANNOTATED and (file.parent / PAGE).is_file()


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _digits(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:6]
