"""What the rules of deviations look at: each subject's course, infusions, medication days, weights and daily counts."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from adapter.derive.days import day_number
from adapter.derive.deviations import DIGITS, dose_in, each_day
from adapter.derive.exposure import weight_before
from adapter.derive.results import number_of
from adapter.spec import Inputs
from mappings.analysis.lineages import Counts, Lineages, phase_ends
from mappings.analysis.readings import readings
from mappings.analysis.subjects import course, medication_days
from mappings.parts import text

WEIGHT = "WEIGHT"


class Found(NamedTuple):
    """One deviation. first, last: days (NaN: not dated). told: what fills the placeholders of the term. dataset, seq: the
    record that shows it; empty where no single one does."""

    usubjid: str
    first: float
    last: float
    told: dict[str, str]
    dataset: str = ""
    seq: float = np.nan


@dataclass
class Case:
    """The finished datasets of some subjects, as the rules need them."""

    inputs: Inputs
    doses: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def trial(self) -> Any:
        return self.inputs.trial

    def made(self, name: str) -> pd.DataFrame:
        return self.inputs.made[name]

    @cached_property
    def s(self) -> pd.DataFrame:
        """The course of each subject (mappings.analysis.subjects), with armcd and actual: planned and actual arm."""
        s = course(self.inputs)
        dm = self.made("DM").set_index("USUBJID")
        s["armcd"], s["actual"] = dm["ARMCD"].reindex(s.index), dm["ACTARMCD"].reindex(s.index)
        s["unplanned"] = text(dm["ACTARMUD"]).reindex(s.index) if "ACTARMUD" in dm else ""
        # what is not known cannot be a deviation: the last day of which something is known
        s["known_to"] = np.fmin(s["alive"], s["cut"])
        return s

    def infusions(self, product: str) -> pd.DataFrame:
        """Return the infusions of a product: USUBJID, day, dose (in the planned unit), seq (EX), in order.

        What was given on one site day is one infusion, its doses added up; a dose that is not known makes it unknown.
        """
        if product in self.doses:
            return self.doses[product]
        ex = self.made("EX")
        ex = ex[(ex["EXTRT"] == self.trial.by_key("products")[product].name).to_numpy()]
        unit = self.trial.dosing[product].unit
        f = pd.DataFrame({"USUBJID": ex["USUBJID"], "day": day_number(ex["EXSTDTC"]), "seq": ex["EXSEQ"]})
        f["dose"] = self._exact().reindex(pd.MultiIndex.from_frame(f[["USUBJID", "seq"]])).to_numpy()
        f["dose"] = f["dose"].where((ex["EXDOSU"] == unit) & ex["EXDOSE"].notna())
        dated = f[f["day"].notna().to_numpy()].groupby(["USUBJID", "day"], sort=True)
        made = dated.agg(dose=("dose", lambda d: d.sum(skipna=False)), seq=("seq", "min")).reset_index()
        undated = f[f["day"].isna().to_numpy()]
        made = pd.concat([made, undated[made.columns]], ignore_index=True) if len(undated) else made
        self.doses[product] = made
        return made

    def _exact(self) -> pd.Series[float]:
        """Return the doses of EX before they are rounded to two decimals, by USUBJID and EXSEQ: 53.7 over 60 kg is 0.895,
        which is outside 0.9, but 0.90 in EX."""
        e = self.inputs.records["EX"].frame
        seq = self.inputs.sequences["EX"].reindex(e.index).astype("float64")
        place = pd.MultiIndex.from_arrays([e["USUBJID"], seq], names=["USUBJID", "seq"])
        dose, kg, per = (number_of(text(e[c])).astype("float64") for c in ("ecdose", "weight", "per_unit"))
        exact = dose.where(e["ecdosu"] == e["planned_unit"], dose / per / kg).round(DIGITS)
        return exact.set_axis(place)

    def given(self, group: str, wanted: str, equal: Collection[str] = ()) -> pd.DataFrame:
        """Return what was given of a medication group on each day: USUBJID, day, amount (NaN: not known), seq (CM).

        wanted: unit of the amounts, with the weight nearest before where it is per kg; equal: units that mean the same.
        """
        records = medication_days(self.inputs, group)
        cm = self.made("CM").loc[records.index]
        unit = cm["CMDOSU"].astype("str")
        kg = self.weights(records["USUBJID"], records["first"])
        amount = dose_in(cm["CMDOSE"].astype("float64"), unit, kg, wanted, equal)
        return _each_day(records, amount, unit.str.endswith("/day"))

    def tablets(self, group: str, unit: str) -> pd.DataFrame:
        """Return what was given of a drug taken once a day, like `given`: a course has its dose on each of its days."""
        records = medication_days(self.inputs, group)
        cm = self.made("CM").loc[records.index]
        amount = cm["CMDOSE"].astype("float64").where(cm["CMDOSU"] == unit)
        return _each_day(records, amount, pd.Series(True, index=records.index))

    def weights(self, usubjid: pd.Series[Any], day: pd.Series[Any]) -> pd.Series[float]:
        """Return the body weight (kg) nearest before each day, that day included; NaN without any."""
        vs = self.made("VS") if "VS" in self.inputs.made else None
        if vs is None or not len(vs):
            return pd.Series(np.nan, index=usubjid.index)
        vs = vs[((vs["VSTESTCD"] == WEIGHT) & (vs["VSSTRESU"] == "kg") & (vs["VSSTRESN"] > 0)).to_numpy()]
        at = weight_before(usubjid, day, vs["USUBJID"], day_number(vs["VSDTC"]), vs["VSSTRESN"]).to_numpy()
        kg = vs["VSSTRESN"].to_numpy(dtype=np.float64)
        found = np.where(at >= 0, kg[np.maximum(at, 0)] if len(kg) else np.nan, np.nan)
        return pd.Series(found, index=usubjid.index)

    def fact(self, usubjid: str, column: str) -> Any:
        """Return one fact of a subject's course."""
        return self.s[column].to_numpy()[self.s.index.get_loc(usubjid)]

    @cached_property
    def counts(self) -> Counts:
        """The daily values of the trial's analytes."""
        lb = self.made("LB")
        tests = {a.testcd for a in self.trial.analytes.values()}
        _, f = readings(lb[lb["LBTESTCD"].isin(tests).to_numpy()], self.s, self.inputs)
        return Counts(f, self.s, self.inputs)

    def counts_by_subject(self, analyte: str) -> dict[str, dict[int, tuple[float, float]]]:
        """Return USUBJID -> day -> (at least, at most) that the results of the day prove."""
        d = self.counts.of(analyte)
        names = self.s.index.to_numpy(dtype=object)[d.subject].tolist()
        at_most = np.where(d.open, np.inf, d.value)
        found: dict[str, dict[int, tuple[float, float]]] = {}
        for who, day, least, most in zip(names, d.day.tolist(), d.at_least.tolist(), at_most.tolist(), strict=True):
            found.setdefault(who, {})[day] = (least, most)
        return found

    @cached_property
    def phase_end(self) -> pd.Series[float]:
        """The last day on which counts are due daily (A-23), NaN without such a phase."""
        return phase_ends(Lineages(self.counts, self.s, self.inputs), self.s, self.trial)

    def of_arms(self, arms: tuple[str, ...]) -> list[str]:
        """Return the randomised subjects of these planned arms; of all where none is named."""
        s = self.s
        mine = s["randomised"] & (s["armcd"].isin(arms) if arms else True)
        return [str(u) for u in s.index[mine.to_numpy()]]


def _each_day(records: pd.DataFrame, amount: pd.Series[Any], per_day: pd.Series[Any]) -> pd.DataFrame:
    # a date that is not known to the day covers every day it may mean: no amount is known of any of them
    told = records.assign(amount=amount.where(~records["partial"]), per_day=per_day, seq=records["CMSEQ"])
    return each_day(told)


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Return the rows of some columns as tuples."""
    return list(zip(*(frame[c].tolist() for c in columns), strict=True))
