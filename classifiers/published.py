"""The published form of one post's scores: what ``triage score`` prints and the scoring service answers."""

from typing import Any

from triage.domain import policy
from triage.domain.scores import EvidenceSpan, Scores


def as_json(line_id: str, scores: Scores) -> dict[str, Any]:
    """The published form of one result."""
    assessment = policy.assess(scores)
    return {
        "id": line_id,
        "flagged": assessment.flagged,
        "tier": assessment.tier.value,
        "assessed": assessment.assessed,
        "labels": {code: round(value, 4) for code, value in scores.labels.items()},
        "contexts": {name: round(value, 4) for name, value in scores.contexts.items()},
        "evidence": [_span(span) for span in scores.evidence],
        "reasons": list(assessment.reasons),
        "versions": {**scores.versions, "policy": assessment.policy_version},
    }


def _span(span: EvidenceSpan) -> dict[str, Any]:
    shown = {"start": span.start, "end": span.end, "code": span.code, "source": span.source}
    return {**shown, "note": span.note} if span.note else shown
