"""``triage import``: files in, a rejects file out, nothing counted twice."""

import csv
import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from tests.factories import report
from tests.people import People
from triage.db import Case, Partner, Post, Report
from workers.cli import app


def run(file: Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["import", str(file), "--partner", "Chirper"])
    return result.exit_code, result.output.lstrip()


def rejects(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.with_name(f"{file.name}.rejects.jsonl").read_text().splitlines()]


def test_good_jsonl_file_is_imported_once_however_often(tmp_path: Path, session: Session, people: People) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text("".join(json.dumps(report(text=f"post {n}", external_id=f"E{n}")) + "\n" for n in range(1500)))

    assert run(file) == (0, "1,500 accepted, 0 of them already known, 0 refused\n")
    assert run(file) == (0, "1,500 accepted, 1,500 of them already known, 0 refused\n")
    assert session.scalar(select(func.count()).select_from(Report)) == 1500
    assert set(session.scalars(select(Post.lane))) == {"bulk"}
    assert not file.with_name("posts.jsonl.rejects.jsonl").exists()


def test_bad_rows_go_to_the_rejects_file_and_the_rest_is_stored(
    tmp_path: Path, session: Session, people: People
) -> None:
    file = tmp_path / "posts.jsonl"
    rows = [json.dumps(report(text="fine")), "{broken", json.dumps(report(purpose="curiosity")), '"a string"']
    file.write_text("\n".join(rows))

    status, output = run(file)

    assert status == 1
    assert "1 accepted" in output
    assert "3 refused" in output
    assert [(row["line"], row["field"]) for row in rejects(file)] == [(2, None), (3, "purpose"), (4, None)]
    assert session.scalar(select(func.count()).select_from(Case)) == 1


def test_csv_with_quotes_and_line_breaks(tmp_path: Path, session: Session, people: People) -> None:
    file = tmp_path / "posts.csv"
    row = report(text='He said "wait",\nthen left', urgent="true")
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, [*row, "reason"])
        writer.writeheader()
        writer.writerow(row)
        writer.writerow(report(acquisition_mode="", reason="x"))

    status, _ = run(file)

    assert status == 1
    post = session.scalars(select(Post)).one()
    assert (post.text, post.lane) == ('He said "wait",\nthen left', "urgent")
    assert [bad["field"] for bad in rejects(file)] == ["acquisition_mode"]


def test_csv_as_a_spreadsheet_writes_it(tmp_path: Path, session: Session, people: People) -> None:
    file = tmp_path / "posts.csv"
    with file.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, list(report()))
        writer.writeheader()
        writer.writerow(report())

    assert run(file)[0] == 0
    assert session.scalar(select(func.count()).select_from(Case)) == 1


@pytest.mark.usefixtures("people")
def test_open_quotation_mark_is_one_refused_row(tmp_path: Path) -> None:
    file = tmp_path / "posts.csv"
    file.write_text(",".join(report()) + '\nchirper,"' + "x" * 1_100_000)

    assert run(file)[0] == 1
    assert "quotation mark" in str(rejects(file)[0]["detail"])


@pytest.mark.usefixtures("people")
def test_rejects_never_overwrite_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text("{broken")

    result = CliRunner().invoke(app, ["import", str(file), "--partner", "Chirper", "--rejects", str(file)])

    assert "overwrite the file itself" in str(result.exception)
    assert file.read_text() == "{broken"


def test_quota_in_mid_file_says_where_to_go_on(tmp_path: Path, session: Session, people: People) -> None:
    session.get_one(Partner, people.partner.id).quota_per_day = 1500
    session.commit()
    file = tmp_path / "posts.jsonl"
    file.write_text("".join(json.dumps(report(text=f"post {n}")) + "\n" for n in range(2000)))

    result = CliRunner().invoke(app, ["import", str(file), "--partner", "Chirper"])

    assert "1,000 rows are stored; go on later with --from-line 1001" in str(result.exception)
    assert session.scalar(select(func.count()).select_from(Report)) == 1000


@pytest.mark.usefixtures("people")
def test_bytes_that_are_not_utf8_lose_nothing(tmp_path: Path, session: Session) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_bytes(json.dumps(report(text="caf@ words")).encode().replace(b"@", b"\xe9"))

    assert run(file)[0] == 0
    assert session.scalars(select(Post.text)).one() == "caf� words"


@pytest.mark.usefixtures("database")
def test_unknown_partner_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text(json.dumps(report()))

    result = CliRunner().invoke(app, ["import", str(file), "--partner", "Nobody"])

    assert "There is no partner called Nobody" in str(result.exception)
