"""An installation in a folder, and back: database, evidence and the newest seal (docs/decisions/0010-backup.md)."""

from workers.backup.manifest import Manifest, check
from workers.backup.restoring import restore
from workers.backup.taking import take

__all__ = ["Manifest", "check", "restore", "take"]
