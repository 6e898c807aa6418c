"""`seaformer bench`: whole models beside other runtimes, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.bench import models, record, suite, tables
from seaformer_kernels.bench.implementations import vector_isas
from seaformer_kernels.bench.peers import PEERS
from seaformer_kernels.cli.outputs import show
from seaformer_kernels.cli.params import Size
from seaformer_kernels.ops._element import WITH_INT8, name_of

QUICK = {"seconds": 8.0, "min_rounds": 10, "minutes": 3.0}


def _several(name: str, kind: Any, text: str, metavar: str | None = None) -> Any:
    text = f"{text} May be repeated."
    return click.option(name, multiple=True, type=kind, help=text, metavar=metavar)


@click.command()
@_several("--model", click.Choice(sk.list_models()), "Member of the family.")
@_several("--size", Size(), "Size of the image.", "WxH")
@_several("--threads", click.IntRange(min=1), "Threads, as many as cores at most.")
@_several("--isa", str, "Instruction set that ours runs on.")
@_several("--output", click.Choice(models.OUTPUTS), "What is computed of the image.")
@_several("--peer", click.Choice([*PEERS, "none"]), "What ours is held against.")
@_several(
    "--dtype", click.Choice([name_of(t) for t in WITH_INT8]), "Element type (default: float32)."
)
@click.option("--quick", is_flag=True, help="The smallest model, few rounds: 3 minutes.")
@click.option("--seconds", type=click.FloatRange(min=0), help="For the rounds of a case.")
@click.option("--minutes", type=click.FloatRange(min=0), help="Start no case that ends later.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default="bench-output",
    show_default=True,
    help="Folder of the results, made if need be.",
)
@click.option("--charts/--no-charts", default=True, help="Draw charts; needs matplotlib.")
def bench(
    model: tuple[str, ...],
    size: tuple[tuple[int, int], ...],
    threads: tuple[int, ...],
    isa: tuple[str, ...],
    output: tuple[str, ...],
    peer: tuple[str, ...],
    dtype: tuple[str, ...],
    quick: bool,
    seconds: float | None,
    minutes: float | None,
    out: Path,
    charts: bool,
) -> None:
    """Time whole models beside other runtimes.

    All implementations of a case run in turn, round by round. Writes bench.json, bench.md and
    charts. Peers that are not installed are named as absent:
    pip install 'seaformer-kernels[peers]'.
    """
    if _extension.module is None:
        raise click.ClickException(f"There is nothing to time: {_extension.reason}.")
    drawing = _charts_module() if charts else None
    chosen = {"seconds": seconds, "minutes": minutes}
    given = {name: value for name, value in chosen.items() if value is not None}
    settings = suite.Settings(isas=_isas(isa), **((QUICK if quick else {}) | given))
    peers = None if not peer else [name for name in peer if name != "none"]
    try:
        sizes = [(height, width) for width, height in size]
        dtypes = [getattr(torch, name) for name in dtype]
        plan = suite.default_plan(model, sizes, threads, output, peers, quick, dtypes)
        out.mkdir(parents=True, exist_ok=True)
        found = suite.run(plan, settings)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    record.save(found, out / "bench.json")
    report = tables.report(found)
    (out / "bench.md").write_text(report)
    written = [out / "bench.json", out / "bench.md"]
    if drawing is not None and found["cases"]:
        written += drawing.draw(found, out)
    click.echo(report)
    click.echo(f"Wrote {', '.join(show(path) for path in written)}.")
    for case, why in found["skipped"].items():
        if why != suite.OVER:
            raise click.ClickException(f"{case}: {why}")


def _isas(names: tuple[str, ...]) -> tuple[str, ...]:
    supported = sk.cpu.supported_isas()
    for name in names:
        if name not in supported:
            raise click.ClickException(
                f"expected instruction sets among {', '.join(supported)}, got {name!r}"
            )
    return tuple(names or vector_isas())


def _charts_module() -> Any:
    try:
        from seaformer_kernels.bench import charts
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"The charts need {error.name}: pip install 'seaformer-kernels[bench]', or give "
            "--no-charts."
        ) from None
    return charts
