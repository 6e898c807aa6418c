"""Networks as lists of steps, which plain models run and plans are made of."""

from seaformer_kernels.graph.steps import Graph, Step, chain
from seaformer_kernels.graph.trace import Untraceable, check_called_plainly, inputs_of, trace

__all__ = [
    "Graph",
    "Step",
    "Untraceable",
    "chain",
    "check_called_plainly",
    "inputs_of",
    "trace",
]
