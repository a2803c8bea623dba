"""Small closed lists that appear in more than one room: lanes, purposes, roles and the like."""

from enum import StrEnum


class Lane(StrEnum):
    """Which worker handles a post. A bulk import never delays a live report."""

    URGENT = "urgent"
    LIVE = "live"
    BULK = "bulk"


class Purpose(StrEnum):
    """Why a report may be processed (purpose limitation). One purpose only: there is no secondary use."""

    PREVENTION_OF_SERIOUS_VIOLENCE = "prevention_of_serious_violence"
    SAFEGUARDING = "safeguarding"
    THREAT_TO_LIFE = "threat_to_life"


class AcquisitionMode(StrEnum):
    """How the reporter came by the post. A passively received report intrudes less than a search."""

    USER_REPORT = "user_report"
    PLATFORM_DETECTION = "platform_detection"
    TRUSTED_FLAGGER = "trusted_flagger"
    POLICE_TASKING = "police_tasking"
    POLICE_OPEN_SOURCE = "police_open_source"
    PUBLIC_REFERRAL = "public_referral"


class PartnerKind(StrEnum):
    """What sort of organisation a partner is."""

    PLATFORM = "platform"
    FORCE = "force"
    LOCAL_AUTHORITY = "local_authority"
    CHARITY = "charity"
    SCRUTINEER = "scrutineer"


class Role(StrEnum):
    """What a person may do. One person may hold several; never submit, review and approve the same case."""

    MODERATOR = "moderator"
    ANALYST = "analyst"
    APPROVER = "approver"
    SAFEGUARDING = "safeguarding"
    SCRUTINEER = "scrutineer"
    AUDITOR = "auditor"
    ADMIN = "admin"


class ScoringStatus(StrEnum):
    """Whether a post still has to be classified."""

    NO_TEXT = "no_text"
    WANTED = "wanted"
    DONE = "done"
    FAILED = "failed"


class CaptureStatus(StrEnum):
    """Whether a URL still has to be fetched."""

    WANTED = "wanted"
    DONE = "done"
    FAILED = "failed"


class Work(StrEnum):
    """What can be given up."""

    POST = "post"
    CAPTURE = "capture"


class Stage(StrEnum):
    """A judgement is given before the machine's reasons are shown, and may be changed after."""

    FIRST = "first"
    FINAL = "final"


class ReferralStatus(StrEnum):
    """The life of a referral inside the house; what the recipient did is an outcome.

    ``rejected`` went back to the queue; ``refused`` was turned down for good, and the case is closed.
    """

    PENDING_APPROVAL = "pending_approval"
    APPROVED = "approved"
    REJECTED = "rejected"
    REFUSED = "refused"
    COLLECTED = "collected"
    RECALLED = "recalled"


class Operation(StrEnum):
    """The six operations that DPA 2018 s.62 requires to be logged, and one for the system's own acts."""

    COLLECTION = "collection"
    ALTERATION = "alteration"
    CONSULTATION = "consultation"
    DISCLOSURE = "disclosure"
    COMBINATION = "combination"
    ERASURE = "erasure"
    SYSTEM = "system"


class ActorKind(StrEnum):
    """Who acted."""

    USER = "user"
    PARTNER = "partner"
    SYSTEM = "system"
