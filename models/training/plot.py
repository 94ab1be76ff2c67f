"""The losses of a training run, one panel a stage."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np

# Okabe and Ito's colours: told apart by the colour-blind too.
COLOURS = {
    "understanding": "#0072B2",
    "text": "#E69F00",
    "generation": "#009E73",
    "l1": "#0072B2",
    "l2": "#E69F00",
    "alignment": "#CC79A7",
    "commit": "#CC79A7",
    "kl": "#CC79A7",
    "colour": "#D55E00",
    "shape": "#0072B2",
    "down": "#56B4E9",
    "radius": "#009E73",
    "first": "#E69F00",
}


def plot_losses(log: Path, file: Path) -> None:
    """Draw ``log.jsonl`` to a PNG: every loss over steps, smoothed by a moving mean over 2% of the stage."""
    from matplotlib.figure import Figure

    stages: dict[str, dict[str, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for key in COLOURS:
            if key in row:
                stages[row["stage"]][key].append((row["step"], row[key]))
    figure = Figure(figsize=(4.2 * max(1, len(stages)), 3.2), dpi=110, layout="constrained")
    for place, (stage, losses) in enumerate(stages.items(), 1):
        axes = figure.add_subplot(1, len(stages), place)
        for key, points in losses.items():
            steps, values = np.array(points, dtype=float).T
            width = max(1, len(values) // 50)
            smooth = np.convolve(values, np.ones(width) / width, mode="valid")
            axes.plot(steps[width - 1 :], smooth, color=COLOURS[key], label=key, linewidth=1.4)
        axes.set(title=stage, xlabel="step", yscale="log")
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, metadata={"Software": None})
