"""Our drawing benchmarks as tasks of lmms-eval: the folder that its ``--include_path`` takes."""
