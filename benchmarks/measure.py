"""Measuring side by side on a machine that is never quiet.

Contenders take turns in every round, in an order that changes from round to round, and ratios are taken within a
round: what slows the machine down for a minute slows both sides of a ratio. CPU seconds stand beside wall seconds,
since another process costs a contender wall time first of all.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "transformers", "numpy", "safetensors", "tokenizers")


class Cost(NamedTuple):
    """Seconds of one go; ``share`` is the part of the whole job that it was, see ``Contender.share``."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Contender:
    """``go`` does ``share`` of the job once; costs are divided by it. 1/16 where a job is sixteen equal passes."""

    name: str
    go: Callable[[], object]
    share: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """One job done by several contenders. ``against`` names the one that the others are compared with.

    ``items`` is how many ``unit`` the whole job makes.
    """

    title: str
    unit: str
    items: int
    against: str
    costs: Mapping[str, Sequence[Cost]]
    notes: str = ""

    def rows(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        ours = self.costs[self.against]
        for name, costs in self.costs.items():
            walls, cpus = [cost.wall for cost in costs], [cost.cpu for cost in costs]
            row: dict[str, object] = {
                "contender": name,
                "wall_seconds": statistics.median(walls),
                "cpu_seconds": statistics.median(cpus),
                "per_cpu_second": self.items / statistics.median(cpus),
                "rounds": [cost._asdict() for cost in costs],
            }
            if name != self.against:
                row["cpu_ratio"] = spread([a.cpu / b.cpu for a, b in zip(costs, ours, strict=True)])
                row["wall_ratio"] = spread([a.wall / b.wall for a, b in zip(costs, ours, strict=True)])
            found.append(row)
        return found

    def as_json(self) -> dict[str, object]:
        return {"title": self.title, "unit": self.unit, "items": self.items, "notes": self.notes, "rows": self.rows()}


@dataclass
class Report:
    """What one run of the benchmarks found: comparisons, and single figures with their units."""

    comparisons: list[Comparison] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def table(self) -> str:
        """Markdown."""
        lines: list[str] = []
        for comparison in self.comparisons:
            lines += [
                f"\n### {comparison.title}\n",
                f"| | CPU seconds | wall seconds | {comparison.unit} a CPU second | ratio of CPU seconds (range) "
                "| ratio of wall seconds |",
                "| --- | ---: | ---: | ---: | ---: | ---: |",
            ]
            for row in comparison.rows():
                cells = [f"{row[key]:.3g}" for key in ("cpu_seconds", "wall_seconds", "per_cpu_second")]
                cpu, wall = row.get("cpu_ratio"), row.get("wall_ratio")
                cells.append(f"{cpu['median']:.2f} ({cpu['low']:.2f} to {cpu['high']:.2f})" if cpu else "1")  # type: ignore[index]
                cells.append(f"{wall['median']:.2f}" if wall else "1")  # type: ignore[index]
                lines.append(f"| {row['contender']} | " + " | ".join(cells) + " |")
            if comparison.notes:
                lines.append(f"\n{comparison.notes}")
        if self.figures:
            lines += ["\n### Single figures\n", "| | median | range |", "| --- | ---: | ---: |"]
            lines += [figure.row() for figure in self.figures]
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        return {
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "figures": [figure.as_json() for figure in self.figures],
        }


@dataclass(frozen=True)
class Figure:
    name: str
    unit: str
    values: Sequence[float]

    def row(self) -> str:
        found = spread(self.values)
        median, low, high = (f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in found.values())
        return f"| {self.name} | {median} {self.unit} | {low} to {high} |"

    def as_json(self) -> dict[str, object]:
        return {"name": self.name, "unit": self.unit, **spread(self.values), "values": list(self.values)}


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def interleaved(contenders: Sequence[Contender], rounds: int) -> dict[str, list[Cost]]:
    """Every contender once a round; each round begins with another one."""
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for contender in (*contenders[first:], *contenders[:first]):
            wall, cpu = time.perf_counter(), time.process_time()
            contender.go()
            cost = Cost((time.perf_counter() - wall) / contender.share, (time.process_time() - cpu) / contender.share)
            costs[contender.name].append(cost)
            print(f"  {contender.name}: {cost.cpu:.2f} s CPU, {cost.wall:.2f} s wall", file=sys.stderr, flush=True)
    return costs


class Child(NamedTuple):
    """What a child process cost."""

    wall: float
    cpu: float
    output: str


def child(command: Sequence[str]) -> Child:
    """Run a command to its end, on the same number of threads; raises RuntimeError with its errors if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{errors}")
    return Child(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, output)


def quiet_threads(threads: int) -> None:
    """Before torch is imported: this process and its children use so many threads, and nothing asks the network."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}


def machine(threads: int) -> dict[str, object]:
    """What the figures depend on."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average": os.getloadavg(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def own_peak_mib() -> float:
    """The most memory that this process has held.

    Linux counts into ``ru_maxrss`` what the parent held when it started the process; the status file does not.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS
