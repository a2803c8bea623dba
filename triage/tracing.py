"""Traces from a report to its open case, for OpenTelemetry, while ``TRIAGE_OTLP_ENDPOINT`` names a collector.

Without it nothing is imported and nothing is measured. A trace begins with each request and never joins one of a
client's: whoever reports could otherwise write into our traces. Attributes are routes, lanes, counts and versions, and
of an exception its type alone: its message may quote a post.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from triage import log
from triage.settings import current

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Link, Span, Tracer

#: A collector that does not answer is waited for no longer, by the thread that sends, and at the end of a process.
_EXPORT_SECONDS = 5
Attributes = Mapping[str, str | int | float]


class _Tracing:
    """This process's, while it is on."""

    provider: "TracerProvider | None" = None
    tracer: "Tracer | None" = None


def start(process: str) -> None:
    """Trace from now on, if a collector is named. ``process``: web, worker, schedule or scorer."""
    endpoint = current().otlp_endpoint
    if not endpoint or _Tracing.provider is not None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- slow import
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- slow import
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 -- slow import
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- slow import

    provider = TracerProvider(resource=Resource({"service.name": f"triage-{process}", "service.namespace": "triage"}))
    address = f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=_EXPORT_SECONDS)))
    _Tracing.provider, _Tracing.tracer = provider, provider.get_tracer("triage")


def stop() -> None:
    """Send what was traced, and trace no more."""
    if _Tracing.provider is not None:
        _Tracing.provider.shutdown()
    _Tracing.provider = _Tracing.tracer = None


def on() -> bool:
    """Whether this process traces."""
    return _Tracing.tracer is not None


@contextmanager
def span(name: str, attributes: Attributes | None = None, *, links: Sequence[str] = ()) -> Iterator[None]:
    """Trace a block as a part of what is going on. ``links``: the reports (``place``) that it is about."""
    if _Tracing.tracer is None:
        yield
        return
    with _started(_Tracing.tracer, name, attributes or {}, links=[_link(each) for each in links]):
        yield


@contextmanager
def request(method: str) -> Iterator["Request"]:
    """Trace a request, from its first byte; the log's lines carry the trace's id."""
    if _Tracing.tracer is None:
        yield Request(None)
        return
    from opentelemetry.context import Context  # noqa: PLC0415 -- slow import

    with _started(_Tracing.tracer, method, {"http.request.method": method}, kind="server", context=Context()) as begun:
        log.note(trace=format(begun.get_span_context().trace_id, "032x"))
        yield Request(begun)


class Request:
    """A request that is traced, or not."""

    def __init__(self, begun: "Span | None") -> None:
        self._span = begun

    def answered(self, method: str, route: str, status: int, request_id: str) -> None:
        """Say what became of it. The route's template and never the address, which may hold an id or a key."""
        if self._span is not None:
            self._span.update_name(f"{method} {route}")
            self._span.set_attributes(
                {"http.route": route, "http.response.status_code": status, "triage.request": request_id}
            )


def place() -> str | None:
    """Where the trace goes on in another process (W3C ``traceparent``); ``None`` while nothing is traced."""
    if _Tracing.tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator as W3C  # noqa: PLC0415 -- slow import

    carrier: dict[str, str] = {}
    W3C().inject(carrier)
    return carrier.get("traceparent")


def happened(name: str, place: str, attributes: Attributes, *, began: float) -> None:
    """Add to the trace of a report, in another process than the one it began in: since ``began``, a time.time().

    It is linked with what is going on here.
    """
    if _Tracing.tracer is None:
        return
    from opentelemetry.trace import Link, get_current_span  # noqa: PLC0415 -- slow import

    here = Link(get_current_span().get_span_context())
    began_at = int(began * 1_000_000_000)
    _Tracing.tracer.start_span(
        name, context=_context(place), start_time=began_at, links=[here], attributes=attributes
    ).end()


@contextmanager
def _started(
    tracer: "Tracer",
    name: str,
    attributes: Attributes,
    *,
    kind: Literal["internal", "server"] = "internal",
    context: "Context | None" = None,
    links: "Sequence[Link]" = (),
) -> "Iterator[Span]":
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415 -- slow import

    kinds = {"internal": SpanKind.INTERNAL, "server": SpanKind.SERVER}
    with tracer.start_as_current_span(
        name,
        context=context,
        kind=kinds[kind],
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as begun:
        try:
            yield begun
        except Exception as error:
            begun.set_attribute("error.type", type(error).__name__)
            begun.set_status(Status(StatusCode.ERROR))
            raise


def _context(place: str) -> "Context":
    from opentelemetry.context import Context  # noqa: PLC0415 -- slow import
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator as W3C  # noqa: PLC0415 -- slow import

    return W3C().extract({"traceparent": place}, context=Context())


def _link(place: str) -> "Link":
    from opentelemetry.trace import Link, get_current_span  # noqa: PLC0415 -- slow import

    return Link(get_current_span(_context(place)).get_span_context())
