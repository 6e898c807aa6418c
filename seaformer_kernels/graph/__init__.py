"""Networks as lists of steps, which plain models run and plans are made of."""

from seaformer_kernels.graph.steps import Graph, Step, chain

__all__ = ["Graph", "Step", "chain"]
