"""What can go wrong with the embedded servers, each as one sentence that says what to do."""

from pathlib import Path

from triage.domain.errors import Unavailable


class EmbeddedError(Unavailable):
    """The embedded servers cannot start or go on. The message is one sentence for the operator."""

    title = "Embedded servers not available"


def disk_full(folder: Path) -> EmbeddedError:
    return EmbeddedError(
        f"The disk that holds {folder} is full: free some space there, or set TRIAGE_DATA_DIR to a folder elsewhere."
    )


def not_ours(folder: Path, owner: str) -> EmbeddedError:
    return EmbeddedError(f"{folder} belongs to {owner}: start as that user, or set TRIAGE_DATA_DIR to another folder.")
