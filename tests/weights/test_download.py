from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from microexp.errors import WeightsError
from microexp.weights.download import fetch, locate

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Hub(ThreadingHTTPServer):
    """Gives `content` under one name, announces `announced` bytes, and notes what it was asked for."""

    content: bytes
    announced: int
    asked: list[str]


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path != "/owner/model/resolve/main/model.safetensors":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.announced))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub(("127.0.0.1", 0), Answer)
    server.content, server.announced, server.asked = CONTENT, len(CONTENT), []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("MICROEXP_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


def test_a_file_is_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    file = fetch("owner/model")
    assert file.read_bytes() == CONTENT
    assert file.suffix == ".safetensors"
    assert fetch("owner/model") == fetch(f"owner/model@sha256:{SHA256}") == locate("owner/model") == file
    assert hub.asked == ["/owner/model/resolve/main/model.safetensors"]
    assert list((tmp_path / "cache" / "weights").iterdir()) == [file]


def test_a_wrong_checksum_is_refused_and_nothing_kept(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"SHA-256 {SHA256}, not 0000"):
        fetch(f"owner/model@sha256:{'0' * 64}")
    assert list((tmp_path / "cache" / "weights").iterdir()) == []


def test_a_file_that_changed_on_the_disk_is_downloaded_again(hub: Hub) -> None:
    name = f"owner/model@sha256:{SHA256.upper()}"
    file = fetch(name)
    file.write_bytes(b"something else")
    assert fetch(name).read_bytes() == CONTENT
    assert len(hub.asked) == 2


def test_half_a_download_is_refused_and_nothing_kept(hub: Hub, tmp_path: Path) -> None:
    hub.announced += 5
    with pytest.raises(WeightsError, match="ended after 7000 of 7005 bytes"):
        fetch("owner/model")
    assert list((tmp_path / "cache" / "weights").iterdir()) == []
    hub.announced -= 5
    assert fetch("owner/model").read_bytes() == CONTENT


def test_an_unknown_model_is_named(hub: Hub) -> None:
    with pytest.raises(WeightsError, match=r"owner/other/resolve/main/model.safetensors was not given \(404"):
        fetch("owner/other")


def test_a_hub_that_does_not_answer_is_named(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.shutdown()
    hub.server_close()
    with pytest.raises(WeightsError, match=r"cannot be downloaded \(.*give its path"):
        fetch("owner/model")
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(WeightsError, match="must begin with https"):
        fetch("owner/model")


@pytest.mark.parametrize("name", ["model", "a/b/c", "../model", "owner/model@sha256:12", "owner/model@md5:0"])
def test_what_is_no_name_is_refused(hub: Hub, name: str) -> None:
    with pytest.raises(WeightsError, match="neither a weight file that exists nor a name"):
        fetch(name)
    assert hub.asked == []


def test_paths_are_taken_as_they_are(hub: Hub, tmp_path: Path) -> None:
    assert locate(tmp_path / "none") == tmp_path / "none"
    assert locate("owner/model.pth") == Path("owner/model.pth")
    (tmp_path / "named").write_bytes(CONTENT)
    assert locate(str(tmp_path / "named")) == tmp_path / "named"
    assert hub.asked == []
