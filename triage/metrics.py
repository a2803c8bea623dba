"""Counters and histograms for Prometheus. Labels are lanes, codes and outcomes; never a person or a post."""

from prometheus_client import Counter, Histogram

reports_accepted = Counter("triage_reports_accepted_total", "Reports accepted", ["lane"])
reports_refused = Counter("triage_reports_refused_total", "Reports refused", ["reason"])
posts_scored = Counter("triage_posts_scored_total", "Posts given scores", ["lane"])
posts_not_assessed = Counter("triage_posts_not_assessed_total", "Posts opened without scores", ["reason"])
batch_seconds = Histogram("triage_batch_seconds", "Seconds to classify and record one batch", ["lane"])
doorbell_failures = Counter("triage_doorbell_failures_total", "Times Redis could not be rung; the sweep covers them")
decisions = Counter("triage_decisions_total", "Decisions by outcome", ["outcome"])
