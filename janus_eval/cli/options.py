"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Instrument = Annotated[
    list[str] | None,
    typer.Option(metavar="ROLE=NAME", help="Another instrument in a role, as visual_qa=model:M; may repeat."),
]
Models = Annotated[
    list[str] | None,
    typer.Option(metavar="M[:CHECKPOINT][?k=v&...]", help="May repeat. [default: the suite's models]"),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="TASK[/PROTOCOL]", help="Leave this one of the suite out; may repeat."),
]
Device = Annotated[str, typer.Option(metavar="D", help="cpu, cuda, cuda:1, mps, ...")]
Dtype = Annotated[str, typer.Option(metavar="D", help="float32, bfloat16 or float16.")]
Data = Annotated[Path | None, typer.Option(metavar="DIR", help="Data sets are looked for here first.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="An option for every model that has it; may repeat."),
]
Sweep = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=V1,V2,...", help="A run for every value of an option; may repeat: all combinations."),
]
Estimate = Annotated[bool, typer.Option("--estimate", help="Only say what would be asked, and how long it would take.")]
