"""The Python examples of the README and of docs/ run as they stand, and the commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

import seaformer_kernels as sk
from seaformer_kernels import ModelFacts, _extension

ROOT = Path(__file__).parents[2]
PAGES = {str(page.relative_to(ROOT)): page for page in sorted(ROOT.glob("docs/**/*.md"))}
PAGES["README.md"] = ROOT / "README.md"
SLOW = "docs/start/deployment.md"  # test_deployment.py runs it
WITH_DATA = {"docs/how/data.md", "docs/how/evaluation.md"}  # data sets that are not here


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGES[page].read_text(), re.DOTALL)


WITH_PYTHON = [page for page in PAGES if blocks(page, "python") and page not in {SLOW, *WITH_DATA}]


def test_the_readme_is_short_and_pages_have_examples():
    assert len(PAGES["README.md"].read_text().splitlines()) <= 150
    assert {"README.md", "docs/start/research.md", "docs/start/pytorch.md"} <= {*WITH_PYTHON}


@pytest.fixture(scope="module")
def one_thread():
    """Small examples are done sooner with one, above all where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_thread) -> Path:
    """Holds what examples read."""
    folder = tmp_path_factory.mktemp("examples")
    model = sk.create_model("seaformer_base", num_classes=150)
    torch.save(model.state_dict(), folder / "seaformer_base.pth")
    detector = sk.create_model("seaformer_tiny", task="detection", head="light", num_classes=3)
    detector.save_pretrained(folder / "runs/things/best", facts=ModelFacts(classes=("a", "b", "c")))
    return folder


@pytest.mark.skipif(_extension.module is None, reason="the native extension is not built")
@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python(page, folder, monkeypatch):
    if page.endswith("onnx.md"):
        pytest.importorskip("onnx")
    monkeypatch.chdir(folder)
    names: dict = {}
    for example in blocks(page, "python"):  # each goes on where the one before it ended
        exec(example, names)
    if page == "README.md":
        assert names["logits"].shape == (1, 150, 64, 64)
        assert names["labels"].shape == (1, 512, 512)


def commands(page: str) -> list[list[str]]:
    """The words of each `seaformer` command of a page."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("seaformer ")]


def test_commands_and_their_options_exist():
    pytest.importorskip("click")
    from seaformer_kernels.cli.commands import seaformer

    found = [words for page in PAGES for words in commands(page)]
    assert len(found) >= 5
    for _, name, *words in found:
        assert name in seaformer.commands, name
        options = {o for p in seaformer.commands[name].params for o in (*p.opts, *p.secondary_opts)}
        for word in words:
            assert not word.startswith("-") or word.partition("=")[0] in options, (name, word)
