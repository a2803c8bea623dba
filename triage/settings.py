"""Configuration: environment variables with the prefix ``TRIAGE_``, read here and nowhere else."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting, with the value a laptop wants. ``docs/operator.md`` explains each one."""

    model_config = SettingsConfigDict(env_prefix="TRIAGE_", extra="ignore")

    database_url: str | None = None
    redis_url: str | None = None
    data_dir: Path = Path("var")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    #: Of the scoring process; 0: `triage up` starts none.
    scorer_port: int = Field(8001, ge=0, le=65535)
    #: Set when the site is reached over HTTPS: cookies are then marked Secure.
    https: bool = False
    session_hours: int = Field(12, ge=1, le=72)

    #: Who runs this installation; printed on every export.
    authority_name: str = "Demonstration authority"
    authority_contact: str = "triage@demonstration.example"

    #: A reading that rests on an event further back needs evidence besides the reference to it. The database holds 12.
    old_event_months: int = Field(12, ge=1, le=12)
    #: Whom to phone about a threat to life, as the page shows it.
    control_room: str = "999"
    #: Where people open this site, for links in messages; empty: messages carry no link.
    public_url: str = ""
    #: Whom a threat to life calls: steps separated by commas, each with webhooks (https://) and addresses (mailto:)
    #: separated by spaces. The first step at once, each further one while nobody has looked.
    on_call: str = ""
    on_call_minutes: int = Field(5, ge=1, le=60)
    #: Signs webhooks (HMAC-SHA256); empty: they are not signed.
    on_call_secret: SecretStr = SecretStr("")
    #: Where e-mail is handed in, `smtp://user:password@host:587` (STARTTLS) or `smtps://`; empty: none is sent.
    smtp_url: SecretStr = SecretStr("")
    mail_from: str = "triage@localhost"

    lease_minutes: int = Field(20, ge=1, le=240)
    #: Of one reviewer: time with the heaviest content a day (milder content counts less), time at a stretch, and the
    #: break that then comes before the next case.
    exposure_minutes_a_day: int = Field(240, ge=1, le=720)
    exposure_minutes_at_a_stretch: int = Field(90, ge=1, le=240)
    break_minutes: int = Field(10, ge=1, le=120)
    #: Who is there for reviewers, shown to them after a threat to life and on their own page; separated by `;`.
    support_contacts: str = ""
    batch_size: int = Field(32, ge=1, le=256)
    #: Seconds after which another worker may take a post that one worker claimed and did not finish. Longer than
    #: a worker may be busy before it is killed, or a slow worker's posts are scored twice and then given up.
    scoring_lease_seconds: int = Field(180, ge=2)
    scoring_attempts: int = Field(3, ge=1)
    #: Seconds, about, before posts are tried again when the model fails on all; four times as long after each attempt.
    scoring_retry_seconds: float = Field(10.0, ge=0)
    #: Bulk intake is refused while more posts wait for scores than this, or one of the bulk lane for longer than that.
    backlog_limit: int = Field(200_000, ge=1)
    backlog_age_minutes: int = Field(240, ge=1)
    #: A case whose lane has no worker goes to a person without scores after so long; one of the urgent lane sooner.
    unattended_minutes: int = Field(15, ge=1)
    unattended_urgent_minutes: int = Field(2, ge=1)
    #: A worker busy with one batch for longer than this is hung and is killed.
    hung_after_seconds: int = Field(120, ge=5)
    torch_threads: int = Field(1, ge=1)
    #: A collector of OpenTelemetry traces, `http://host:4318` (OTLP over HTTP); empty: nothing is traced.
    otlp_endpoint: str = ""
    #: Where the classifiers run.
    device: Literal["cpu", "cuda"] = "cpu"
    #: Lanes that `triage up` starts a worker for, comma separated.
    worker_lanes: str = "urgent,live,bulk,capture"

    max_text_chars: int = 20_000
    max_body_bytes: int = 10_000_000
    max_batch_lines: int = 10_000

    #: Hosts an analyst may submit, comma separated; a subdomain is covered by its parent.
    capture_hosts: str = (
        "x.com,twitter.com,instagram.com,tiktok.com,youtube.com,youtu.be,facebook.com,snapchat.com,t.me,reddit.com"
    )
    #: For tests and demonstrations against pages on this machine only; never in production.
    capture_allow_private: bool = False
    capture_max_bytes: int = 5_000_000
    capture_seconds: float = 15.0

    @property
    def evidence_dir(self) -> Path:
        """Where captured bytes are kept, by their SHA-256."""
        return self.data_dir / "evidence"

    @property
    def on_call_steps(self) -> tuple[tuple[str, ...], ...]:
        """The targets of each step, first on call first."""
        return tuple(targets for step in self.on_call.split(",") if (targets := tuple(step.split())))

    @property
    def allowed_hosts(self) -> frozenset[str]:
        return frozenset(host.strip().lower() for host in self.capture_hosts.split(",") if host.strip())


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read once.

    Where no server is named, those that ``triage up`` is running on this machine are used (it writes their
    addresses to ``servers/urls.json`` in the data directory): so `triage doctor` works in a second terminal.
    """
    settings = Settings()
    running = settings.data_dir / "servers" / "urls.json"
    if running.exists():
        urls = json.loads(running.read_text(encoding="utf-8"))
        settings.database_url = settings.database_url or urls.get("database_url")
        settings.redis_url = settings.redis_url or urls.get("redis_url")
    return settings
