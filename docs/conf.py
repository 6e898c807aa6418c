"""The documentation site, which `make docs` builds.

Its source folder is the repository's root: a link from one file to another is then the same here
and on the site, and is checked. Warnings are errors: broken links, missing images and anchors,
references into this package that lead nowhere, and public names without a docstring.
"""

from __future__ import annotations

import importlib
import inspect
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

PACKAGE = "seaformer_kernels"
# Whose public names have to be on the site.
PUBLIC = [
    PACKAGE,
    *(
        f"{PACKAGE}.{name}"
        for name in ("cpu", "data", "evaluate", "models", "modules", "ops", "optimize", "training")
    ),
    *(
        f"{PACKAGE}.reference.{file.stem}"
        for file in sorted((Path(__file__).parents[1] / PACKAGE / "reference").glob("[!_]*.py"))
    ),
]
CONTENTS = """
```{toctree}
:hidden:
:caption: Start

docs/start/try
docs/start/research
docs/start/train
docs/start/detection
docs/start/checkpoints
docs/start/sharing
docs/start/many-pictures
docs/start/pytorch
docs/start/half-precision
docs/start/int8
docs/start/deployment
docs/start/onnx
docs/start/raspberry-pi
docs/start/c-and-phones
```

```{toctree}
:hidden:
:caption: How it works

docs/how/labels
docs/how/fusion
docs/how/numerics
docs/how/memory
docs/how/data
docs/how/training
docs/how/evaluation
docs/paper-and-code
```

```{toctree}
:hidden:
:caption: Results

docs/results/accuracy
docs/results/other-models
docs/results/detection
docs/results/x86
docs/results/arm
benchmarks/README
```

```{toctree}
:hidden:
:glob:
:caption: Development

*
docs/dev/layers
csrc/README
docs/dev/adding-a-kernel
docs/dev/adding-a-type
docs/dev/tests
```

```{toctree}
:hidden:
:caption: Reference

docs/api/package
docs/api/ops
docs/api/modules
docs/api/models
docs/api/optimize
docs/api/quantize
docs/api/cpu
docs/api/data
docs/api/evaluate
docs/api/training
docs/api/reference
docs/api/cli
```
"""

project = "seaformer-kernels"
author = "the seaformer-kernels authors"
copyright = author
version = release = importlib.import_module(PACKAGE).__version__

root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "csrc/README.md", "benchmarks/README.md"]
exclude_patterns = [".*", "build", "bench-output", "demo-output", "dist"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_heading_anchors = 4


autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False  # torch.nn.Module has one for every forward
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
default_role = "py:obj"  # a link where a name of ours stands between backticks

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False

log = logging.getLogger(__name__)


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Gives the front page, which is the README, the table of contents."""
    if docname == root_doc:
        source[0] += CONTENTS


def plain_word(
    app: Sphinx, env: object, node: nodes.Element, text: nodes.Node
) -> nodes.Node | None:
    """Leaves what is no name of this package as it stands: words, and other people's types."""
    ours = node.get("reftarget", "").startswith(PACKAGE)
    return text if node.get("refdomain") == "py" and not ours else None


def public_names() -> Iterator[tuple[str, object]]:
    """All that users may call, with the dotted name of each."""
    for module in PUBLIC:
        importlib.import_module(module)
        loaded = sys.modules[module]
        names = getattr(loaded, "__all__", None) or [
            name
            for name, value in vars(loaded).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module
        ]
        for name in names:
            value = getattr(loaded, name)
            if name.startswith("_") or inspect.ismodule(value):
                continue
            yield f"{module}.{name}", value
            if inspect.isclass(value):
                for member, of in vars(value).items():
                    method = callable(getattr(of, "__func__", of)) or isinstance(of, property)
                    # What a module maps to what, its class says.
                    if method and not member.startswith("_") and member != "forward":
                        yield f"{module}.{name}.{member}", of


def check_public_names(app: Sphinx, env: object) -> None:
    """Warns of public names that are not on the site: they have no docstring, or no page."""
    documented = set(env.get_domain("py").objects)
    found: dict[int, list[str]] = {}
    for name, value in public_names():
        found.setdefault(id(value), []).append(name)
    for names in found.values():
        if documented.isdisjoint(names):
            log.warning("%s is public and not documented", " or ".join(names))


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Lets the site open at index.html."""
    if error is None and app.builder.format == "html":
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("missing-reference", plain_word)
    app.connect("env-updated", check_public_names)
    app.connect("build-finished", write_index)
