"""PR, Procedures: graft infusions, marrow aspirates, ventilation, imaging and every other procedure done."""

from __future__ import annotations

from adapter.derive.coding import coded, unmapped
from adapter.derive.strings import first_place
from adapter.derive.terms import english
from adapter.spec import Dataset, Inputs, Records, joined
from mappings.coding import originals
from mappings.parts import (
    collected,
    end_point_of,
    identifiers,
    not_given,
    of_others,
    ongoing,
    reasons,
    said_in_words,
    study_day_of,
    text,
    without_dose,
    without_end,
)
from mappings.timing import epoch_of, visit_of

DOMAIN = "PR"
ALLOGENEIC, AUTOLOGOUS_TERM = "ALLOGENEIC STEM CELL TRANSPLANT", "AUTOLOGOUS STEM CELL TRANSPLANT"
AUTOLOGOUS = ("autologous", "auto-HSCT", "自体")


def procedures(inputs: Inputs) -> Records:
    """Return one record per Procedure that was done and belongs to no other domain (transfusions are CM)."""
    p = inputs.frame("Procedure")
    meaning = coded(inputs.knowledge.codes["procedures"], p["code"], p["code_text"], names=True)
    p["decod"], p["cat"], p["known"] = meaning["decod"], meaning["cat"], meaning["known"].astype(bool)
    p = p[(meaning["domain"] == DOMAIN) | ~p["known"]].copy()
    why = not_given(p).where(~of_others(p), "about-somebody-else")
    lost = why != ""
    dropped = reasons(p.loc[lost, "row"], why[lost])
    issues = without_dose(p, why, "neither amount nor period shows that it was done; no record", known=False)
    p = p[~lost].copy()
    # one code stands for both kinds of transplant; only the allogeneic one is this trial's graft (fhir-input)
    own = (p["decod"] == ALLOGENEIC) & text(p["code_text"]).map(lambda t: first_place(AUTOLOGOUS, t) >= 0).astype(bool)
    p.loc[own, ["decod", "cat"]] = [AUTOLOGOUS_TERM, ""]
    p[["enrtpt", "entpt"]] = ongoing(p, inputs.subjects["cut_date"])
    missing = unmapped("Procedure", p.loc[~p["known"], "code"], p.loc[~p["known"], "code_text"], used=True)
    said = english(inputs.knowledge.dictionaries, p["code_text"])
    p = p.assign(trt=said["text"], original=said["original"])
    dropped_by = {"Procedure": dropped}
    return Records(p, originals(p, "PRTRT"), dropped_by, joined([issues, without_end(p)]), joined([missing]))


DATASET = Dataset(
    name=DOMAIN,
    label="Procedures",
    cls="INTERVENTIONS",
    structure="One record per recorded procedure per occurrence per subject",
    keys=("STUDYID", "USUBJID", "PRDECOD", "PRTRT", "PRSTDTC", "PRENDTC"),
    records=procedures,
    sequence="PRSEQ",
    variables=(
        *identifiers(DOMAIN),
        collected("PRTRT", "Reported Name of Procedure", "trt", "Req", "Topic", "Procedure.code"),
        collected(
            "PRDECOD",
            "Standardized Procedure Name",
            "decod",
            "Perm",
            "Synonym Qualifier",
            "Procedure.code",
            codelist="C101858",
        ),
        collected("PRCAT", "Category", "cat", "Perm", "Grouping Qualifier", "Procedure.code"),
        collected("PRINDC", "Indication", "indication", "Perm", "Record Qualifier", "Procedure.reasonCode"),
        *visit_of("PRSTDTC", core="Perm"),
        epoch_of("PRSTDTC"),
        collected("PRSTDTC", "Start Date/Time of Procedure", "dtc", "Exp", "Timing", "Procedure.performed[x]"),
        collected(
            "PRENDTC", "End Date/Time of Procedure", "end_dtc", "Perm", "Timing", "Procedure.performedPeriod.end"
        ),
        study_day_of("PRSTDY", "Study Day of Start of Procedure", "PRSTDTC"),
        study_day_of("PRENDY", "Study Day of End of Procedure", "PRENDTC"),
        *end_point_of("PR", "Procedure.performedPeriod.end"),
        said_in_words("PRSTTXT", "Procedure.performed[x]"),
    ),
)
