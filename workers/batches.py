"""What is told of a batch when it is done: to the log, to the metrics, and to the traces of its reports."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from triage import metrics, tracing
from triage.assessment import Claimed
from triage.db import Case, Report
from triage.domain import policy, taxonomy
from triage.domain.scores import Scores
from triage.domain.words import Lane

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Batch:
    """One batch of a lane. Times are in seconds; ``began`` is a time.time(), to be set beside other processes'."""

    lane: Lane
    claims: Sequence[Claimed]
    retry: bool
    began: float = field(default_factory=time.time)
    in_model: float = 0.0
    #: Where the traces of its reports go on, while tracing is on.
    traces: Sequence[str] = ()

    def find_traces(self, session: Session) -> None:
        """Find the traces of its reports: asked only while somebody traces."""
        if tracing.on():
            ids = [claim.post_id for claim in self.claims]
            found = select(Report.trace).join(Case).where(Case.post_id.in_(ids), Report.trace.is_not(None))
            self.traces = [trace for trace in session.scalars(found) if trace is not None]

    def done(self, scored: Sequence[tuple[Claimed, Scores]], *, put_off: int) -> None:
        """Tell that it is recorded: ``scored``, without the ``put_off`` posts that wait for another attempt."""
        now = time.time()
        lane, seconds = str(self.lane), now - self.began
        metrics.batch_posts.labels(lane).observe(len(self.claims))
        metrics.batch_seconds.labels(lane).observe(seconds)
        metrics.model_seconds.labels(lane).observe(self.in_model)
        for claim, _ in scored:
            metrics.opening_seconds.labels(lane).observe(max(0.0, now - claim.since.timestamp()))
        results = Counter(str(scores.not_assessed or metrics.ASSESSED) for _, scores in scored)
        for result, number in results.items():
            metrics.posts_read.labels(lane, result).inc(number)
        if self.retry:
            metrics.retries.labels(lane, metrics.UNFINISHED).inc(len(self.claims))
        if put_off:
            metrics.retries.labels(lane, metrics.PUT_OFF).inc(put_off)
        for trace in self.traces if scored else ():
            tracing.happened("case opened", trace, {"triage.lane": lane}, began=self.began)
        # `triage bench pipeline` reads this line.
        took = {"seconds": round(seconds, 6), "in_model": round(self.in_model, 6)}
        logger.info("batch done", extra={"lane": lane, "posts": len(self.claims)} | took)


def say_what_runs(lane: Lane, pipeline: str) -> None:
    """Let the metrics say which versions are at work in a lane."""
    metrics.pipeline_info.labels(str(lane), pipeline, policy.CURRENT.version, taxonomy.VERSION).set(1)
