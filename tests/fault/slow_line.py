"""A line to a server with a delay in it, as between two machines far apart or over one that is overloaded."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SlowLine:
    """Passes bytes between whoever connects to ``port`` and a server's socket, each answer after ``delay`` seconds."""

    def __init__(self, path: str, delay: float) -> None:
        self.delay = delay
        self._path = path
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listening]
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):  # closed: the end
            while True:
                here, _ = self._listening.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(self._path)
                self._open += [here, there]
                for source, sink, answers in ((here, there, False), (there, here, True)):
                    threading.Thread(target=self._pass, args=(source, sink, answers), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if answers:
                    time.sleep(self.delay)
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def slow_line(path: str, delay: float) -> Iterator[SlowLine]:
    line = SlowLine(path, delay)
    try:
        yield line
    finally:
        line.close()
