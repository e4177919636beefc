"""ADVS, Vital Signs Analysis Dataset: every measurement as an analysis value, with baseline, change and analysis visit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.spec import ASSIGNED, Dataset, Inputs, Records, ValueLevel, Variable, const, joined, setting, used_of
from mappings.analysis.measurements import (
    baseline_flag_variable,
    baseline_source,
    made,
    order_in_time,
    timing_variables,
    with_baseline,
    with_visits,
)
from mappings.analysis.toxicity import on_treatment, on_treatment_flag
from mappings.analysis.variables import BDS, NY, kept, of_a_parameter
from mappings.parts import text

NAME, SOURCE = "ADVS", "VS"


def measurements(inputs: Inputs) -> Records:
    """Return one record per measurement of VS that is a number in its standard unit, in the order of VS."""
    s = inputs.records["ADSL"].frame
    vs = inputs.made[SOURCE]
    vs = vs[vs["VSSTRESN"].notna().to_numpy()].reset_index(drop=True)
    f = vs[["USUBJID", "VSSEQ", "VSPOS", "VSLOC"]].copy()
    unit = text(vs["VSSTRESU"])
    f["paramcd"], f["aval"] = vs["VSTESTCD"], vs["VSSTRESN"]
    f["param"] = vs["VSTEST"].where(unit == "", vs["VSTEST"] + " (" + unit + ")")
    f["day"] = day_number(vs["VSDTC"])
    f["subject"] = s.index.get_indexer(pd.Index(f["USUBJID"])).astype(np.int64)
    f["order"] = order_in_time(vs["VSDTC"])
    # where on the body and in which position is part of what is compared, as it is for VSLOBXFL
    f["position"], f["place"] = text(f["VSPOS"]), text(f["VSLOC"])
    usable = f["day"].notna().to_numpy()
    f = with_baseline(f, vs["VSDTC"], ["USUBJID", "paramcd", "position", "place"], usable, s, inputs)
    f["ontrt"] = on_treatment(f, s, inputs)
    f = with_visits(f, s, inputs, inputs.shared["lineages"], np.zeros(len(f), dtype=bool))
    own = used_of(f.index, "", SOURCE, "VSSTRESN", f["VSSEQ"].to_numpy())
    return Records(f, used=joined([own, baseline_source(f, SOURCE, "VSSTRESN")]))


def measured_value(aval: pd.Series[Any]) -> pd.Series[Any]:
    """Result in the standard unit (VS.VSSTRESN)."""
    return aval


def baseline_measurement(base: pd.Series[Any]) -> pd.Series[Any]:
    """AVAL of the record of the subject and parameter, in the same position and place, with ABLFL = Y."""
    return base


DATASET = Dataset(
    name=NAME,
    label="Vital Signs Analysis Dataset",
    cls=BDS,
    structure="One record per subject per parameter per measurement",
    keys=("STUDYID", "USUBJID", "PARAMCD", "ADT", "VSSEQ"),
    records=measurements,
    needs=("ADSL", "ADLB"),
    purpose="Analysis",
    sequence="ASEQ",
    value_levels=(ValueLevel("AVAL", "PARAMCD"),),
    variables=(
        *of_a_parameter("VS.VSTESTCD, VS.VSSTRESU"),
        made("AVAL", "Analysis Value", "Num", measured_value, "aval"),
        made("BASE", "Baseline Value", "Num", baseline_measurement, "base"),
        *timing_variables("VS.VSDTC"),
        baseline_flag_variable(),
        made(
            "ONTRTFL",
            "On Treatment Record Flag",
            "Char",
            on_treatment_flag,
            "ontrt",
            months=setting("safety.emergence.months_after_last_treatment"),
            codelist=NY,
            core="Perm",
        ),
        *kept(SOURCE, {"VSPOS": "Vital Signs Position of Subject", "VSLOC": "Location of Vital Signs Measurement"}),
        Variable("SRCDOM", "Source Data", "Char", const(SOURCE), ASSIGNED, "Perm"),
        *kept(SOURCE, {"VSSEQ": "Sequence Number"}),
    ),
)
