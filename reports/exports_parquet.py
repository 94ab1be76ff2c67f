"""A run as one Parquet file: a row for each request, with sample, response and scores joined."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from janus_eval.errors import UserError
from janus_eval.reports.exports_rows import Exported, Joined, Record, compact, read, sound

ROWS_AT_ONCE = 4096


def write(run: Path, out: Path) -> list[str]:
    """Write ``out``, or ``out/RUN.parquet`` where that is no name of such a file; returns lines to print.

    Of a request's scores, the first protocol's stand in columns of their own and all others in ``others``. The file's
    metadata hold run.json and the metrics under ``janus_eval``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = read(run)
    file = out if out.suffix == ".parquet" else out / f"{run.resolve().name}.parquet"
    schema = _schema(found)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(file, schema) as writer:
            for start in range(0, len(found.rows), ROWS_AT_ONCE):
                rows = [_row(found, joined) for joined in found.rows[start : start + ROWS_AT_ONCE]]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror or error})") from error
    return [f"{file}: {len(found.rows):,} requests", *found.unread]


def _schema(found: Exported) -> Any:
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    score = [
        *(("protocol", text), ("value", number), ("extracted", text), ("reason", text), ("parts", text)),
        ("failed", pa.bool_()),
    ]
    fields = [
        *((name, text) for name in ("run", "model", "checkpoint", "task", "sample")),
        *(("index", whole), ("id", text), ("group", text), ("category", text), ("kind", text), ("prompt", text)),
        *(("seed", whole), ("text", text), ("image", text), ("likelihoods", pa.list_(number))),
        *(("continuations", pa.list_(text)), ("failure", text), ("input_tokens", whole), ("output_tokens", whole)),
        *(("finish", text), ("details", text), ("images", pa.list_(text))),
        *((name, text) for name in ("inputs", "target", "metadata")),
        *score,
        ("others", pa.list_(pa.struct(score))),
    ]
    about = {"run": found.header, "results": found.results}
    return pa.schema(fields, metadata={"janus_eval": json.dumps(about)})


def _row(found: Exported, joined: Joined) -> dict[str, Any]:
    response, sample = joined.response, joined.sample
    first, *others = [_score(protocol, score) for protocol, score in joined.scores.items()] or [{}]
    return {
        "run": found.path.resolve().name,
        "model": sound(found.model.get("name")),
        "checkpoint": sound(found.model.get("checkpoint")),
        **{name: sound(response.get(name)) for name in ("task", "sample", "id", "kind", "prompt", "finish")},
        **{name: sound(response.get(name)) for name in ("text", "image", "failure")},
        # A seed has 63 bits: it is a whole number or absent, as of rankings.
        **{name: response.get(name) for name in ("index", "seed", "input_tokens", "output_tokens")},
        "likelihoods": response.get("likelihoods"),
        # Such as the prompt as a server rewrote it.
        "details": compact(response["details"]) if response.get("details") else None,
        "continuations": [sound(text) for text in response.get("continuations", [])] or None,
        **{name: sound(sample.get(name)) for name in ("group", "category")},
        "images": [sound(path) for path in sample.get("images", [])],
        **{name: compact(sample.get(name, {})) for name in ("inputs", "target", "metadata")},
        **first,
        "others": others,
    }


def _score(protocol: str, score: Record) -> dict[str, Any]:
    value = score.get("value")
    return {
        "protocol": protocol,
        "value": None if value is None else float(value),
        "extracted": compact(score.get("extracted")),
        "reason": sound(score.get("reason", "")),
        "parts": compact(score.get("parts", {})),
        "failed": bool(score.get("failed")),
    }
