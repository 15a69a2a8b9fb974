"""The page in a browser, as the command serves it; one server for all tests."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from microexp.app import server
from microexp.cli import app
from microexp.datasets.synthetic import long_video
from microexp.errors import MicroexpError, MicroexpWarning, OptionError
from microexp.frames.write import write_picture, write_video

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MISSING = [name for name in ("gradio", "playwright") if find_spec(name) is None]
in_a_browser = pytest.mark.skipif(
    bool(MISSING) or CHROMIUM is None,
    reason=f"not installed: {', '.join(MISSING) or 'Chromium'}",
)
PATIENCE = 60_000  # milliseconds
# Writes down every other machine that the server looks for; those it may reach are this one.
WATCHED = """
import sys
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = args[1][0] if event == "socket.connect" and isinstance(args[1], tuple) else args[0]
        if isinstance(host, str) and host not in ("127.0.0.1", "::1", "localhost"):
            print("asked for", host, file=sys.stderr, flush=True)
sys.addaudithook(watch)
from microexp.cli import main
main()
"""


@dataclass
class Site:
    """The running command."""

    address: str
    uploads: Path
    files: Path
    errors: Path
    process: subprocess.Popen[str]

    def left(self) -> list[str]:
        """Return the files in the folder of uploads."""
        return sorted(name for _, _, names in os.walk(self.uploads) for name in names)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("app")
    temporary = folder / "temporary"
    temporary.mkdir()
    _write_files(folder)
    options = ("--port", "0", "--max-mb", "1", "--max-seconds", "10")
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", WATCHED, "app", *options],
            env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found, (folder / "errors").read_text()
    (uploads,) = temporary.iterdir()
    yield Site(found[0], uploads, folder, folder / "errors", process)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert not any(temporary.iterdir())
    assert "asked for" not in (folder / "errors").read_text()
    assert "Traceback" not in (folder / "errors").read_text()


def _write_files(folder: Path) -> None:
    clip = long_video(2.4, 25.0, n_micro=1, n_macro=0, n_blinks=0, n_turns=0, size=128)
    write_video(folder / "face.mp4", clip.frames, clip.fps)
    write_picture(folder / "face.png", clip.frames[0])
    drawn = clip.frames[:]
    write_video(folder / "long.mp4", (drawn[abs(i % 118 - 59)] for i in range(240)), clip.fps)
    (folder / "notes.mp4").write_text("this is no video\n" * 100)
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    write_picture(folder / "large.png", noise)  # 1.5 MB


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Callable[[], Any]]:
    """Open the page as a new visitor; in the end nobody was asked but the site, and nothing is left there."""
    asked: list[str] = []
    visitors: list[Any] = []

    def opened() -> Any:
        visitor = browser.new_context(accept_downloads=True)
        visitors.append(visitor)
        visitor.on("request", lambda request: asked.append(request.url))
        page = visitor.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(site.address)
        page.get_by_role("tab", name="Analyze").wait_for()
        return page

    yield opened
    for visitor in visitors:
        visitor.close()
    elsewhere = {url for url in asked if urlsplit(url).scheme.startswith(("http", "ws"))}
    assert {f"http://{urlsplit(url).netloc}" for url in elsewhere} == {site.address}
    until = time.monotonic() + 30
    while site.left() and time.monotonic() < until:
        time.sleep(0.2)
    assert site.left() == []


def drop(page: Any, file: Path, place: int = 0) -> None:
    """Give a file to one of the places of the tab that is shown."""
    page.locator("[role=tabpanel]:visible .drop").nth(place).locator("input[type=file]").set_input_files(file)


def tab(page: Any, name: str) -> Any:
    page.get_by_role("tab", name=name).click()
    return page.locator("[role=tabpanel]:visible")


def at_work(page: Any, site: Site) -> None:
    """Wait until a video is being analysed."""
    until = time.monotonic() + PATIENCE / 1000
    while not list(site.uploads.glob("room-*/analyze-*")):
        assert time.monotonic() < until, "it never began"
        page.wait_for_timeout(50)
    assert page.locator("iframe[title=answer]").count() == 0


def answer(page: Any) -> Any:
    frame = page.frame_locator("iframe[title=answer]")
    frame.locator("h1").wait_for()
    return frame


@in_a_browser
def test_a_video_to_its_answer(visit: Callable[[], Any], site: Site) -> None:
    page = visit()
    drop(page, site.files / "face.mp4")
    shown = answer(page)
    assert "It does not say what the person felt" in shown.locator("body").inner_text()
    assert str(site.uploads) not in shown.locator("body").inner_html()
    names = page.locator("[role=tabpanel]:visible a[download]")
    assert {names.nth(i).get_attribute("download") for i in range(names.count())} == {
        "face.html",
        "face.csv",
        "face.json",
    }
    with page.expect_download() as download:
        page.locator("a[download='face.csv']").first.click()
    assert Path(download.value.path()).read_text().startswith("video,kind,onset,apex,offset")
    assert not any(name.endswith(".mp4") for name in site.left())  # the answer is given


@in_a_browser
def test_two_visitors_with_one_file_at_once(visit: Callable[[], Any], site: Site) -> None:
    pages = [visit(), visit()]
    for page in pages:
        drop(page, site.files / "face.mp4")
    for page in pages:
        assert "face" in answer(page).locator("h1").inner_text()


@in_a_browser
@pytest.mark.parametrize(("cleared_again", "answered"), [(False, "face"), (True, "long")])
def test_what_is_dropped_meanwhile_is_analysed_next_unless_it_is_cleared(
    visit: Callable[[], Any], site: Site, cleared_again: bool, answered: str
) -> None:
    page = visit()
    clear = page.locator(".drop:visible").get_by_role("button", name="Clear")
    drop(page, site.files / "long.mp4")
    at_work(page, site)
    clear.click()
    drop(page, site.files / "face.mp4")
    if cleared_again:
        clear.click()
    assert page.locator("iframe[title=answer]").count() == 0
    page.frame_locator("iframe[title=answer]").get_by_role("heading", name=answered, exact=True).wait_for()
    assert page.locator(".problem:visible").count() == 0


@in_a_browser
def test_who_leaves_meanwhile_leaves_nothing(visit: Callable[[], Any], site: Site) -> None:
    page = visit()
    drop(page, site.files / "long.mp4")
    at_work(page, site)
    page.close()


@in_a_browser
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("notes.mp4", r"^notes\.mp4 cannot be read as a video: .*[^.]\.$"),
        ("face.png", r"^face\.png is a single picture, which has no motion.*Magnify\.$"),
        ("large.png", r"^large\.png is 1\.\d MB large, and this page takes files of up to 1 MB"),
    ],
)
def test_what_cannot_be_analysed_is_said_in_one_sentence(
    visit: Callable[[], Any], site: Site, name: str, says: str
) -> None:
    page = visit()
    drop(page, site.files / name)
    assert re.search(says, page.locator(".problem:visible").inner_text())
    assert page.locator("iframe").count() == 0


@in_a_browser
def test_the_server_refuses_what_is_too_large_by_itself(visit: Callable[[], Any], site: Site) -> None:
    answer = visit().request.post(
        f"{site.address}/gradio_api/upload",
        multipart={"files": {"name": "x.mp4", "mimeType": "video/mp4", "buffer": b"0" * 1_100_000}},
    )
    assert answer.status == 413


@in_a_browser
def test_a_picture_magnified_and_enlarged(visit: Callable[[], Any], site: Site) -> None:
    page = visit()
    shown = tab(page, "Magnify")
    drop(page, site.files / "face.png")
    shown.get_by_role("button", name="Magnify").click()
    assert "face at rest" in shown.locator(".problem").inner_text()
    drop(page, site.files / "face.png", place=1)
    shown.locator(".drop").nth(1).get_by_text("face.png").wait_for()
    shown.get_by_role("button", name="Magnify").click()
    shown.locator("img").nth(1).wait_for()
    assert _widths(shown) == [224, 224]

    shown = tab(page, "Upscale")
    drop(page, site.files / "face.png")
    shown.locator(".drop").get_by_text("face.png").wait_for()
    shown.get_by_role("button", name="Upscale").click()
    shown.locator("img").nth(1).wait_for()
    assert _widths(shown) == [512, 512]


@in_a_browser
def test_a_video_magnified(visit: Callable[[], Any], site: Site) -> None:
    page = visit()
    shown = tab(page, "Magnify")
    drop(page, site.files / "face.mp4")
    shown.locator(".drop").first.get_by_text("face.mp4").wait_for()
    shown.get_by_role("button", name="Magnify").click()
    shown.locator("video").wait_for()
    page.wait_for_function("document.querySelector('video').videoWidth == 448")
    assert shown.locator("a[download='after.mp4']").count() >= 1


def _widths(shown: Any) -> list[int]:
    pictures = shown.locator("img")
    script = "async one => { await one.decode(); return one.naturalWidth; }"
    return [pictures.nth(i).evaluate(script) for i in range(2)]


def test_without_gradio_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    answer = CliRunner().invoke(app, ["app"])
    assert isinstance(answer.exception, MicroexpError)
    assert str(answer.exception).endswith("pip install 'microexp[app]'")


@pytest.fixture
def not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(server, "_run", lambda *arguments: None)
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: object())


@pytest.mark.usefixtures("not_run")
@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_others_are_let_in_with_a_warning_alone(host: str, warned: bool) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        server.serve(host, 0)
    assert ["personal data" in str(w.message) for w in told if w.category is MicroexpWarning] == [
        True
    ] * warned


@pytest.mark.usefixtures("not_run")
def test_a_port_in_use(taken_port: int) -> None:
    with pytest.raises(OptionError, match=f"port {taken_port}.*--port"):
        server.serve("127.0.0.1", taken_port)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with server._listener("127.0.0.1", 0) as taken:
        yield taken.getsockname()[1]


@pytest.mark.usefixtures("not_run")
@pytest.mark.parametrize("limit", ["0", "-1", "inf", "nan"])
@pytest.mark.parametrize("option", ["--max-mb", "--max-seconds"])
def test_limits_must_be_positive_numbers(option: str, limit: str) -> None:
    answer = CliRunner().invoke(app, ["app", option, limit])
    assert isinstance(answer.exception, OptionError)
    assert "positive" in str(answer.exception)
