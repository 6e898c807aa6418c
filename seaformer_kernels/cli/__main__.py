"""`python -m seaformer_kernels.cli`, the same as `seaformer`."""

import sys

from seaformer_kernels.cli import main

sys.exit(main())
