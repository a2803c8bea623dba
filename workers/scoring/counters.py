"""What this scorer did since it started, served at its ``/metrics``. Counts only, never a text or a partner."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from triage import metrics

REGISTRY = CollectorRegistry()  # not the web process's, whose counters would stand here at 0 for ever
REGISTRY.register(metrics.request_seconds)
REGISTRY.register(metrics.quota_refusals)

texts = Counter("triage_scorer_texts_total", "Texts answered, assessed or not", registry=REGISTRY)
not_assessed = Counter("triage_scorer_not_assessed_total", "Texts not assessed", ["reason"], registry=REGISTRY)
batches = Counter("triage_scorer_batches_total", "Batches they were read in", registry=REGISTRY)
refused = Counter("triage_scorer_refused_total", "Requests refused: too many at once or waiting", registry=REGISTRY)
waiting = Gauge("triage_scorer_texts_waiting", "Texts that wait or are being read", registry=REGISTRY)
