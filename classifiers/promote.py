"""Make a candidate the shipped model, if the gates let it: ``python -m classifiers.promote DIR``."""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from classifiers import gates
from classifiers.artefact import ARTEFACT_DIR, ArtefactError, read_artefact
from classifiers.pipeline import Pipeline


def replace_artefact(candidate: Path, shipped: Path) -> None:
    """Put a verified copy of ``candidate`` where ``shipped`` is; at every moment one of the two is whole.

    Raises:
        ArtefactError: the copy is not what the manifest says.
    """
    new, old = shipped.with_name(f"{shipped.name}.new"), shipped.with_name(f"{shipped.name}.old")
    for left_over in (new, old):
        shutil.rmtree(left_over, ignore_errors=True)
    listed = read_artefact(candidate).manifest["files"]
    for name in (*listed, "manifest.json"):  # what the manifest does not list is not shipped
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(candidate / name, new / name)
    read_artefact(new)
    if shipped.exists():
        shipped.rename(old)
    new.rename(shipped)
    shutil.rmtree(old, ignore_errors=True)


def main(
    candidate: Annotated[Path, typer.Argument(help="Folder that python -m classifiers.train wrote.")],
    shipped: Annotated[Path, typer.Option(help="Folder of the model to be replaced.")] = ARTEFACT_DIR,
    threads: Annotated[int, typer.Option(min=1)] = 2,
) -> None:
    """Measure CANDIDATE beside the shipped model and copy it there if every gate opens.

    Exit status 1 if a gate is shut, 2 if the candidate cannot be loaded; then nothing is changed.
    """
    try:
        measured = gates.measure(Pipeline.load(threads=threads, directory=candidate))
    except ArtefactError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        before = gates.measure(Pipeline.load(threads=threads, directory=shipped))
    except ArtefactError as error:
        typer.echo(f"no comparison with the shipped model: {error}", err=True)
        before = None
    judged = gates.judge(measured, gates.read_bounds())
    Console().print(gates.table(judged, before))
    if shut := [gate.name for gate in judged if not gate.open]:
        typer.echo(f"not promoted: {', '.join(shut)}", err=True)
        raise typer.Exit(1)
    replace_artefact(candidate, shipped)
    typer.echo(
        f"promoted to {shipped}. Thresholds: python -m classifiers.calibrate; cards: python -m classifiers.cards"
    )


if __name__ == "__main__":
    typer.run(main)
