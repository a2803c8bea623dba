"""The network between a host and a server, which can be cut."""

import contextlib
import selectors
import socket
import threading
from pathlib import Path

_CHUNK = 65_536


class Way:
    """Carries TCP connections to 127.0.0.1, at ``port``, on to a server's Unix socket, until it is cut.

    Cut, it is as when packets vanish: what the host sends goes nowhere, what it waits for does not come, a new
    connection is never answered, and nothing tells it so. The server has given up on its ends, as it does after
    its keep-alives (docs/operator.md). Mended, the host's old connections are found broken, and new ones work.
    """

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._other: dict[socket.socket, socket.socket] = {}
        self._held: list[socket.socket] = []
        self._cut = self._closed = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._carry, name="way")
        self._thread.start()

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            for host_end in [end for end in self._other if end.family == socket.AF_INET]:
                server_end = self._other[host_end]
                for end in (host_end, server_end):
                    self._selector.unregister(end)
                    del self._other[end]
                server_end.close()
                self._held.append(host_end)

    def mend(self) -> None:
        with self._lock:
            self._cut = False
            for host_end in self._held:
                host_end.close()
            self._held.clear()

    def close(self) -> None:
        self._closed = True
        self._thread.join()
        for end in (self._listening, *self._other, *self._held):
            end.close()
        self._selector.close()

    def _carry(self) -> None:
        while not self._closed:
            for key, _ in self._selector.select(0.1):
                with self._lock:
                    if key.fileobj is self._listening:
                        self._accept()
                    elif key.fileobj in self._other:
                        self._pass_on(key.fileobj)  # type: ignore[arg-type]

    def _accept(self) -> None:
        host_end, _ = self._listening.accept()
        if self._cut:
            self._held.append(host_end)
            return
        server_end = socket.socket(socket.AF_UNIX)
        try:
            server_end.connect(str(self._server))
        except OSError:
            host_end.close()
            server_end.close()
            return
        for one, other in ((host_end, server_end), (server_end, host_end)):
            self._other[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _pass_on(self, source: socket.socket) -> None:
        target = self._other[source]
        with contextlib.suppress(OSError):
            if content := source.recv(_CHUNK):
                target.sendall(content)
                return
        for end in (source, target):
            self._selector.unregister(end)
            del self._other[end]
            end.close()
