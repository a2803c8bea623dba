"""How fast scoring is, against what this machine can do: ``triage bench score``.

One run, one machine, the same texts for every row. The rows take turns over several rounds and the medians count,
because other work comes and goes; the ratios are worth more than the posts per second.
"""

import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.table import Table

from classifiers.artefact import ARTEFACT_DIR, FIRST, SECOND
from classifiers.base_model import MINILM, Shape, load_tokenizer
from classifiers.corpus import AuthoredPost, Split, read_corpus, split_posts
from classifiers.encoder import Encoder
from classifiers.pipeline import Pipeline
from classifiers.reader import Reader

#: Benign posts to one flagged in the mix that stands for ordinary traffic.
ORDINARY = 9
BATCHES = (8, 16, 32, 64)
_PEAK_SIZE = 2048
#: detoxify's README shows lists; thirty is what its users score at a time, and the issue's measure.
DETOXIFY_LIST = 30
DETOXIFY_LABELS = 6

Report = dict[str, Any]
Windows = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Bare:
    """What one reader has to read, in windows sorted by length, and the work in it."""

    encoder: Encoder
    windows: Windows
    batch: int

    @property
    def flops(self) -> float:
        return useful_flops(self.encoder.shape, [len(window) for window in self.windows])

    def run(self) -> None:
        for start in range(0, len(self.windows), self.batch):
            self.encoder.states(self.windows[start : start + self.batch])


def useful_flops(shape: Shape, lengths: Sequence[int]) -> float:
    """Floating-point operations of an encoder's matrix products on real tokens: projections, block, attention.

    Padding, lookups, norms and activations are not counted: they are what the share of the peak is lost to.
    """
    per_token = 2 * (4 * shape.hidden**2 + 2 * shape.hidden * shape.wide)
    attention = sum(4 * shape.hidden * length**2 for length in lengths)
    return float(shape.layers * (sum(lengths) * per_token + attention))


def mixes(posts: Sequence[AuthoredPost], count: int) -> dict[str, list[str]]:
    """``hard``: held-out posts as they are. ``ordinary``: ``ORDINARY`` benign ones to each flagged one.

    At most ``count`` posts each, and no post twice.
    """
    rng = random.Random(1)  # noqa: S311 -- repeatable
    shuffled = rng.sample(list(posts), k=len(posts))
    benign = [post.text for post in shuffled if not post.flag]
    flagged = [post.text for post in shuffled if post.flag]
    parts = min(max(count // (ORDINARY + 1), 1), len(benign) // ORDINARY, len(flagged))
    ordinary = benign[: parts * ORDINARY] + flagged[:parts]
    rng.shuffle(ordinary)
    return {"hard": [post.text for post in shuffled[:count]], "ordinary": ordinary}


def bare(reader: Reader, texts: Sequence[str], batch: int) -> Bare:
    windows = sorted((window.ids for text in texts for window in reader.cut(text)), key=len)
    return Bare(reader.encoder, windows, batch)


def best_batch(reader: Reader, texts: Sequence[str]) -> int:
    """The batch size at which the bare forward pass is fastest on ``texts``."""
    times = {size: statistics.median(seconds(bare(reader, texts, size).run) for _ in range(3)) for size in BATCHES}
    return min(times, key=lambda size: times[size])


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def matmul_peak(encoder: Encoder) -> Callable[[], float]:
    """A measurement of this machine's matrix products, in floating-point operations a second, in the same format."""
    first, second = (torch.randn(_PEAK_SIZE, _PEAK_SIZE).to(encoder.device, encoder.dtype) for _ in range(2))
    return lambda: 2 * _PEAK_SIZE**3 / min(seconds(lambda: first @ second) for _ in range(3))


def detoxify_like() -> Callable[[Sequence[str]], object]:
    """What ``Detoxify("original").predict`` does for a list, with random weights: the cost does not depend on them.

    The network is that of bert-base-uncased in float32 with six labels; a list is padded to its longest text and cut
    at 512 tokens; lists come in the order of arrival. The vocabulary of MiniLM is that of bert-base-uncased.
    """
    from transformers import BertConfig, BertForSequenceClassification  # noqa: PLC0415 -- slow import

    config: Any = BertConfig()
    config.num_labels = DETOXIFY_LABELS
    model: Any = BertForSequenceClassification(config)
    model.eval()
    tokenizer = load_tokenizer(MINILM)

    @torch.no_grad()
    def predict(texts: Sequence[str]) -> list[list[float]]:
        results: list[list[float]] = []
        for start in range(0, len(texts), DETOXIFY_LIST):
            part = list(texts[start : start + DETOXIFY_LIST])
            inputs = tokenizer(part, return_tensors="pt", truncation=True, padding=True, max_length=512)
            results += torch.sigmoid(model(**inputs)[0]).cpu().tolist()
        return results

    return predict


def run(*, posts: int, rounds: int, threads: int, device: str = "cpu", directory: Path = ARTEFACT_DIR) -> Report:
    """Measure everything; ``posts`` per mix, all rows in each of ``rounds``."""
    pipeline = Pipeline.load(threads=threads, device=device, directory=directory)
    texts = mixes(split_posts(read_corpus())[Split.TEST], posts)
    peak, detoxify = matmul_peak(pipeline.readers[FIRST].encoder), detoxify_like()
    warm = [text for mix in texts.values() for text in mix][:DETOXIFY_LIST]
    pipeline.score(warm)
    detoxify(warm)
    batches = {
        name: best_batch(reader, pipeline.reading_list(warm * 3)[0]) for name, reader in pipeline.readers.items()
    }
    peaks: list[float] = []
    report = {mix: _mix(pipeline, of_mix, batches, rounds, (peak, peaks, detoxify)) for mix, of_mix in texts.items()}
    top = statistics.median(peaks)
    for rows in report.values():
        for name in (FIRST, SECOND):
            rows[name]["share_of_peak"] = rows[name]["flops_per_second"] / top
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "threads": threads,
        "device": device,
        "format": str(pipeline.readers[FIRST].encoder.dtype).removeprefix("torch."),
        "rounds": rounds,
        "versions": {"pipeline": pipeline.version, "torch": torch.__version__, "python": platform.python_version()},
        "load_average": os.getloadavg()[0],
        "best_batch": batches,
        "matmul_peak_flops_per_second": top,
        "mixes": report,
    }


def _mix(
    pipeline: Pipeline,
    texts: list[str],
    batches: dict[str, int],
    rounds: int,
    beside: tuple[Callable[[], float], list[float], Callable[[Sequence[str]], object]],
) -> Report:
    """All rows of one mix. The peak is measured in every round too: ``beside`` holds how, and where the figures go."""
    peak, peaks, detoxify = beside
    once, twice = pipeline.reading_list(texts)
    first, second = pipeline.readers[FIRST], pipeline.readers[SECOND]
    # Each reader alone on every post; and the second on just those that it reads in the pipeline.
    of_first, of_second = bare(first, once, batches[FIRST]), bare(second, once, batches[SECOND])
    again = bare(second, twice, batches[SECOND])
    work: dict[str, Callable[[], object]] = {
        FIRST: of_first.run,
        SECOND: of_second.run,
        "again": again.run,
        "pipeline": lambda: pipeline.score(texts),
        "detoxify": lambda: detoxify(texts),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        peaks.append(peak())
        for name, row in work.items():
            times[name].append(seconds(row))
    took = {name: statistics.median(values) for name, values in times.items()}
    bare_seconds = took[FIRST] + took["again"]
    return {
        "posts": len(texts),
        "tokens_per_post": sum(len(window) for window in of_first.windows) / len(once),
        "share_read_twice": len(twice) / len(texts),
        FIRST: {"posts_per_second": len(once) / took[FIRST], "flops_per_second": of_first.flops / took[FIRST]},
        SECOND: {"posts_per_second": len(once) / took[SECOND], "flops_per_second": of_second.flops / took[SECOND]},
        "bare": {"posts_per_second": len(texts) / bare_seconds},
        "pipeline": {
            "posts_per_second": len(texts) / took["pipeline"],
            "of_bare": bare_seconds / took["pipeline"],
            "times_detoxify": took["detoxify"] / took["pipeline"],
        },
        "detoxify": {"posts_per_second": len(texts) / took["detoxify"]},
        "seconds": times,
    }


def _processor() -> str:
    """The processor's name as Linux gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(report: Report) -> Table:
    """What a person reads."""
    shown = Table(box=box.SIMPLE, title=f"{report['machine']}, {report['threads']} threads, {report['format']}")
    for name in ("posts", "what", "posts/s", "compared"):
        shown.add_column(name, justify="left" if name in ("posts", "what") else "right")
    peak = report["matmul_peak_flops_per_second"]
    shown.add_row("", f"matrix products of {_PEAK_SIZE}, the peak", "", f"{peak / 1e9:.0f} GFLOP/s")
    for mix, rows in report["mixes"].items():
        shown.add_section()
        for name in (FIRST, SECOND):
            what = f"bare forward pass, {name} reader, batches of {report['best_batch'][name]}"
            shown.add_row(mix, what, _rate(rows[name]), f"{rows[name]['share_of_peak']:.0%} of the peak")
        what = f"bare, what the pipeline reads ({rows['share_read_twice']:.0%} twice)"
        shown.add_row(mix, what, _rate(rows["bare"]), "")
        shown.add_row(mix, "whole pipeline", _rate(rows["pipeline"]), f"{rows['pipeline']['of_bare']:.0%} of bare")
        what = f"detoxify's path, random weights, lists of {DETOXIFY_LIST}"
        times = f"pipeline {rows['pipeline']['times_detoxify']:.1f} times"
        shown.add_row(mix, what, _rate(rows["detoxify"]), times)
    return shown


def _rate(row: Report) -> str:
    return f"{row['posts_per_second']:.1f}"
