"""`seaformer info`: what this installation and this machine offer."""

from __future__ import annotations

import json

import click

import seaformer_kernels as sk


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(as_json: bool) -> None:
    """Show the processor and the kernels chosen for it."""
    found = sk.cpu.info()
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else str(found))
