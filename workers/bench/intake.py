"""How fast reports are taken in: one by one from several clients, and in batches."""

import time

from workers.bench import clients, flow
from workers.bench.rows import Measured, Row, percentile
from workers.bench.site import Place, Site
from workers.bench.sizes import Sizes

_CLIENTS = 8
_LINES, _BATCH_CLIENTS = 1000, 2
_WARM = 80


def intake(site: Site, sizes: Sizes) -> Measured:
    """Both, into an empty database, with nobody working on what comes in."""
    with site.place("intake") as place:
        place.start_web()
        place.start("schedule")
        warm, single = flow.reports(_WARM), flow.reports(sizes.reports, start=_WARM)
        _one_by_one(place, warm)
        rate, answers = _one_by_one(place, single)
        failed = sum(answer.status != 202 for answer in answers)
        slow = percentile([answer.seconds for answer in answers], 0.99)
        batched = batches(place, sizes.batched, start=_WARM + sizes.reports)
    part, n = "intake", sizes.reports
    return Measured(
        [
            Row(part, f"single reports, {_CLIENTS} clients, reports/s", n, rate, "", at_least=400),
            Row(part, "single reports, p99 of the answer", n, 1000 * slow, "ms", at_most=100),
            Row(part, "single reports, errors", n, failed, "", at_most=0),
            Row(part, f"batches of {_LINES:,}, {_BATCH_CLIENTS} clients, posts/s", sizes.batched, batched, "", 8000),
        ]
    )


def batches(place: Place, count: int, *, start: int) -> float:
    """Posts a second by the batch endpoint."""
    sent = flow.reports(count, start=start)
    began = time.perf_counter()
    answers = clients.send_batches(place.address, place.key, sent, lines=_LINES, clients=_BATCH_CLIENTS)
    took = time.perf_counter() - began
    assert all(answer.status == 202 for answer in answers), {answer.status for answer in answers}
    return count / took


def _one_by_one(place: Place, bodies: list[bytes]) -> tuple[float, list[clients.Answer]]:
    """Reports a second, and the answers."""
    callers = [clients.partner(place.address, place.key) for _ in range(_CLIENTS)]

    def send(number: int) -> list[clients.Answer]:
        return [callers[number].call("POST", "/api/v1/reports", body) for body in bodies[number::_CLIENTS]]

    began = time.perf_counter()
    answers = [answer for found in clients.all_at_once(send, range(_CLIENTS)) for answer in found]
    took = time.perf_counter() - began
    for caller in callers:
        caller.close()
    return len(bodies) / took, answers
