"""Why a backup or a restore was refused, each as one sentence for the operator."""

from triage.domain.errors import Conflict, Unavailable


class BackupFailed(Unavailable):
    """The database's own programs could not do their part. Nothing of the installation was changed."""

    title = "Backup failed"


class BackupUnusable(Conflict):
    """The folder holds no whole backup, or one that is not as it was made. Nothing was restored from it."""

    title = "Not a usable backup"


class NotEmpty(Conflict):
    """A backup is restored into an empty installation only."""

    title = "Not empty"


class RestoredWrong(Conflict):
    """What was restored is not what was backed up. Do not work with it."""

    title = "Restored wrongly"
