"""The command ``triage bench pipeline``."""

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from workers.bench.sizes import Part, Sizes

_DEFAULT = Sizes()


def bench_pipeline(
    only: Annotated[list[Part] | None, typer.Option(help="A part, and no other; may be given several times.")] = None,
    posts: Annotated[int, typer.Option(min=4, help="Posts that go all the way.")] = _DEFAULT.posts,
    stored: Annotated[int, typer.Option(min=4, help="Cases in the table for the queue and the growth.")] = (
        _DEFAULT.stored
    ),
    bulk: Annotated[int, typer.Option(min=4, help="Posts imported beside live reports.")] = _DEFAULT.bulk,
    reviewers: Annotated[int, typer.Option(min=2, help="People at the queue at once.")] = _DEFAULT.reviewers,
    share: Annotated[float, typer.Option(min=0.0001, max=10, help="All sizes times this, to try it out.")] = 1.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here too.")] = None,
) -> None:
    """The whole way of a post, the queue and the alternatives, on servers of its own; about 20 minutes.

    Use an idle machine: the table says how busy it was.
    """
    from rich.console import Console  # noqa: PLC0415 -- slow import

    from workers.bench.rows import table  # noqa: PLC0415 -- slow import
    from workers.bench.run import run  # noqa: PLC0415 -- slow import

    for number in (signal.SIGINT, signal.SIGTERM):  # either way everything is stopped and cleared away
        signal.signal(number, signal.default_int_handler)
    sizes = replace(_DEFAULT, posts=posts, stored=stored, bulk=bulk, reviewers=reviewers).times(share)
    report = run(sizes, only=only or (), say=lambda what: print(what, file=sys.stderr, flush=True))  # noqa: T201 -- a command line prints
    Console().print(table(report))
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
