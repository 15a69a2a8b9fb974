"""The page: three tabs, what happens when something is dropped, and sentences for what cannot be done."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr

from microexp.analyze.page import RESPONSIBLE_USE
from microexp.app import work
from microexp.app.rooms import Rooms
from microexp.app.work import BeforeAfter, Limits
from microexp.errors import MicroexpError
from microexp.media import Progress

Dropped = dict[str, Any] | None  # a file as gradio describes it

AT_ONCE = 2  # visitors whose files are worked on at the same time
_TELL_EVERY = 0.3  # seconds
# Of a dropped file the path is all that is wanted; gradio's own preprocessing would leave empty files behind.
_RAW = {"preprocess": False, "api_visibility": "private"}
_QUEUED = {"concurrency_id": "work", "concurrency_limit": AT_ONCE, **_RAW}
_DIRECT = {"queue": False, "show_progress": "hidden", **_RAW}
_TITLE = "microexp"
_LEAD = "Facial micro-expressions: where a face moves in a video, which expression that looks like, how sure."
_STRENGTHS = {False: ("Factor: how many times as large the motion becomes", 1, 20, 5, 0.5),
              True: ("Cascade: how many times in a row it is magnified", 1, 3, 1, 1)}  # fmt: skip


def theme() -> gr.themes.Base:
    """Return a theme with the fonts of the visitor's system, so that none is fetched."""
    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    return gr.themes.Base(
        primary_hue="cyan",
        neutral_hue="slate",
        radius_size="sm",
        font=fonts,
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def css() -> str:
    """Return the style of the page."""
    return files(__package__).joinpath("page.css").read_text("utf-8")


def head(limits: Limits) -> str:
    """Return the script that refuses too large a file before it is sent."""
    script = files(__package__).joinpath("limits.js").read_text("utf-8")
    return f"<script>const MEGABYTES = {limits.megabytes:g};\n{script}</script>"


def build(rooms: Rooms, limits: Limits) -> gr.Blocks:
    """Return the page, not yet served.

    Parameters
    ----------
    rooms : Rooms
        Where the files of visitors are.
    limits : Limits
        How much it takes.
    """
    desk = _Desk(rooms, limits)
    with gr.Blocks(title=_TITLE, analytics_enabled=False, fill_width=False) as page:
        gr.HTML(f"<h1>{_TITLE}</h1><p class='lead'>{_LEAD}</p>")
        _analyze_tab(desk)
        _magnify_tab(desk)
        _upscale_tab(desk)
        gr.HTML(
            f"<p>{escape(RESPONSIBLE_USE)}</p><p>Files of up to {limits.in_words} stay on the machine that "
            "serves this page. What you drop is deleted when it is analysed, replaced or cleared, and all "
            "results when you close the page.</p>",
            elem_classes="foot",
        )
        page.unload(desk.leave)
    page.queue(default_concurrency_limit=AT_ONCE, api_open=False)
    return page


def _analyze_tab(desk: _Desk) -> None:
    with gr.Tab("Analyze"):
        file = gr.File(label="Drop a video of one face", height=170, elem_classes="drop")
        notice = _notice()
        saved = gr.File(
            label="Page, CSV and JSON to keep", file_count="multiple", visible=False, interactive=False
        )
        shown = gr.HTML(elem_classes="answer", min_height=80, padding=False)
    outputs = [file, notice, shown, saved]
    file.change(desk.at("analyze"), file, **_DIRECT)
    # What is dropped while something is analysed is analysed next.
    file.upload(desk.analyze, file, outputs, show_progress_on=shown, trigger_mode="always_last", **_QUEUED)


def _magnify_tab(desk: _Desk) -> None:
    methods = work.magnifiers()
    with gr.Tab("Magnify"), gr.Row():
        with gr.Column(scale=1, min_width=300):
            file = gr.File(label="Drop a video or a picture of a face", height=160, elem_classes="drop")
            onset = gr.File(label="With a picture: the face at rest", height=160, elem_classes="drop")
            method = gr.Dropdown([*methods.items()], value=next(iter(methods.values())), label="Method")
            label, low, high, value, step = _STRENGTHS[False]
            strength = gr.Slider(low, high, value, step=step, label=label)
            align = gr.Checkbox(True, label="Follow the face, so that movements of the head are left out")
            start = gr.Button("Magnify", variant="primary")
        made = _before_and_after()
    method.change(_strength_of, method, [strength, onset, align], **_DIRECT)
    file.change(desk.at("magnify"), file, **_DIRECT)
    onset.change(desk.at("onset"), onset, **_DIRECT)
    inputs = [file, onset, method, strength, align]
    start.click(desk.magnify, inputs, made, show_progress_on=made[0], **_QUEUED)


def _upscale_tab(desk: _Desk) -> None:
    methods = work.upscalers()
    first = next(iter(methods.values()))
    with gr.Tab("Upscale"), gr.Row():
        with gr.Column(scale=1, min_width=300):
            file = gr.File(label="Drop a picture or a video", height=160, elem_classes="drop")
            method = gr.Dropdown([*methods.items()], value=first, label="Method")
            scale = gr.Dropdown(work.scales(first), label="Times as wide and high")
            start = gr.Button("Upscale", variant="primary")
        made = _before_and_after()
    method.change(_scales_of, method, scale, **_DIRECT)
    file.change(desk.at("upscale"), file, **_DIRECT)
    start.click(desk.upscale, [file, method, scale], made, show_progress_on=made[0], **_QUEUED)


def _notice() -> gr.HTML:
    return gr.HTML(elem_classes="notice", padding=False)


def _before_and_after() -> list[Any]:
    with gr.Column(scale=3):
        notice = _notice()
        with gr.Row():
            before = gr.Image(label="before", visible=False, interactive=False, buttons=["fullscreen"])
            after = gr.Image(label="after", visible=False, interactive=False, buttons=["fullscreen"])
        both = gr.Video(show_label=False, visible=False, interactive=False, loop=True)
        saved = gr.File(label="Result to keep", visible=False, interactive=False)
    return [notice, before, after, both, saved]


def _strength_of(method: str) -> list[Any]:
    """Return the control of the strength that a method has, and whether it has use for the others."""
    one = work.needs_one_picture(method)
    label, low, high, value, step = _STRENGTHS[one]
    return [
        gr.Slider(low, high, value, step=step, label=label),
        gr.File(visible=not one),
        gr.Checkbox(visible=not one),
    ]


def _scales_of(method: str) -> gr.Dropdown:
    scales = work.scales(method)
    return gr.Dropdown(scales, value=scales[-1])


class _Desk:
    """What the events of the page call. It knows where files are, and nothing of any visitor."""

    def __init__(self, rooms: Rooms, limits: Limits) -> None:
        self._rooms, self._limits = rooms, limits

    def at(self, place: str) -> Callable[..., None]:
        """Return what is called when something is dropped at a place of the page, or taken away."""

        def changed(dropped: Dropped, request: gr.Request) -> None:
            if dropped is None:
                self._rooms.let_go(_visitor(request), place)
            else:
                with suppress(MicroexpError):  # it is analysed already, or the visitor has left
                    self._rooms.hold(_visitor(request), place, _path(dropped))

        return changed

    def leave(self, request: gr.Request) -> None:
        """Delete what belongs to a visitor who leaves."""
        self._rooms.leave(_visitor(request))

    def analyze(
        self,
        dropped: Dropped,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        if dropped is None:  # it had to wait, and was cleared or answered before its turn came
            return (gr.skip(),) * 4
        visitor, upload = _visitor(request), _path(dropped)
        try:
            with self._rooms.work(visitor, "analyze", upload) as (folder, (file,)):
                made = work.report(file, folder, self._limits, self._teller(visitor, progress))
                page = made.page.read_text("utf-8")
        except MicroexpError as error:
            answer = self._problem(error), "", gr.update(value=None, visible=False)
        else:
            saved = [str(made.page), str(made.csv), str(made.json)]
            answer = "", _framed(page), gr.update(value=saved, visible=True)
        done = self._rooms.let_go_unless_replaced(visitor, "analyze", upload)
        return None if done else gr.skip(), *answer

    def magnify(
        self,
        dropped: Dropped,
        onset: Dropped,
        method: str,
        strength: float,
        align: bool,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        def make(folder: Path, tell: Progress, file: Path, rest: Path | None = None) -> BeforeAfter:
            return work.magnified(
                *(file, folder, self._limits, tell),
                method=method,
                strength=strength,
                onset=rest,
                align=align,
            )

        return self._made("magnify", [dropped, onset], make, request, progress)

    def upscale(
        self,
        dropped: Dropped,
        method: str,
        scale: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> list[Any]:
        def make(folder: Path, tell: Progress, file: Path) -> BeforeAfter:
            return work.upscaled(file, folder, self._limits, tell, method=method, scale=scale)

        return self._made("upscale", [dropped], make, request, progress)

    def _made(
        self,
        place: str,
        dropped: list[Dropped],
        make: Callable[..., BeforeAfter],
        request: gr.Request,
        progress: gr.Progress,
    ) -> list[Any]:
        if dropped[0] is None:
            return _shown(self._problem("Drop a file first"))
        visitor, uploads = _visitor(request), [_path(one) for one in dropped if one is not None]
        try:
            with self._rooms.work(visitor, place, *uploads) as (folder, files):
                return _shown(made=make(folder, self._teller(visitor, progress), *files))
        except MicroexpError as error:
            return _shown(self._problem(error))

    def _problem(self, what: MicroexpError | str) -> str:
        """Return the sentence of an error, in which files are called what the visitor calls them."""
        of_ours = rf"{re.escape(str(self._rooms.root))}/(?:room-[^/]+/)?[^/]+/"
        text = re.sub(of_ours, "", str(what)).rstrip(".")
        return f"<div class='problem' role='alert'>{escape(text)}.</div>"

    def _teller(self, visitor: str, progress: gr.Progress) -> Progress:
        """Return what tells a visitor how far it is, now and then; it ends the work of one who has left."""
        told = 0.0

        def tell(what: str, done: int, total: int) -> None:
            nonlocal told
            self._rooms.stay(visitor)
            if time.monotonic() - told > _TELL_EVERY:
                told = time.monotonic()
                progress((done, total), desc=what)

        return tell


def _path(dropped: dict[str, Any]) -> str:
    return str(dropped["path"])


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)


def _framed(page: str) -> str:
    """Return a page within the page: it runs no scripts, and is as high as it needs."""
    fit = "this.style.height = this.contentDocument.documentElement.scrollHeight + 'px'"
    return (
        f'<iframe title="answer" sandbox="allow-same-origin" onload="{fit}" srcdoc="{escape(page)}"></iframe>'
    )


def _shown(notice: str = "", made: BeforeAfter | None = None) -> list[Any]:
    """Return what stands in a notice and in the places for before and after."""
    if made is None:
        return [notice, *(gr.update(value=None, visible=False) for _ in range(4))]
    remarks = "".join(f"<div class='remark'>{escape(remark)}</div>" for remark in made.remarks)
    files = (made.before, made.after if made.before else None, made.both, made.after)
    return [remarks, *(gr.update(value=file and str(file), visible=file is not None) for file in files)]
