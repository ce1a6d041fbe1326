"""The command `dispersed-simulator`: settings, socket, server, and a prompt and clean end on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

import uvicorn

from dispersed_simulator.app import build_app
from dispersed_simulator.runtime import Runtime, open_runtime
from dispersed_simulator.settings import Settings, SettingsError, parse_settings
from dispersed_simulator.state_file import StateFileError
from dispersed_simulator.transport import DroppableProtocol

SHUTDOWN_SECONDS = 2


class _Server(uvicorn.Server):
    """uvicorn's server that announces itself once it accepts, and lets go of held answers when it ends."""

    def __init__(self, config: uvicorn.Config, *, runtime: Runtime, base_url: str) -> None:
        super().__init__(config)
        self._runtime = runtime
        self._base_url = base_url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        port_file = self._runtime.settings.port_file
        if port_file is not None:
            _write_atomically(port_file, f"{self._base_url}\n")
        control = "on" if self._runtime.settings.control else "off"
        sys.stdout.write(f"dispersed-simulator listens on {self._base_url} (control surface {control})\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._runtime.holds.release_all()
        await super().shutdown(sockets=sockets)


def _write_atomically(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only for sockets that say they are TCP; with it
    # every answer on a kept-alive connection waits 40 ms for the client's delayed acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from error
    return listener


async def _serve(settings: Settings, listener: socket.socket) -> int:
    runtime = open_runtime(settings)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    config = uvicorn.Config(
        build_app(runtime),
        http=DroppableProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        timeout_keep_alive=60,
        backlog=1024,
    )
    server = _Server(config, runtime=runtime, base_url=f"http://{host}:{listener.getsockname()[1]}")
    # uvicorn raises a signal once more after it has shut down; the default handlers would turn that into a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    await server.serve(sockets=[listener])
    return 1 if runtime.failed else 0


def main() -> int:
    """Run the simulator until SIGTERM or SIGINT. Exit status 0 after a clean end, 1 if the simulated world
    broke (its state could not be written, for example), 2 for settings that make no sense."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = parse_settings(sys.argv[1:])
        listener = _bind(settings)
    except SettingsError as error:
        sys.stderr.write(f"dispersed-simulator: {error}\n")
        return 2
    try:
        with listener:
            return asyncio.run(_serve(settings, listener))
    except StateFileError as error:
        sys.stderr.write(f"dispersed-simulator: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
