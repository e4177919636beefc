"""Findings outside the laboratory: Observations that the observations table sends to a domain, as results of that domain."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.findings import standardised
from adapter.derive.results import number_of, standard_text
from adapter.spec import ASSIGNED, COLLECTED, DERIVED, Inputs, Origin, Records, Variable, call, issues_of, joined, path
from mappings.sdtm.lb import ISSUES, meanings, replayed
from mappings.specimens import specimen_numbers, specimen_parents, with_specimen

ND, NY, UNITS = "C66789", "C66742", "C71620"
LABELS = {
    "MBSTRESC": "Result or Finding in Standard Format",
    "MBREASND": "Reason Not Done",
    "RSREASND": "Reason Not Done",
}
"""Labels of SDTMIG 3.4 that differ from those of most findings."""


def results(inputs: Inputs, domain: str, terms: Iterable[str] = (), specimens: bool = False) -> Records:
    """Return one record per Observation, or component of one, whose code belongs to a domain.

    Columns to_…: what the observations table says of the test; orres … stresu, stat, reasnd as for the laboratory. terms:
    of --STRESC, which a text result is spelled like. specimens: a Specimen tells type and time.

    LB says why an Observation is no result of any domain.
    """
    o = inputs.frame("Observation")
    meaning = meanings(inputs)
    about = ~o["focus"].fillna(False).astype(bool)
    silent = o["kind"].isna() & o["absent"].isna()
    here = (meaning["domain"] == domain) & about & ~(silent & o["members"].fillna(False).astype(bool))
    keys = specimen_numbers(inputs)[here.to_numpy()] if specimens and here.any() else -1
    o = o[here].join(meaning[here].add_prefix("to_")).assign(specimen_key=keys)
    o = with_specimen(o, inputs) if specimens else o
    o = standardised(o, inputs.knowledge.units, terms)
    if not len(o):
        return Records(o, dropped={"Observation": pd.Series(dtype="str", index=pd.Index([], dtype="int64"))})
    empty = o["kind"].isna() & o["absent"].isna()
    o["why"] = np.select([empty, (o["kind"] == "other").fillna(False)], ["no-result", "value-type-not-read"], o["why"])
    o.loc[replayed(o, inputs), "why"] = "duplicate-result"
    lost = pd.Series(o["why"].to_numpy(), index=o["row"].to_numpy(), dtype="str")
    o = o[o["why"] == ""].reset_index(drop=True)
    issues = []
    for column in ("unitless", "unread"):
        code, message = ISSUES[column]
        odd = o.index[o[column].astype(bool)]
        issues.append(issues_of(odd, o.loc[odd, "USUBJID"].to_numpy(), code, message))
    parents = specimen_parents(o, domain) if specimens else None
    return Records(o, parents, {"Observation": lost[lost != ""]}, joined(issues))


def result_variables(
    domain: str, origin: Origin = COLLECTED, units: str | None = UNITS, codelist: str | None = None, *fhir: str
) -> tuple[Variable, ...]:
    """Return --ORRES to --REASND. units: codelist of the units, None where the domain has none. fhir: more elements."""
    value = ("Observation.value[x]", *fhir)
    qualifier = "Result Qualifier"
    found = [
        Variable(
            f"{domain}ORRES",
            "Result or Finding in Original Units",
            "Char",
            path("orres", *value),
            origin,
            "Exp",
            qualifier,
            comment="As the hospital wrote it; a comparator in front.",
        ),
        _unit(f"{domain}ORRESU", "Original Units", path("orresu", "Observation.value[x].unit"), origin, units),
        Variable(
            f"{domain}STRESC",
            LABELS.get(f"{domain}STRESC", "Character Result/Finding in Std Format"),
            "Char",
            call(standard_text, "stresc"),
            DERIVED,
            "Exp",
            qualifier,
            codelist=codelist,
        ),
        Variable(
            f"{domain}STRESN",
            "Numeric Result/Finding in Standard Units",
            "Num",
            call(number_of, f"{domain}STRESC"),
            DERIVED,
            "Exp" if domain == "VS" else "Perm",
            qualifier,
        ),
        _unit(f"{domain}STRESU", "Standard Units", path("stresu", "Observation.code"), ASSIGNED, units),
    ]
    found += [
        Variable(
            f"{domain}STAT",
            "Completion Status",
            "Char",
            path("stat", "Observation.dataAbsentReason"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
            codelist=ND,
        ),
        Variable(
            f"{domain}REASND",
            LABELS.get(f"{domain}REASND", "Reason Not Performed"),
            "Char",
            path("reasnd", "Observation.dataAbsentReason"),
            COLLECTED,
            "Perm",
            "Record Qualifier",
        ),
    ]
    return tuple(found)


def _unit(name: str, label: str, source: Any, origin: Origin, codelist: str | None) -> Variable:
    core: Any = "Exp" if name.startswith("VS") else "Perm"
    return Variable(name, label, "Char", source, origin, core, "Variable Qualifier", codelist=codelist)


def loinc_of(domain: str) -> Variable:
    """Return the supplemental LOINC code of a domain whose table has no --LOINC (sdtm-conventions, LB and other findings)."""
    name, source = f"{domain}LOINC", path("to_loinc", "Observation.code")
    return Variable(name, "LOINC Code", "Char", source, COLLECTED, dictionary="LOINC", supplemental=True)


__all__ = ["loinc_of", "result_variables", "results"]
