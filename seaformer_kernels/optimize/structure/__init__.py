"""Blocks found by structure: in anyone's model, whatever its classes are called.

A module's graph (`graph.trace`) is read (`read`, `rules`) as values (`values`): convolutions with
what is folded into them, sums, gates. Values that one op can make (`match`) are tried on random
maps (`check`) and take the place of what made them (`regions`, `replace`, `rewrite`).
"""
