"""Sweeps: a model under every combination of some options' values.

A cell of a sweep is a model with options, so it has a run folder of its own, goes on where it stopped and is reported
like any other; nothing after this module knows of sweeps.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.seams import ModelFamily
from janus_eval.specs import ModelSpec, offered, options_of, refuse_unknown, settings_of


def parse_sweep(texts: Sequence[str]) -> dict[str, list[str]]:
    """``KEY=V1,V2,...``; within a value ``%2C`` stands for a comma and ``%25`` for a percent sign."""
    over: dict[str, list[str]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not key:
            raise UserError(f"--sweep: {text!r} is no sweep; expected KEY=V1,V2,...")
        if key in over:
            raise UserError(f"--sweep: option {key!r} is given twice; write all its values behind one")
        over[key] = [unquote(value) for value in values.split(",")]
        if "" in over[key]:
            raise UserError(f"--sweep {text}: a value is empty; expected KEY=V1,V2,...")
    return over


def cells(
    models: Sequence[str | ModelSpec],
    over: Mapping[str, Sequence[Any]],
    overrides: Mapping[str, Any],
    where: str = "--sweep",
) -> list[ModelSpec]:
    """Every model under every combination of the options in ``over`` that it has; the last option varies fastest.

    A model that has none of them stays as it is. Raises UserError for an option that no model has, for one that has a
    value already (in ``overrides``, which is ``--set``, or in a model's spec), and for a value that comes twice.
    """
    specs = [ModelSpec.parse(model) if isinstance(model, str) else model for model in models]
    families: list[ModelFamily] = [offered("models", spec.name) for spec in specs]
    refuse_unknown(over, families, where)
    for key in over:
        if key in overrides:
            raise UserError(f"{where} {key}: --set {key}={overrides[key]} fixes it; leave out one of the two")
    found = []
    for spec, family in zip(specs, families, strict=True):
        keys = [key for key in over if key in family.Settings.model_fields]
        for key in keys:
            if key in spec.options:
                raise UserError(f"{where} {key}: model {str(spec)!r} fixes it; leave out one of the two")
            _refuse_repeated(key, over[key], spec, family, overrides, where)
        for values in itertools.product(*(over[key] for key in keys)):
            found.append(replace(spec, options={**spec.options, **dict(zip(keys, values, strict=True))}))
    return found


def _refuse_repeated(
    key: str,
    values: Sequence[Any],
    spec: ModelSpec,
    family: ModelFamily,
    overrides: Mapping[str, Any],
    where: str,
) -> None:
    """Raise UserError where two values are one to the model (``1`` and ``1.0``), or where there is none."""
    if not values:
        raise UserError(f"{where} {key}: no values")
    seen: dict[str, Any] = {}
    for value in values:
        settings = settings_of(family, {**options_of(spec, family, overrides), key: value}, spec.name)
        read = digest(settings.model_dump(mode="json")[key])
        if read in seen:
            other = f" ({seen[read]!r})" if seen[read] != value else ""
            raise UserError(f"{where} {key}: value {value!r} is given twice{other}")
        seen[read] = value
