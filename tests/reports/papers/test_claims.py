"""The announcement's claims, held against the tables that they come from and against runs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from janus_eval.errors import UserError
from janus_eval.reports import claims, ledger, papers_text
from janus_eval.reports.claims import ClaimView, Compared, Lead
from janus_eval.reports.papers_view import Told
from janus_eval.reports.records import Run

MakeRun = Callable[..., Run]


def found(*runs: Run, told: tuple[Told, ...] = ()) -> dict[str, ClaimView]:
    return {one.claim.id: one for one in claims.views(ledger.load(), runs, told)}


def compared(claim: str, *runs: Run) -> Compared:
    one = found(*runs)[claim].compared
    assert one is not None
    return one


@pytest.mark.parametrize(
    ("claim", "claimant", "printed", "rivals"),
    [
        ("mmbench", "Janus-Pro-7B", 79.2, {"Janus": 69.4, "TokenFlow-XL": 68.9, "MetaMorph": 75.2}),
        ("geneval", "Janus-Pro-7B", 0.80, {"DALL-E 3": 0.67, "SD3-Medium": 0.74}),
    ],
)
def test_claims_compare_what_they_name(claim: str, claimant: str, printed: float, rivals: dict[str, float]) -> None:
    one = compared(claim)
    assert (one.claimant.row.name, one.printed(one.claimant)) == (claimant, printed)
    assert {rival.row.name: one.printed(rival) for rival in one.rivals} == rivals
    assert one.beaten_by == []


def test_above_every_other_method_is_above_every_row_of_the_table() -> None:
    one = compared("dpg")
    assert len(one.rivals) == 11 and "Janus" in {rival.row.name for rival in one.rivals}
    assert "Janus-Pro-1B" not in {rival.row.name for rival in one.rivals}, "its own smaller size is no other method"
    assert min(one.lead(rival).value for rival in one.rivals) == 0.11
    assert one.beaten_by == []


def test_a_tie_does_not_hold() -> None:
    one = compared("flow-geneval")
    assert {"SDXL", "DALL-E 2", "Show-o", "Janus"} <= {rival.row.name for rival in one.rivals}
    assert one.beaten_by == ["Transfusion 0.63"]


@pytest.mark.parametrize(
    ("lead", "outcome"),
    [
        (Lead(0.1), "holds"),
        (Lead(0.0), "fails"),
        (Lead(-0.1), "fails"),
        (Lead(0.1, 0.01, 0.2), "holds"),
        (Lead(0.1, 0.0, 0.2), "open"),
        (Lead(-0.1, -0.2, 0.1), "open"),
        (Lead(-0.1, -0.2, -0.01), "fails"),
    ],
)
def test_a_measured_lead_holds_where_its_whole_interval_does(lead: Lead, outcome: str) -> None:
    assert lead.outcome == outcome


def test_measured_leads_use_comparable_numbers_alone(seven_b: Run, make: MakeRun, kit: Any) -> None:
    one = compared("dpg", seven_b)
    leads = {rival.row.name: one.measured_lead(one.claimant.lines[0], rival) for rival in one.rivals}
    sd3, sdv1 = leads["SD3-Medium"], leads["SDv1.5"]
    assert sd3 is not None and sdv1 is not None
    assert (sd3.outcome, sdv1.outcome) == ("open", "holds")
    assert sd3 == pytest.approx((-0.35, -1.18, 0.42))
    circular = {"mmbench": {"circular": kit.result(kit.mmbench("circular"), overall=(0.66, 0.63, 0.69))}}
    other = compared("mmbench", make("circular", tasks=circular))
    assert other.measured_lead(other.claimant.lines[0], other.rivals[0]) is None


def test_the_page_says_what_holds_and_with_what_caveat(seven_b: Run) -> None:
    sheaf = claims.sheaf(list(found(seven_b).values()))
    assert len(sheaf.grids) == 4 and len(sheaf.rest) == 12
    mmbench, _, dpg, flow = sheaf.grids
    assert "As printed it holds; the smallest lead is +4.0, over MetaMorph." in mmbench.after
    assert any("without CircularEval" in text for text in mmbench.after)
    assert any(text.startswith("Source: Janus-Pro report, Table 3") for text in mmbench.after)
    assert dpg.after[-1].endswith("open against DALL-E 3 and SD3-Medium.")
    assert "As printed it holds but for Transfusion 0.63, which is not below." in flow.after
    assert flow.after[-1].startswith("Measured here: not run.")
    assert any("Can be tested by: ocr-read." in text for text in sheaf.rest)
    assert papers_text.latex(sheaf).count(r"\\ holds\end{tabular}") > 20, "in LaTeX too"


def test_claims_without_a_number_show_what_their_tasks_measured(make: MakeRun, kit: Any) -> None:
    run = make("reader", tasks={"ocr-read": {"exact": kit.result({}, overall=(0.42, 0.4, 0.44))}})
    assert found(run)["limit-input"].measured == ["reader has 0.42 (0.40–0.44) on ocr-read/exact"]
    assert found(run)["compute"].measured == []


def test_data_for_programs(seven_b: Run) -> None:
    views = list(found(seven_b).values())
    rows = list(csv.DictReader(io.StringIO(claims.to_csv(views), newline="")))
    assert len(rows) == 3 + 2 + 11 + 8 + 12
    first = rows[0]
    assert (first["claim"], first["system"], first["holds_as_printed"], first["verdict"]) == (
        *("mmbench", "Janus-Pro-7B", "holds"),
        "agrees",
    )
    record = claims.record(views)
    assert (record["schema"], record["kind"], len(record["claims"])) == (1, "claims", 16)
    assert record["claims"][0]["compared"][0]["lead"] == 4.0


def test_a_run_can_be_told_to_be_a_system_of_either_paper(seven_b: Run) -> None:
    views = found(seven_b, told=(Told("JanusFlow", seven_b.path),))
    flow, pro = views["flow-geneval"].compared, views["geneval"].compared
    assert flow is not None and pro is not None
    assert len(flow.claimant.lines) == 1
    with pytest.raises(UserError, match="no row of any paper's tables"):
        found(seven_b, told=(Told("Nobody", seven_b.path),))
