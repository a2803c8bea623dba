"""The job of the obvious design: one post. Compare ``workers.jobs.classify``, which takes what waits."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, update

from triage import assessment, audit
from triage.assessment import Claimed
from triage.db import Post
from triage.db.session import transaction
from workers import jobs


def score_one(post: str) -> None:
    """Score a post and open its case, unless that is done."""
    post_id, lease = uuid.UUID(post), uuid.uuid4()
    scorer = jobs.pipeline()
    with transaction() as session:
        text = session.scalar(
            update(Post)
            .where(Post.id == post_id, Post.scoring == "wanted")
            .values(scoring_lease=lease, scoring_lease_until=func.now() + timedelta(minutes=3))
            .returning(Post.text)
        )
        if text is None:
            return
        now = datetime.now(UTC)
        scored = [(Claimed(post_id, text, lease, now), scorer.score([text])[0])]
        actor = audit.system(f"pipeline {scorer.version}")
        assessment.record_scores(session, actor, scored, pipeline_version=scorer.version, now=now)
