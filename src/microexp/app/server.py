"""The page served: on this machine alone unless told otherwise, and with no word to any other host."""

from __future__ import annotations

import contextlib
import importlib.util
import ipaddress
import math
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from microexp.app.rooms import Rooms
from microexp.app.work import Limits
from microexp.errors import MicroexpError, MicroexpWarning, OptionError

# What the page may load, and whom it may talk to: itself. The browser holds it to that.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'self'"
)


def serve(
    host: str = "127.0.0.1",
    port: int = 7860,
    limits: Limits | None = None,
    keep: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve the page until Ctrl-C; then delete what visitors left, unless it is kept.

    Parameters
    ----------
    host : str
        Address of this machine to listen at.
    port : int
        0 for any that is free.
    limits : Limits or None
        How much it takes; None for the defaults.
    keep : bool
        Keep uploads and results.
    ready : callable or None
        Called with the address of the page once it answers.

    Warns
    -----
    MicroexpWarning
        If others than this machine can reach it.

    Raises
    ------
    MicroexpError
        If gradio is not installed.
    OptionError
        If the host or the port cannot be listened at, or a limit is not positive and finite.
    """
    limits = limits or Limits()
    if not all(0 < limit < math.inf for limit in (limits.megabytes, limits.seconds)):
        raise OptionError(
            f"limits must be positive numbers, got {limits.megabytes:g} MB and {limits.seconds:g} seconds"
        )
    if importlib.util.find_spec("gradio") is None:
        raise MicroexpError("the web page needs gradio: pip install 'microexp[app]'")
    listener = _listener(host, port)
    if not _is_loopback(host):
        warnings.warn(
            f"whoever reaches this machine at {host} can use the page: faces are personal data, so do this "
            "only in a network of people you trust, and say so to those who are seen",
            MicroexpWarning,
            stacklevel=2,
        )
    rooms = Rooms(keep)
    try:
        with listener, _environment(str(rooms.root)), _stopped_by_terminal():
            _run(listener, rooms, limits, _is_loopback(host), ready)
    except KeyboardInterrupt:
        return
    finally:
        rooms.close()
        if keep:
            warnings.warn(f"uploads and results are kept in {rooms.root}", MicroexpWarning, stacklevel=2)


def _run(
    listener: socket.socket, rooms: Rooms, limits: Limits, at_home: bool, ready: Callable[[str], None] | None
) -> None:
    import gradio
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from microexp.app import page

    host, port = listener.getsockname()[:2]
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=_announcing(host, port, ready))
    site.add_middleware(_OnlyItself)
    if at_home:  # a page of another name that resolves to this machine is not ours
        site.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", host])
    gradio.mount_gradio_app(
        site,
        page.build(rooms, limits),
        path="/",
        server_name=host,
        server_port=port,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=int(limits.megabytes * 1e6),
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=page.theme(),
        css=page.css(),
        head=page.head(limits),
    )
    config = uvicorn.Config(site, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


class _OnlyItself:
    """Adds the content policy to every answer."""

    def __init__(self, site: Any) -> None:
        self._site = site

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                policy = (b"content-security-policy", POLICY.encode())
                message = {**message, "headers": [*message.get("headers", ()), policy]}
            await send(message)

        await self._site(scope, receive, with_policy)


def _announcing(host: str, port: int, ready: Callable[[str], None] | None) -> Callable[[Any], Any]:
    @contextlib.asynccontextmanager
    async def lifespan(site: Any) -> Any:
        if ready is not None:
            ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        yield

    return lifespan


@contextlib.contextmanager
def _environment(folder: str) -> Iterator[None]:
    """Let gradio keep its files in a folder, and tell nobody that it runs."""
    ours = {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _stopped_by_terminal() -> Iterator[None]:
    """Let the end of the terminal and a polite kill be as Ctrl-C, so that uploads are deleted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {one: signal.signal(one, signal.default_int_handler) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise OptionError(
            f"cannot listen at {host}, port {port} ({getattr(error, 'strerror', None) or error}): choose "
            "another port with --port, or an address of this machine with --host"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
