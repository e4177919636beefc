"""What the tables are about: arms, populations, parameters, days; filled in from a trial definition, never known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from adapter.errors import InputError
from adapter.stats.results import columns_of

Role = Literal["primary", "secondary", "sensitivity", "descriptive"]
"""Of a response parameter; the arms are not compared on descriptive ones."""


@dataclass(frozen=True, slots=True)
class Response:
    """A parameter of ADRS and the values of AVALC that make a responder. label: as it stands in the table."""

    paramcd: str
    label: str
    responders: tuple[str, ...]
    role: Role = "primary"


@dataclass(frozen=True, slots=True)
class TimeTo:
    """A parameter of ADTTE. competing: CNSR 2 is a competing event (cumulative incidence, else Kaplan-Meier).

    delayed: its origin lies before randomisation, so that subjects are under observation from randomisation only.
    days: landmarks, in days as AVAL counts them. compared: the arms are compared; false: each is described only.
    """

    paramcd: str
    label: str
    competing: bool = False
    delayed: bool = False
    days: tuple[int, ...] = ()
    compared: bool = True


@dataclass(frozen=True, slots=True)
class Characteristic:
    """A variable of ADSL to describe: numbers by mean and quartiles, categories by counts."""

    variable: str
    label: str
    numeric: bool = False
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The analyses of a trial (protocol §5, §6, §10).

    first, second: the arms, as TRT01P and TRT01A spell them; the first is compared with the second.
    populations: flag of ADSL -> label. population: flag of the main analysis; supportive: flags of its repetitions.
    not_evaluable_as: whether a subject without an answer is no responder, or left out of the denominator.
    sides: p values of Fisher's test (rates.SIDES). continuity: of Newcombe's interval. multiplicity: over the primary
    parameters, on the first of the sides. horizon_days: at an interim cut a subject without a response whose horizon (a
    study day) lies after the cut, and who neither died nor left, is in no denominator; 0: no such rule.
    related: values of AEREL that mean related. serious_criteria: variables of ADAE, each Y where it makes an event serious.
    expected: laboratory tests abnormal by the underlying disease.
    """

    first: str
    second: str
    populations: dict[str, str]
    population: str
    safety: str
    responses: tuple[Response, ...] = ()
    times: tuple[TimeTo, ...] = ()
    characteristics: tuple[Characteristic, ...] = ()
    supportive: tuple[str, ...] = ()
    confidence: float = 0.95
    not_evaluable_as: Literal["non_responder", "excluded"] = "non_responder"
    variance: Literal["aalen", "jackknife"] = "aalen"
    related: tuple[str, ...] = ()
    serious_criteria: tuple[str, ...] = ()
    expected: tuple[str, ...] = ()
    severe_grade: int = 3
    sides: tuple[str, ...] = ("two-sided", "one-sided")
    continuity: bool = False
    multiplicity: Literal["none", "holm"] = "none"
    horizon_days: int = 0

    @property
    def arms(self) -> tuple[str, str]:
        return self.first, self.second

    @property
    def comparison(self) -> str:
        return f"{self.first} vs {self.second}"

    def sizes(self, subjects: pd.DataFrame) -> dict[str, int]:
        """Return arm -> number of subjects (rows with ARM)."""
        return {a: int((subjects["ARM"] == a).sum()) for a in self.arms}

    def label_of(self, population: str) -> str:
        return self.populations.get(population, population)


def subjects_of(adsl: pd.DataFrame, plan: Plan, population: str, arm: str = "TRT01P") -> pd.DataFrame:
    """Return USUBJID and ARM of the subjects of a population. arm: TRT01P (as planned) or TRT01A (as treated).

    Raises InputError for an unknown arm, a flag that is not Y, N or empty, and a subject that stands twice.
    """
    s = columns_of(adsl, "ADSL", ["USUBJID", arm, population])
    if odd := sorted(set(s[population]) - {"Y", "N", ""}):
        raise InputError(f"ADSL: {population} is {odd[0]!r}, expected Y, N or nothing")
    doubled = s.loc[s["USUBJID"].duplicated(), "USUBJID"]
    if len(doubled):
        raise InputError(f"ADSL: {len(doubled)} subjects stand twice, expected one record each")
    s = s[s[population] == "Y"].rename(columns={arm: "ARM"})
    if odd := sorted(set(s["ARM"]) - set(plan.arms)):
        raise InputError(
            f"ADSL: {arm} is {odd[0]!r} in population {population}, expected {plan.first} or {plan.second}"
        )
    return s[["USUBJID", "ARM"]].reset_index(drop=True)
