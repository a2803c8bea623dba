"""A collector of traces on this machine: takes OTLP over HTTP and remembers what came."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(ThreadingHTTPServer):
    """Spans in the order they came, each with its process; and the raw bytes, to look for what may not be there."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Export)
        self.raw: list[bytes] = []
        self._spans: list[tuple[str, Span]] = []
        self._came = threading.Condition()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, body: bytes) -> None:
        sent = ExportTraceServiceRequest.FromString(body)
        with self._came:
            self.raw.append(body)
            for resource in sent.resource_spans:
                named = {each.key: each.value.string_value for each in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self._spans += [(named["service.name"], span) for span in scope.spans]
            self._came.notify_all()

    def wait_for(self, name: str, *, trace: bytes | None = None, seconds: float = 60) -> Span:
        """The first span of this name (and trace)."""

        def found() -> "Span | None":
            wanted = (span for _, span in self._spans if span.name == name and trace in (None, span.trace_id))
            return next(wanted, None)

        with self._came:
            assert self._came.wait_for(lambda: found() is not None, seconds), f"no span {name}: {self.names()}"
            span = found()
        assert span is not None
        return span

    def names(self) -> list[str]:
        return [f"{service} {span.name}" for service, span in self._spans]

    def of_trace(self, trace: bytes) -> list[tuple[str, Span]]:
        with self._came:
            return [(service, span) for service, span in self._spans if span.trace_id == trace]


class _Export(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.take(self.rfile.read(int(self.headers["Content-Length"])))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector until the end of the block."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()
