"""CE, Clinical Events: GVHD episodes, infections, graft failures and relapses after consent."""

from __future__ import annotations

from typing import Any

import pandas as pd

from adapter.spec import DERIVED, Dataset, Inputs, Records, Variable, call, issues_of, joined, related_to
from mappings.coding import decoded, level, originals, uncoded, with_terms
from mappings.conditions import RELAPSE, UNSPECIFIC, candidates, each_kind, ends, routed
from mappings.links import rows_named
from mappings.parts import (
    collected,
    end_in_words,
    end_point_of,
    identifiers,
    reasons,
    said_in_words,
    study_day_of,
    text,
)
from mappings.timing import epoch_of

DOMAIN = "CE"


def events(inputs: Inputs) -> Records:
    """Return one record per event of interest that began after consent, of acute on chronic GVHD one per kind.

    Of every other Condition that is no history it says why it is none: it is listed as a candidate for an adverse event.
    """
    c = routed(inputs)
    e = with_terms(each_kind(c[c["ce"]]), inputs)
    e[["enrtpt", "entpt"]] = ends(e, inputs.subjects["cut_date"])
    for name in ("words", "end_words"):
        e[name] = text(e[name])
    issues = [_undated(c), *_doubts(e)]
    lost = [reasons(c.loc[c["other"], "row"], "about-somebody-else")]
    lost.append(reasons(c.loc[c["undated"] & ~c["mh"], "row"], "relapse-not-dated"))
    if inputs.trial.safety.unlinked_conditions == "candidate":
        issues.append(candidates(c))
        lost.append(reasons(c.loc[c["ae"], "row"], "adverse-event-candidate"))
    dropped = {"Condition": pd.concat(lost)}
    return Records(e, originals(e, "CETERM"), dropped, joined(issues), uncoded(e), _evidence(e, inputs))


def _undated(c: pd.DataFrame) -> pd.DataFrame:
    """Return the data issues of relapses without a date after the transplant: there is no event."""
    lost = c[c["undated"]]
    why = "neither onset nor recordedDate is after the transplant, or there is none: no relapse event"
    return issues_of(-1, lost["USUBJID"].to_numpy(), "relapse-date-unknown", why, "Condition", lost["row"].to_numpy())


def _doubts(e: pd.DataFrame) -> list[pd.DataFrame]:
    checks = (
        (
            (e["cat"] == RELAPSE) & (e["origin"] == "recorded"),
            "relapse-date-recorded",
            "recordedDate dates the relapse",
        ),
        (e["start"] == "", "onset-unknown", "no date tells when it began; it is taken as after consent"),
        (e["cat"] == UNSPECIFIC, "event-kind-unknown", "neither code nor text says whether it is acute or chronic"),
    )
    return [issues_of(e.index[w], e.loc[w, "USUBJID"].to_numpy(), code, why) for w, code, why in checks]


def _evidence(e: pd.DataFrame, inputs: Inputs) -> pd.DataFrame | None:
    """Return what each event rests on: its own stages, and the Observations that it or a stage of it names.

    The stages of acute on chronic GVHD are those of the first of its events (mappings.links.stages).
    """
    facts = inputs.facts["Condition"].frame
    stages = facts[text(facts["element"]).str.startswith("stage[")].rename_axis("row").reset_index()
    own = e[["file", "line"]].drop_duplicates().rename_axis("record").reset_index()
    mine = own.merge(stages[["row", "file", "line", "evidence"]], on=["file", "line"])
    named = pd.concat([e["evidence"], mine.set_index("record")["evidence"]])
    seen = rows_named(inputs, "Observation", named)
    parts = [
        related_to(mine["record"], "Condition", mine["row"]),
        related_to(seen["record"], "Observation", seen["row"]),
    ]
    return joined(parts)


def event_start(start: pd.Series[Any]) -> pd.Series[Any]:
    """Onset of the event. For a relapse: the onset if it is after the day of the index transplant, else the day on which \
the Condition was recorded if that is; in hospitals the onset is often that of the first diagnosis."""
    return start


DATASET = Dataset(
    name=DOMAIN,
    label="Clinical Events",
    cls="EVENTS",
    structure="One record per event per subject",
    keys=("STUDYID", "USUBJID", "CECAT", "CETERM", "CESTDTC", "CEENDTC"),
    records=events,
    needs=("PR", "CM"),
    sequence="CESEQ",
    variables=(
        *identifiers(DOMAIN),
        collected(
            "CETERM",
            "Reported Term for the Clinical Event",
            "term",
            "Req",
            "Topic",
            "Condition.code",
            comment="In English where the sponsor translates it; the text as it came is in the trace.",
        ),
        decoded("CEDECOD", "Dictionary-Derived Term"),
        collected("CECAT", "Category for the Clinical Event", "cat", "Perm", "Grouping Qualifier", "Condition.code"),
        collected(
            "CESCAT", "Subcategory for the Clinical Event", "scat", "Perm", "Grouping Qualifier", "Condition.code"
        ),
        level("CEBODSYS", "Body System or Organ Class", "soc", "Perm", "Record Qualifier", dictionary=False),
        epoch_of("CESTDTC"),
        collected("CEDTC", "Date/Time of Event Collection", "recorded_dtc", "Perm", "Timing", "Condition.recordedDate"),
        Variable(
            "CESTDTC",
            "Start Date/Time of Clinical Event",
            "Char",
            call(event_start, "start"),
            DERIVED,
            "Perm",
            "Timing",
        ),
        collected("CEENDTC", "End Date/Time of Clinical Event", "end_dtc", "Perm", "Timing", "Condition.abatement[x]"),
        study_day_of("CEDY", "Study Day of Event Collection", "CEDTC"),
        study_day_of("CESTDY", "Study Day of Start of Event", "CESTDTC"),
        study_day_of("CEENDY", "Study Day of End of Event", "CEENDTC"),
        *end_point_of("CE", "Condition.clinicalStatus"),
        said_in_words("CESTWORD", "Condition.onset[x]"),
        end_in_words("CEENWORD", "Condition.abatement[x]"),
    ),
)
