"""Every refusal the service makes on purpose.

    TriageError
    ├── InvalidInput          422  a field is wrong; names the field and the fix
    ├── NotAuthenticated      401
    ├── Forbidden             403
    ├── NotFound              404
    ├── Conflict              409
    │   ├── IllegalTransition      the case is not in a state where this can happen
    │   ├── LeaseLost              somebody else holds the case now, or nobody does
    │   ├── BreakDue               the person has read enough for now
    │   └── IdempotencyMismatch    the same key came with another body
    ├── TooLarge              413
    ├── GateClosed            422  a rule of the code book forbids this decision
    ├── Later                 429  says after how many seconds to send it again
    │   ├── QuotaExceeded
    │   └── BacklogFull            too much waits for scores to accept bulk intake
    └── Unavailable           503

An error carries what a client may see and nothing else: never post text.
"""


class TriageError(Exception):
    """A refusal with an HTTP status and a sentence that says what to do."""

    status = 400
    title = "Bad request"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class InvalidInput(TriageError):
    status = 422
    title = "Invalid input"


class NotAuthenticated(TriageError):
    status = 401
    title = "Not signed in"


class Forbidden(TriageError):
    status = 403
    title = "Not allowed"


class NotFound(TriageError):
    status = 404
    title = "Not found"


class Conflict(TriageError):
    status = 409
    title = "Conflict"


class IllegalTransition(Conflict):
    title = "Not possible in this state"


class LeaseLost(Conflict):
    title = "You no longer hold this case"


class BreakDue(Conflict):
    title = "Time for a break"


class IdempotencyMismatch(Conflict):
    title = "Idempotency-Key used with another body"


class TooLarge(TriageError):
    status = 413
    title = "Too large"


class GateClosed(TriageError):
    status = 422
    title = "Decision not allowed by the code book"


class Later(TriageError):
    status = 429
    title = "Too much at once"

    def __init__(self, detail: str, *, retry_after: int, field: str | None = None) -> None:
        super().__init__(detail, field=field)
        self.retry_after = retry_after


class QuotaExceeded(Later):
    title = "Quota used up"


class BacklogFull(Later):
    title = "Too much is waiting"

    def __init__(self, why: str, *, retry_after: int) -> None:
        still = "Single reports are still accepted, and batches in which every report is urgent"
        super().__init__(f"{why}. Nothing of this was stored: send it again later. {still}", retry_after=retry_after)
        self.why = why


class Unavailable(TriageError):
    status = 503
    title = "Temporarily unavailable"
