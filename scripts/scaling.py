"""Compute the tables of docs/scaling.md from the one at its top.

python scripts/scaling.py           exit status 1 if the page says something else
python scripts/scaling.py --write   write them
"""

import math
import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
_BEGIN, _END = "<!-- computed from here -->", "<!-- computed to here -->"
_DAYS = (1_000_000, 10_000_000, 100_000_000)
_SECONDS = 86_400


def inputs(page: str) -> dict[str, float]:
    """The values of the first table, by name."""
    first = page.split("## What goes in")[1].split(_BEGIN)[0]
    return {name: float(value) for name, value in re.findall(r"^\| ([^|]+?) \| ([\d.]+) \|", first, flags=re.MULTILINE)}


def rows(given: dict[str, float], posts: int) -> dict[str, str]:
    """What so many posts a day need."""
    mean = posts / _SECONDS
    peak = mean * given["busiest hour against the mean"]
    workers = math.ceil(
        peak / given["posts scored by one worker, posts/s"] / given["how busy a worker should be in that hour"]
    )
    web = max(2, math.ceil(peak / given["single reports accepted by one web process, posts/s"]))
    days = given["days that a post is kept"]
    read = posts * given["share of posts that a person has to read"]
    reviewers = (
        read / given["cases that one person decides in an hour"] / given["hours that one person reviews in a day"]
    )
    captured = posts * given["share of posts captured from their address"] * given["evidence of a capture, MB"]
    connections = workers * given["connections of a worker"] + web * given["connections of a web process"]
    memory = workers * given["memory of `worker`, MB"] + web * given["memory of `web`, MB"]
    return {
        "posts/s, mean": f"{mean:,.0f}",
        "posts/s, busiest hour": f"{peak:,.0f}",
        "workers (cores)": f"{workers:,}",
        "web processes, if every report comes alone": f"{web:,}",
        "memory of both, GB": f"{memory / 1000:,.0f}",
        "memory of Redis, MB": f"{given['memory of Redis, MB']:,.0f}",
        "connections to PostgreSQL, at most": f"{connections:,.0f}",
        "transactions/s, busiest hour": f"{peak * given['transactions of a post']:,.0f}",
        "events/s, mean": f"{mean * given['events of a post']:,.0f}",
        "events/s, busiest hour": f"{peak * given['events of a post']:,.0f}",
        "WAL, MB/s in the busiest hour": f"{peak * given['WAL, bytes a post'] / 1e6:,.1f}",
        "WAL, GB a day": f"{posts * given['WAL, bytes a post'] / 1e9:,.0f}",
        "database after the days kept, GB": f"{posts * days * given['database, bytes a post'] / 1e9:,.0f}",
        "evidence after the days kept, GB": f"{captured * days / 1000:,.0f}",
        "cases that people have to read in a day": f"{read:,.0f}",
        "reviewers": f"{reviewers:,.0f}",
    }


def render(page: str) -> str:
    """The page with its tables computed anew."""
    given = inputs(page)
    columns = [rows(given, posts) for posts in _DAYS]
    lines = [
        "| a day | " + " | ".join(f"{posts // 1_000_000} million" for posts in _DAYS) + " |",
        "|---|" + "---|" * len(_DAYS),
    ]
    lines += [f"| {name} | " + " | ".join(column[name] for column in columns) + " |" for name in columns[0]]
    hours = 1e6 / given["posts scored by one worker, posts/s"] / 3600
    room = _with_room(given)
    lines += [
        "",
        f"A million posts cost **{hours:,.1f} core-hours** of scoring; {room:,.1f} if nothing is scaled down at night.",
    ]
    before, after = page.split(_BEGIN)[0], page.split(_END)[1]
    return f"{before}{_BEGIN}\n\n## What comes out\n\n" + "\n".join(lines) + f"\n\n{_END}{after}"


def _with_room(given: dict[str, float]) -> float:
    """Core-hours of a million posts where the workers for the busiest hour are there all day."""
    idle = given["busiest hour against the mean"] / given["how busy a worker should be in that hour"]
    return 1e6 / given["posts scored by one worker, posts/s"] / 3600 * idle


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    if "--write" in sys.argv:
        PAGE.write_text(render(page), encoding="utf-8")
        return 0
    if render(page) != page:
        sys.stderr.write("docs/scaling.md is not what its first table gives: python scripts/scaling.py --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
