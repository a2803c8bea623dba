"""``triage score``: scores for the posts of a file, one JSON object a line. Needs no database and no network."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from classifiers.published import as_json

if TYPE_CHECKING:
    from classifiers.pipeline import Pipeline

BATCH = 256


class LineError(ValueError):
    """A line cannot be read; the message names the field."""


@dataclass(frozen=True, slots=True)
class InputLine:
    id: str
    text: str


def read_line(raw: bytes, number: int) -> InputLine | None:
    """A JSON object with ``text`` and perhaps ``id``, or a plain line of text; None for an empty line.

    A line without an id gets its number.

    Raises:
        LineError: the line is not UTF-8, or opens like JSON and is not an object with a text.
    """
    try:
        line = raw.decode("utf-8").strip("\r\n")
    except UnicodeDecodeError as error:
        raise LineError(f"not UTF-8 at byte {error.start}") from None
    if not line.strip():
        return None
    if not line.lstrip().startswith("{"):
        return InputLine(str(number), line)
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise LineError(f"not JSON: {reason}") from None
    if "text" not in row:
        raise LineError('"text": is missing')
    if not isinstance(row["text"], str):
        raise LineError(f'"text": must be a string, is {type(row["text"]).__name__}')
    if not isinstance(row.get("id", ""), str | int):
        raise LineError('"id": must be a string or a number')
    return InputLine(str(row.get("id", number)), row["text"])


def score(
    file: Annotated[str, typer.Argument(help="JSON lines or plain lines; - is standard input.")] = "-",
    threads: Annotated[int, typer.Option(min=1, help="Processor threads for the model.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, or cuda for a GPU.")] = "cpu",
) -> None:
    """Score the posts of FILE: JSON lines with "text" (and "id"), or one post a line.

    Writes one JSON line per post. A line that cannot be read is reported on standard error and the exit code is 1;
    the others are scored.
    """
    from classifiers.artefact import ArtefactError  # noqa: PLC0415 -- slow import
    from classifiers.pipeline import DeviceError, Pipeline  # noqa: PLC0415 -- slow import

    with ExitStack() as stack:
        try:
            source: BinaryIO = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
        except OSError as error:
            _complain(f"{file}: {error.strerror}")
            raise typer.Exit(2) from None
        try:
            pipeline = Pipeline.load(threads=threads, device=device)
        except (ArtefactError, DeviceError) as error:
            _complain(str(error))
            raise typer.Exit(2) from None
        bad_lines = score_lines(pipeline, source)
    if bad_lines:
        _complain(f"{bad_lines} {'line' if bad_lines == 1 else 'lines'} could not be read")
        raise typer.Exit(1)


def bench_score(
    posts: Annotated[int, typer.Option(min=10, help="Posts of each mix.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each row takes; medians count.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, or cuda for a GPU.")] = "cpu",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """Speed of scoring: against the bare forward pass, this machine's matrix products, and detoxify's path."""
    from rich.console import Console  # noqa: PLC0415 -- slow import

    from classifiers import bench  # noqa: PLC0415 -- slow import
    from classifiers.artefact import ArtefactError  # noqa: PLC0415 -- slow import
    from classifiers.pipeline import DeviceError  # noqa: PLC0415 -- slow import

    try:
        report = bench.run(posts=posts, rounds=rounds, threads=threads, device=device)
    except (ArtefactError, DeviceError) as error:
        _complain(str(error))
        raise typer.Exit(2) from None
    Console().print(bench.table(report))
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def score_lines(pipeline: "Pipeline", source: Iterable[bytes]) -> int:
    """Score ``source`` in batches as it comes, print the results, return the number of lines that were bad."""
    bad_lines = 0

    def readable() -> Iterator[InputLine]:
        nonlocal bad_lines
        for number, raw in enumerate(source, 1):
            try:
                line = read_line(raw, number)
            except LineError as error:
                bad_lines += 1
                _complain(f"line {number}: {error}")
                continue
            if line is not None:
                yield line

    lines = readable()
    while batch := list(islice(lines, BATCH)):
        for line, scores in zip(batch, pipeline.score([line.text for line in batch]), strict=True):
            print(json.dumps(as_json(line.id, scores)))
        sys.stdout.flush()
    return bad_lines


def _complain(message: str) -> None:
    print(message, file=sys.stderr)
