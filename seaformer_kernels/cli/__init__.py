"""The command line, `seaformer`."""

import sys

_EXTRA = {"click", "numpy", "PIL", "rich"}


def main() -> int:
    """Runs the command line; without the libraries it needs, says how to get them."""
    try:
        from seaformer_kernels.cli.commands import seaformer
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in _EXTRA:
            raise
        print(
            f"The command line needs {library}: pip install 'seaformer-kernels[cli]'",
            file=sys.stderr,
        )
        return 1
    return seaformer(prog_name="seaformer")
