"""Counters of the web process, served at ``/metrics``. Labels are lanes and outcomes; never a person or a post.

Only what happens in the web process is counted here: workers and commands serve no metrics, and what they do is
counted in the database when somebody asks (``triage.api.health``).
"""

from prometheus_client import Counter

doorbell_failures = Counter("triage_doorbell_failures_total", "Times Redis could not be rung; the sweep covers them")
decisions = Counter("triage_decisions_total", "Decisions by outcome", ["outcome"])
