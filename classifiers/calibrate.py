"""Set the thresholds of ``triage/domain/policy.toml`` from data: ``python -m classifiers.calibrate [--write]``.

The file states the recall wanted (``[recall]``); this finds the thresholds that reach it on the development split
and says what they cost in false alarms. Nobody types a threshold in. A deployment points ``--corpus`` at its own
judged posts.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from classifiers.artefact import ARTEFACT_DIR
from classifiers.corpus import CORPUS_DIR, Split, read_corpus, split_posts
from classifiers.pipeline import Pipeline
from classifiers.thresholds import Recall, choose
from triage.domain import policy
from triage.domain.taxonomy import SCORED_CODES

POLICY = Path(policy.__file__).with_name("policy.toml")


def rewritten(text: str, chosen: Mapping[str, float], version: str) -> str:
    """The policy file with new thresholds and a new version, every comment and rule kept."""
    changes = {
        r'^(version = ").*(")$': version,
        r"^(\[flag\]\nreview = )[\d.]+()": str(chosen["review"]),
        r"^(code_alone = )[\d.]+()": str(chosen["code_alone"]),
        r"^(\[urgent\]\nthreshold = )[\d.]+()": str(chosen["urgent"]),
        **{rf"^({code} = {{ propose = )[\d.]+()": str(chosen[code]) for code in SCORED_CODES},
    }
    for pattern, value in changes.items():
        text = re.sub(rf"(?m){pattern}", rf"\g<1>{value}\g<2>", text)
    return text


def main(
    artefact: Annotated[Path, typer.Option(help="Folder of the trained model.")] = ARTEFACT_DIR,
    corpus: Annotated[Path, typer.Option(help="Folder of labelled posts.")] = CORPUS_DIR,
    version: Annotated[str | None, typer.Option(help="The policy's new version; needed to write.")] = None,
    write: Annotated[bool, typer.Option(help="Write them into policy.toml.")] = False,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Find the thresholds that reach the recall stated in policy.toml, and say what they cost."""
    if write and not version:
        raise typer.BadParameter("a changed policy needs a new --version")
    posts = split_posts(read_corpus(corpus))[Split.DEVELOPMENT]
    scores = Pipeline.load(threads=threads, directory=artefact).score([post.text for post in posts])
    wanted = policy.CURRENT.recall
    chosen = choose(posts, scores, Recall(wanted["review"], wanted["code"], wanted["urgent"]))
    text = rewritten(POLICY.read_text(encoding="utf-8"), chosen, version or policy.CURRENT.version)
    new = policy.parse(text)
    typer.echo(f"{len(posts)} posts, recall wanted: {dict(wanted)}")
    for name, value in chosen.items():
        typer.echo(f"{name:<12}{value:.2f}")
    truth = np.array([post.flag for post in posts])
    for name, rules in (("before", policy.CURRENT), ("after", new)):
        said = np.array([policy.assess(s, rules).flagged for s in scores])
        recall, wrong, right = said[truth].mean(), said[~truth].mean(), (said == truth).mean()
        typer.echo(f"{name:<8}recall {recall:.3f}   benign flagged {wrong:.3f}   right {right:.3f}")
    if write:
        POLICY.write_text(text, encoding="utf-8")
        typer.echo(f"written to {POLICY.name}")


if __name__ == "__main__":
    typer.run(main)
