"""Times whole models beside other runtimes on this machine, and tells what was measured.

`seaformer bench` is the command; benchmarks/README.md describes what it does and its record.
"""
