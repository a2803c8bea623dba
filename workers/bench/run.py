"""All parts, or some of them, one after another on one site."""

import os
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import Any

from workers.bench import alternatives, flow, intake, live, queue_page, site, stored
from workers.bench.rows import Measured, as_json
from workers.bench.site import Site
from workers.bench.sizes import Part, Sizes

_BACKLOG = 200_000
#: Where the flow was not measured, the load of the live part is half of what so many posts show.
_FOR_A_RATE = 500

_COMPARISONS = ((Part.SCALE, flow.scale), (Part.SWEEP, flow.sweep), (Part.ALTERNATIVES, alternatives.alternatives))

Say = Callable[[str], None]


def run(sizes: Sizes, *, only: Collection[Part] = (), say: Say = lambda _: None) -> dict[str, Any]:
    """Measure, and return the report. Starts servers and processes of its own and stops them.

    Args:
        only: these parts; none: all of them.
        say: told what is being done.
    """
    began, load = time.monotonic(), os.getloadavg()[0]
    wanted = [part for part in Part if part in only or not only]
    found = Measured()
    # Refusing bulk reports because too many wait is right in service, and is not what is measured.
    backlog = max(_BACKLOG, 2 * max(sizes.posts, sizes.bulk, sizes.batched))
    with site.running(backlog_limit=backlog, torch_threads=1, backlog_age_minutes=10_000) as here:
        if Part.FLOW in wanted:
            say(f"flow: {sizes.posts:,} posts all the way")
            found.add(flow.end_to_end(here, sizes))
        if Part.LIVE in wanted:
            say(f"live: reports beside an import of {sizes.bulk:,}")
            found.add(live.live(here, sizes, rate=_rate(here, sizes, found) / 2))
        if Part.INTAKE in wanted:
            say("intake: one by one, and in batches")
            found.add(intake.intake(here, sizes))
        if {Part.GROWTH, Part.QUEUE} & set(wanted):
            _stored(here, sizes, wanted, found, say)
        for part, measure in _COMPARISONS:
            if part in wanted:
                say(str(part))
                found.add(measure(here, sizes))
    return as_json(found, sizes=asdict(sizes), load_average=load, seconds=time.monotonic() - began)


def _stored(here: Site, sizes: Sizes, wanted: Collection[Part], found: Measured, say: Say) -> None:
    """The parts that need a full database share one."""
    with here.place("stored") as place:
        place.start_web()
        place.start("schedule")
        if Part.GROWTH in wanted:
            say(f"growth: the same work with {sizes.stored:,} posts stored")
            found.add(stored.growth(place, sizes))
        else:
            say(f"storing {sizes.stored:,} posts")
            stored.seed(place, min(sizes.drained, sizes.stored))
            stored.fill(place, sizes.stored)
        if Part.QUEUE in wanted:
            say(f"queue: {sizes.reviewers} reviewers")
            found.add(queue_page.queue_page(place, sizes))


def _rate(here: Site, sizes: Sizes, found: Measured) -> float:
    """Posts a second that go all the way: as measured, or from a few posts now."""
    for row in found.rows:
        if row.part == "flow" and row.what.startswith("accepted to case open"):
            return row.figure
    return flow.one_drain(here, min(_FOR_A_RATE, sizes.posts), workers=flow.WORKERS).posts_per_second
