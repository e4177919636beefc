"""Laboratory results as analysis values: parameter, number, what it proves, day, and why one is not analysed (protocol §3)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from adapter.derive.daily import read_results
from adapter.derive.days import day_number
from adapter.derive.distinct import distinct_rows
from adapter.spec import Inputs
from mappings.analysis.measurements import order_in_time

SOURCE = "LB"
PARTIAL, IMPOSSIBLE, NO_UNIT = "DATE NOT COMPLETE", "PHYSIOLOGICALLY IMPOSSIBLE", "NO STANDARD UNIT"


def readings(lb: pd.DataFrame, s: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the records of LB that have a result, and for each of them paramcd, param, aval, avalc, at_least, open, day,
    subject (position in `s`), order (in time, within the dataset) and why (it is not analysed; else empty)."""
    lb = lb[(lb["LBSTRESC"] != "").to_numpy()].reset_index(drop=True)
    f = lb[["USUBJID", "LBSEQ", "LBCAT", "LBSTNRLO", "LBSTNRHI", "LBNRIND"]].copy()
    f["paramcd"], f["param"] = _parameters(lb, inputs)
    read = read_results(lb["LBSTRESC"])
    told = lb["LBSTRESN"].notna() | lb["LBSTRESC"].str.startswith(("<", ">"))
    f["aval"] = read.value.where(told)
    f["avalc"] = lb["LBSTRESC"].where(f["aval"].isna(), "")
    f["at_least"], f["open"] = read.at_least.where(told), read.open & told
    f["day"] = day_number(lb["LBDTC"])
    f["subject"] = s.index.get_indexer(pd.Index(f["USUBJID"])).astype(np.int64)
    f["order"] = order_in_time(lb["LBDTC"])
    f["why"] = _excluded(f, lb, inputs)
    return lb, f


def _parameters(lb: pd.DataFrame, inputs: Inputs) -> tuple[pd.Series[str], pd.Series[str]]:
    """Return PARAMCD and PARAM: the test; another category or unit of it is a parameter of its own, with a number.

    The variants of a test are numbered in the order of the code table, so that every subject has the same.
    """
    variants: dict[str, list[tuple[str, str]]] = {}
    for row in inputs.knowledge.codes["observations"]:
        if row["domain"] == SOURCE and (row["cat"], row["standard_unit"]) not in variants.setdefault(row["testcd"], []):
            variants[row["testcd"]].append((row["cat"], row["standard_unit"]))
    first, number = distinct_rows([lb["LBTESTCD"], lb["LBCAT"], lb["LBSTRESU"]])
    codes, names = [], []
    columns = (lb[c].iloc[first].tolist() for c in ("LBTESTCD", "LBTEST", "LBCAT", "LBSTRESU"))
    for test, name, category, unit in zip(*columns, strict=True):
        known = variants.get(test, [])
        of_category = [i for i, v in enumerate(known) if v[0] == category]
        place = next((i for i, v in enumerate(known) if v == (category, unit)), of_category[0] if of_category else 0)
        of, standard = known[place] if known else (category, unit)
        codes.append(test if place == 0 else f"{test[:7]}{place + 1}" if place < 9 else f"{test[:6]}{place + 1}")
        label = f"{name} ({standard})" if standard else name
        names.append(label if place == 0 else f"{label}, {of.capitalize()}")
    made = (pd.Series(np.array([*c, ""], dtype=object)[number], index=lb.index, dtype="str") for c in (codes, names))
    return next(made), next(made)


def _excluded(f: pd.DataFrame, lb: pd.DataFrame, inputs: Inputs) -> pd.Series[str]:
    """Return why a result is not analysed, empty where it is."""
    why = np.where(f["day"].isna(), PARTIAL, "").astype(object)
    for analyte in inputs.trial.analytes.values():
        mine = (f["paramcd"] == analyte.testcd).to_numpy() & f["aval"].notna().to_numpy()
        other = mine & (lb["LBSTRESU"] != analyte.unit).to_numpy()
        low, high = float(analyte.plausible_low), float(analyte.plausible_high)
        why[mine & ~other & ~f["aval"].between(low, high).to_numpy()] = IMPOSSIBLE
        why[other] = NO_UNIT
    return pd.Series(why, index=f.index, dtype="str")
