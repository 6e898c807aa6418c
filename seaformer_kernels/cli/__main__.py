"""`python -m seaformer_kernels.cli`, the same as `seaformer`."""

import sys

from seaformer_kernels.cli import main

if __name__ == "__main__":  # a benchmark's child process imports this
    sys.exit(main())
