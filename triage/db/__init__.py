"""Tables, sessions and migrations. Importing this package registers every table."""

from triage.db.accounts import ApiKey, Partner, PartnerUsage, User, UserSession
from triage.db.base import Base
from triage.db.batches import Batch
from triage.db.cases import AssessmentRow, Case, Decision, Judgement
from triage.db.desk import Annotation, Draft, Gloss, PostWords, SourceRecord
from triage.db.events import DeadLetter, Event, EventSeal, IdempotencyKey, WorkerBeat
from triage.db.figures import Figure
from triage.db.posts import Capture, Post, PostScores, Report
from triage.db.queues import Alert, CaseNote, CaseWords, Incident, SavedView
from triage.db.referrals import Referral
from triage.db.safeguards import FollowUp, FollowUpStep, ScrutinyItem, ScrutinyReading, ScrutinySample, SecondReading
from triage.db.tallies import Tally
from triage.db.wellbeing import ExposureRow, LeftOutTopic, MediaChoice

__all__ = [
    "Alert",
    "Annotation",
    "ApiKey",
    "AssessmentRow",
    "Base",
    "Batch",
    "Capture",
    "Case",
    "CaseNote",
    "CaseWords",
    "DeadLetter",
    "Decision",
    "Draft",
    "Event",
    "EventSeal",
    "ExposureRow",
    "Figure",
    "FollowUp",
    "FollowUpStep",
    "Gloss",
    "IdempotencyKey",
    "Incident",
    "Judgement",
    "LeftOutTopic",
    "MediaChoice",
    "Partner",
    "PartnerUsage",
    "Post",
    "PostScores",
    "PostWords",
    "Referral",
    "Report",
    "SavedView",
    "ScrutinyItem",
    "ScrutinyReading",
    "ScrutinySample",
    "SecondReading",
    "SourceRecord",
    "Tally",
    "User",
    "UserSession",
    "WorkerBeat",
]
