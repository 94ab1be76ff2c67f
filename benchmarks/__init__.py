"""Speed and memory of janus-eval beside its peers. Run from the repository root: ``python -m benchmarks.run``."""
