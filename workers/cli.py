"""The ``triage`` command. Each room offers its commands; they are put together here."""

import json
import signal
import sys
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from classifiers import cli as scoring
from triage import accounts, audit, dead_letters, log
from triage.db import Partner
from triage.db.migrate import grant, upgrade
from triage.db.session import transaction
from triage.domain.errors import InvalidInput, NotFound, TriageError
from triage.domain.words import PartnerKind, Role
from triage.queue import Bell
from triage.settings import Settings, current
from workers import demo as demonstration
from workers import demo_day, demo_stage, imports, schedule, up
from workers import doctor as examination
from workers.bench.command import bench_pipeline

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a plain traceback, without values: they may be posts
    help="Triage of reported posts: machines rank, people decide.",
)
user_app = typer.Typer(no_args_is_help=True, help="People who sign in.")
key_app = typer.Typer(no_args_is_help=True, help="Partners and their API keys.")
dead_app = typer.Typer(no_args_is_help=True, help="What was given up, and trying it again.")
audit_app = typer.Typer(no_args_is_help=True, help="The log that proves itself.")
bench_app = typer.Typer(no_args_is_help=True, help="How fast this machine is at it.")

app.add_typer(user_app, name="user")
app.add_typer(key_app, name="key")
app.add_typer(dead_app, name="dead")
app.add_typer(audit_app, name="audit")
app.add_typer(bench_app, name="bench")
bench_app.command("score")(scoring.bench_score)
bench_app.command("pipeline")(bench_pipeline)
app.command()(scoring.score)

_OPERATOR = audit.system("command line")


@app.command("up")
def start_all() -> None:
    """Start everything on this machine: servers, migrations, demonstration data, web, workers, schedule."""
    # Not current(): that would take the addresses which a killed run left behind for servers to use.
    log.configure()
    raise typer.Exit(up.run_up(Settings()))


@app.command()
def web() -> None:
    """Serve the API and the pages."""
    import uvicorn  # noqa: PLC0415 -- slow import

    settings = current()
    uvicorn.run("workers.web:app", host=settings.host, port=settings.port, log_config=None, access_log=False)


@app.command()
def worker(bell: Bell, burst: bool = False) -> None:
    """Work for one lane (urgent, live, bulk) or for capture."""
    from workers import worker as process  # noqa: PLC0415 -- slow import

    log.configure()
    process.run(bell, burst=burst)


@app.command()
def scorer() -> None:
    """Serve scores: our own address, OpenAI's /v1/moderations and Perspective's comments:analyze."""
    from workers import scorer as serving  # noqa: PLC0415 -- slow import

    log.configure()
    serving.run()


@app.command("schedule")
def run_schedule() -> None:
    """Sweep, seal and keep order, once a second."""
    log.configure()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    schedule.run(stop)


@app.command()
def migrate(
    app_role: Annotated[str | None, typer.Option(help="The role that web, workers and schedule connect as")] = None,
) -> None:
    """Bring the database to the newest schema, and give the service's role its rights. Run it as the owner."""
    upgrade()
    if app_role:
        grant(app_role)


@app.command()
def backup(folder: Annotated[Path, typer.Argument(file_okay=False, help="A new or empty folder")]) -> None:
    """Back up database and evidence while the service runs; as the owner. Exit status 1 if evidence was lost before."""
    from workers import backup as backups  # noqa: PLC0415 -- slow import

    made = backups.take(folder)
    rows = made.rows
    typer.echo(f"{rows['reports']:,} reports, {rows['events']:,} events and {made.evidence_files:,} files of evidence")
    typer.echo(f"Keep elsewhere, to prove a restored log: seal {made.seal or '(none yet)'}")
    if made.evidence_lost:
        lost = ", ".join(made.evidence_lost[:3])
        typer.echo(
            f"Missing or altered before this backup: {len(made.evidence_lost):,} captures' bytes: {lost}", err=True
        )
        raise typer.Exit(1)


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="What `triage backup` wrote")],
    expect: Annotated[str | None, typer.Option(help="A seal's SHA-256 kept elsewhere")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only read the backup and say whether it is whole")] = False,
) -> None:
    """Restore a backup into an empty installation, and prove it; as the owner. Then `triage migrate --app-role`."""
    from workers import backup as backups  # noqa: PLC0415 -- slow import

    if check:
        typer.echo(f"Whole, made {backups.check(folder).made_at}")
        return
    proved = backups.restore(folder, expect=expect)
    typer.echo(f"Restored; the chain holds: {proved.sealed_events:,} events under {proved.seals:,} seals")


@app.command()
def demo() -> None:
    """Demonstration accounts (printed once) and about 200 invented posts, through the real intake."""
    demonstration.load()


@app.command("demo-day")
def play_day(
    pace: Annotated[float, typer.Option(min=0, help="Seconds between two acts; 0: as fast as it goes")] = 2.0,
) -> None:
    """A working day on invented posts, played on this machine's service, which is started where none runs."""
    with demo_stage.running() as home:
        demo_day.run(home, pace=pace)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSONL or CSV of reports")],
    partner: Annotated[str, typer.Option(help="On whose behalf: the partner's name")],
    rejects: Annotated[Path | None, typer.Option(help="Where bad rows go; default FILE.rejects.jsonl")] = None,
    from_line: Annotated[int, typer.Option(min=1, help="Go on from this line of the file")] = 1,
    wait: Annotated[bool, typer.Option(help="Wait for room while too much waits for scores; else stop")] = True,
) -> None:
    """Import reports; bad rows go to a rejects file and the exit status is 1."""
    outcome = imports.import_file(
        file,
        partner_name=partner,
        rejects=rejects or file.with_name(f"{file.name}.rejects.jsonl"),
        from_line=from_line,
        wait=wait,
    )
    typer.echo(
        f"{outcome.accepted:,} accepted, {outcome.duplicates:,} of them already known, {outcome.refused:,} refused"
    )
    if outcome.refused:
        typer.echo(f"Refused rows and reasons: {outcome.rejects}", err=True)
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Say on one page what is right and what is wrong; exit status 1 if anything is."""
    with transaction() as session:
        findings = examination.examine(session)
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: ""}[finding.ok]
        typer.echo(f"{mark:<7}{finding.name:<36}{finding.value}")
        if not finding.ok and finding.advice:
            typer.echo(f"{'':<43}{finding.advice}")
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


@user_app.command("add")
def add_user(
    username: str,
    name: Annotated[str, typer.Option(prompt=True, help="The name colleagues see")],
    role: Annotated[list[Role], typer.Option(help="May be given several times")],
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)],
) -> None:
    """Add a person."""
    with transaction() as session:
        user = accounts.create_user(
            session, _OPERATOR, username=username, display_name=name, password=password, roles=role
        )
    typer.echo(f"{username} can sign in; outside the house they are {user.pseudonym}")


@key_app.command("partner")
def add_partner(
    name: str,
    kind: PartnerKind,
    quota: Annotated[int, typer.Option(min=1, help="Reports a day")] = 100_000,
    score_quota: Annotated[int, typer.Option(min=0, help="Texts scored a day")] = 100_000,
) -> None:
    """Add a partner organisation."""
    with transaction() as session:
        accounts.create_partner(
            session, _OPERATOR, name=name, kind=kind, quota_per_day=quota, score_quota_per_day=score_quota
        )
    typer.echo(f"{name} added; give it a key with `triage key issue`")


@key_app.command("quota")
def change_quota(
    partner: str,
    reports: Annotated[int | None, typer.Option(min=1, help="Reports a day")] = None,
    scores: Annotated[int | None, typer.Option(min=0, help="Texts scored a day")] = None,
) -> None:
    """Change what a partner may send in a day. Reports and scores count apart."""
    if reports is None and scores is None:
        raise InvalidInput("Give --reports, --scores, or both")
    with transaction() as session:
        accounts.set_quotas(session, _OPERATOR, _partner(session, partner).id, reports=reports, scores=scores)
    typer.echo(f"Changed; it holds for what {partner} sends from now on, today's included")


@key_app.command("issue")
def issue_key(partner: str) -> None:
    """Give a partner a new key, shown once; the old one stops working."""
    with transaction() as session:
        key = accounts.issue_key(session, _OPERATOR, _partner(session, partner).id, now=datetime.now(UTC))
    typer.echo(key)


def _partner(session: Session, name: str) -> Partner:
    row = session.scalar(select(Partner).where(Partner.name == name))
    if row is None:
        raise NotFound(f"There is no partner called {name}")
    return row


@dead_app.command("list")
def list_dead(limit: Annotated[int, typer.Option(min=1)] = 50) -> None:
    """What was given up, newest first: id, case, attempts, when, why."""
    with transaction() as session:
        total, rows = dead_letters.count(session), dead_letters.listed(session, limit=limit)
    for row in rows:
        when = row.given_up_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
        often = f", given up {row.times} times" if row.times > 1 else ""
        typer.echo(
            f"{row.id}  case {row.case_number}  {row.work:<7}  {when}  {row.attempts} attempts{often}: {row.reason}"
        )
    typer.echo(f"{len(rows):,} of {total:,}")


@dead_app.command("retry")
def retry_dead(
    line: Annotated[uuid.UUID | None, typer.Argument(help="The id that `triage dead list` shows")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything on the list")] = False,
) -> None:
    """Try again what was given up. What fails once more comes back to the list."""
    if (line is None) is not everything:
        raise InvalidInput("Give the id of one line, or --all")
    now = datetime.now(UTC)
    done = 0
    if line is not None:
        with transaction() as session:
            dead_letters.retry(session, _OPERATOR, line, now=now)
        done = 1
    else:
        while some := _retry_some(now):  # so many in one transaction
            done += some
    typer.echo(f"{done:,} to be tried again")


def _retry_some(now: datetime) -> int:
    with transaction() as session:
        return dead_letters.retry_all(session, _OPERATOR, now=now)


@audit_app.command("verify")
def verify_log(expect: Annotated[str | None, typer.Option(help="A seal's SHA-256 kept elsewhere")] = None) -> None:
    """Recompute the whole chain; exit status 1 if it does not hold."""
    with transaction() as session:
        found = audit.verify(session, expect=expect)
    typer.echo(
        json.dumps(
            {
                "holds": found.problem is None,
                "problem": found.problem,
                "sealed_events": found.sealed_events,
                "unsealed_events": found.unsealed_events,
                "seals": found.seals,
                "head": found.head,
            }
        )
    )
    if found.problem:
        raise typer.Exit(1)


def main() -> None:
    """The command's entry point: a refusal is one sentence, not a traceback."""
    try:
        app()
    except TriageError as error:
        typer.echo(f"triage: {error.detail}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
