"""Fixtures of several test files."""

from __future__ import annotations

import os

import pytest
import torch
from isas import ISAS, force

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the workers have the other cores


def pytest_collection_modifyitems(items):
    for item in items:
        if "isa" in getattr(item, "fixturenames", ()):
            item.add_marker("isas")
    # Long ones first, so that no worker is left with one at the end.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(params=ISAS)
def isa(request):
    """Runs the test on every instruction set this machine has; its value is the name."""
    with force(request.param):
        yield request.param


@pytest.fixture(params=["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def backend(request):
    """A backend of torch.compile: one that traces and runs the graph, and one that writes C++."""
    torch.compiler.reset()
    return request.param


@pytest.fixture
def in_tmp_path(tmp_path, monkeypatch):
    """Runs the test in a folder of its own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def picture(tmp_path):
    """A small photograph."""
    from command_line import photo

    path = tmp_path / "photo.png"
    photo().save(path)
    return path


@pytest.fixture
def one_thread():
    """Spares small maps the waiting of threads for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_network(monkeypatch):
    """Makes each network of random weights, as commands do without --weights, once for all."""
    import command_line

    monkeypatch.setattr(command_line.sk, "create_model", command_line.create_model_once)
    monkeypatch.setattr(command_line.sk, "optimize", command_line.optimize_once)
    monkeypatch.setattr(command_line.sk, "load_checkpoint", None)
