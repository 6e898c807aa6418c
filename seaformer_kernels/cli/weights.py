"""Models with the weights that the command line names."""

from __future__ import annotations

import click
import torch

import seaformer_kernels as sk
from seaformer_kernels.cli.options import ModelOptions
from seaformer_kernels.cli.params import Weights
from seaformer_kernels.models import ModelFacts
from seaformer_kernels.models.pretrained.load import load_folder

SEED = 0


def load_model(options: ModelOptions) -> torch.nn.Module:
    """The model in eval mode, and on stderr a sentence on where its weights come from."""
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.weights and options.weights.config:
        return load_shared(options.weights)
    torch.manual_seed(SEED)
    model = sk.create_model(options.architecture, options.task, options.class_count)
    if options.weights is None:
        click.echo(
            f"No --weights: {options.architecture} gets random ones (seed {SEED}). "
            "The work is real, the labels mean nothing.",
            err=True,
        )
        return model
    count = options.class_count
    hint = f" Was it trained for {options.task} with {count} classes (--num-classes)?"
    load_weights(model, options.weights, hint)
    return model


def named_model(
    name: str | None, weights: Weights | None, task: str | None, num_classes: int | None
) -> tuple[torch.nn.Module, ModelFacts]:
    """The model that a command is to write, in eval mode, and what is known of it.

    Raises:
        click.ClickException: nothing says which it is, or what does is at odds, or its weights
            cannot be read, or do not fit.
    """
    if weights and weights.config:
        weights.check(task, name, num_classes)
        return load_shared(weights), weights.config.facts
    if name is None:
        raise click.UsageError(
            "Expected a MODEL, or weights that say what they are of: a folder of save_pretrained."
        )
    torch.manual_seed(SEED)
    model = sk.create_model(name, task or "segmentation", num_classes)
    if weights is None:
        click.echo(f"No --weights: {name} gets random ones (seed {SEED}).", err=True)
    else:
        load_weights(model, weights)
    return model, ModelFacts()


def load_shared(weights: Weights) -> torch.nn.Module:
    """The model of a folder, in eval mode; says so on stderr.

    Raises:
        click.ClickException: its weights cannot be read, or do not fit.
    """
    config = weights.config
    try:
        model = load_folder(weights.path, config)
    except (sk.CheckpointError, ImportError, OSError) as error:
        raise click.ClickException(str(error)) from None
    trained = f", trained on {config.facts.dataset}" if config.facts.dataset else ""
    click.echo(
        f"Loaded {weights.given}: {weights.architecture}, {config.num_classes} classes{trained}.",
        err=True,
    )
    return model


def load_weights(model: torch.nn.Module, weights: Weights, hint: str = "") -> None:
    """Fills the whole model from a checkpoint, and says so on stderr.

    Raises:
        click.ClickException: it cannot be read, or fills only a part; `hint` then ends the message.
    """
    try:
        report = sk.load_checkpoint(model, weights.path)
    except (sk.CheckpointError, ImportError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if report.fresh:
        message = f"The checkpoint fills only a part of the model. {report}{hint}"
        raise click.ClickException(message)
    click.echo(str(report), err=True)
