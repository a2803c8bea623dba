"""Counters and histograms for Prometheus. Labels are lanes, routes, outcomes and versions; never a person or a post.

The web process and the scorer serve what happened in them. Workers and the schedule serve no page: what stands in
``WORKERS`` and ``RUNNING`` they write to the database with each beat (``triage.tallies``), and every web process
serves it from there (docs/decisions/0009-metrics.md).
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from triage.domain.lifecycle import Outcome
from triage.domain.scores import NotAssessed
from triage.domain.words import Lane

#: Of a process that answers requests.
doorbell_failures = Counter("triage_doorbell_failures_total", "Times Redis could not be rung; the sweep covers them")
decisions = Counter("triage_decisions_total", "Decisions by outcome", ["outcome"])
quota_refusals = Counter("triage_quota_refusals_total", "Requests refused because a partner's quota is used up")
backlog_refusals = Counter("triage_backlog_refusals_total", "Batches refused because too much waits for scores")
request_seconds = Histogram(
    "triage_request_seconds",
    "Time to answer a request, waiting in line included",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

#: Of workers and the schedule: added up over all of them, and over their restarts.
WORKERS = CollectorRegistry()
_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_LONG = (0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400)
batch_posts = Histogram(
    "triage_batch_posts",
    "Posts in a batch",
    ["lane"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
    registry=WORKERS,
)
model_seconds = Histogram(
    "triage_batch_model_seconds", "Time of a batch in the model", ["lane"], buckets=_SHORT, registry=WORKERS
)
batch_seconds = Histogram(
    "triage_batch_seconds", "Time of a batch from claim to commit", ["lane"], buckets=_SHORT, registry=WORKERS
)
opening_seconds = Histogram(
    "triage_case_opening_seconds",
    "From the first report's acceptance to the open case, a capture included",
    ["lane"],
    buckets=_LONG,
    registry=WORKERS,
)
posts_read = Counter(
    "triage_posts_read_total", "Posts read by a worker: assessed, or why not", ["lane", "result"], registry=WORKERS
)
retries = Counter(
    "triage_scoring_retries_total",
    "Posts taken again because a worker did not finish, or put off because the model fails",
    ["lane", "why"],
    registry=WORKERS,
)
capture_seconds = Histogram("triage_capture_seconds", "Time to capture a URL", buckets=_SHORT, registry=WORKERS)
task_failures = Counter("triage_schedule_failures_total", "Tasks of the schedule that failed", registry=WORKERS)

#: What the living processes run. Not added up: a series is served while a process of its kind says it again.
RUNNING = CollectorRegistry()
pipeline_info = Gauge(
    "triage_pipeline_info", "1 for each version at work", ["lane", "pipeline", "policy", "taxonomy"], registry=RUNNING
)

ASSESSED = "assessed"
UNFINISHED, PUT_OFF = "unfinished", "put_off"


def _start_at_nothing() -> None:
    """A series is there from the start: one that appears with its first count was never 0."""
    for outcome in Outcome:
        decisions.labels(outcome)
    for lane in map(str, Lane):
        for histogram in (batch_posts, model_seconds, batch_seconds, opening_seconds):
            histogram.labels(lane)
        for result in (ASSESSED, *map(str, NotAssessed)):
            posts_read.labels(lane, result)
        for why in (UNFINISHED, PUT_OFF):
            retries.labels(lane, why)


_start_at_nothing()
