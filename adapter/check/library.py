"""The standards' own tables: datasets and variables of SDTMIG 3.4, SDTM 2.0 and ADaMIG 1.3, as they ship in schemas/."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

from adapter.check.dataset import Dataset
from adapter.errors import InputError, unknown

Row = dict[str, str]
OBSERVATIONS = ("INTERVENTIONS", "EVENTS", "FINDINGS", "FINDINGS ABOUT")
STANDARDS = {("SDTMIG", "3.4"), ("ADAMIG", "1.3")}
"""Standards whose tables are held."""


def rows(name: str) -> list[Row]:
    """Return the rows of a table of schemas/."""
    text = files("schemas").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def standard_of(name: str, version: str) -> tuple[str, str]:
    """Return a standard as rules name it ("SDTMIG", "3.4"). Raises InputError for one whose tables are not held."""
    asked = (name.strip().upper(), version.strip().lstrip("vV").replace("-", "."))
    if asked not in STANDARDS:
        known = [f"{n.lower()} {v}" for n, v in sorted(STANDARDS)]
        raise InputError(unknown("standard", f"{asked[0].lower()} {asked[1]}", known))
    return asked


def class_name(given: str) -> str:
    """Return a class as rules write it: SPECIAL PURPOSE for Special-Purpose."""
    return given.upper().replace("-", " ")


class Library:
    """Look-ups in the tables of SDTMIG 3.4 and SDTM 2.0."""

    def __init__(self) -> None:
        self.datasets = {r["dataset"]: r for r in rows("sdtmig_3-4_datasets.csv")}
        self.variables: dict[str, list[Row]] = {}
        for r in sorted(rows("sdtmig_3-4_variables.csv"), key=lambda r: int(r["order"])):
            self.variables.setdefault(r["dataset"], []).append(r)
        self.model: dict[tuple[str, str], list[Row]] = {}
        self.model_class: dict[str, str] = {}
        for r in sorted(rows("sdtm_model_2-0_variables.csv"), key=lambda r: int(r["order"])):
            key = ("", r["dataset"]) if r["dataset"] else (class_name(r["class"]), "")
            if not any(x["name"] == r["name"] for x in self.model.setdefault(key, [])):
                self.model[key].append(r)
            if r["dataset"] and r["class"]:
                self.model_class[r["dataset"]] = class_name(r["class"])
        self.wildcards = {r["name"] for (cls, _), rs in self.model.items() if cls for r in rs if r["name"][:2] == "--"}

    def known(self, domain: str) -> bool:
        """Whether a domain is one of the standard, so not custom."""
        return domain in self.datasets or ("", domain) in self.model

    def label(self, domain: str) -> str:
        return self.datasets.get(domain, {}).get("label", "")

    def class_of(self, d: Dataset) -> str:
        """Return the class of a dataset as rules write it, "" if it cannot be told.

        From the standard's table where the domain is in it; else by its topic variable (SDTMIG 3.4 §2.6).
        """
        domain = d.whole
        for name in (domain, d.suffix):
            if name in self.datasets:
                return class_name(self.datasets[name]["class"])
            if name in self.model_class:
                return self.model_class[name]
        if d.supplemental or "QNAM" in d.columns:
            return "RELATIONSHIP"
        for prefix in dict.fromkeys((d.domain, d.prefix)):
            for topic, cls in (("TERM", "EVENTS"), ("TRT", "INTERVENTIONS"), ("TESTCD", "FINDINGS")):
                if prefix and f"{prefix}{topic}" in d.columns:
                    return "FINDINGS ABOUT" if cls == "FINDINGS" and f"{prefix}OBJ" in d.columns else cls
        return ""

    def structure_of(self, d: Dataset) -> str:
        """Return the ADaM structure of a dataset, as rules about ADaM name it."""
        if d.name == "ADSL":
            return "ADAM SUBJECT LEVEL ANALYSIS DATASET"
        if "PARAMCD" in d.columns:
            return "BASIC DATA STRUCTURE"
        if any(v.endswith(("TERM", "TRT", "DECOD")) for v in d.columns):
            return "OCCURRENCE DATA STRUCTURE"
        return "ADAM OTHER"

    def _table_name(self, d: Dataset) -> str:
        """Return the name under which a dataset stands in the tables."""
        if d.supplemental:
            return "SUPPQUAL"
        return d.suffix or (d.whole[2:] if d.whole.startswith("AP") and len(d.whole) > 2 else d.whole)

    def _observed(self, cls: str) -> tuple[list[Row], list[Row], list[Row]]:
        """Return identifiers, variables of the class, and timing variables of the model."""
        general = self.model[("GENERAL OBSERVATIONS", "")]
        middle = self.model.get((cls, ""), [])
        if cls == "FINDINGS ABOUT":
            findings = self.model[("FINDINGS", "")]
            at = next(i for i, r in enumerate(findings) if r["name"] == "--TEST") + 1
            middle = [*findings[:at], *middle, *findings[at:]]
        identifiers = [r for r in general if r["role"] == "Identifier"]
        return identifiers, middle, [r for r in general if r["role"] == "Timing"]

    def _of_persons(self, identifiers: list[Row], d: Dataset) -> list[Row]:
        """Return identifiers as a dataset about associated persons has them: APID and its like for USUBJID."""
        if not d.associated and not d.whole.startswith("AP"):
            return identifiers
        more = [*identifiers, *self.model[("ASSOCIATED PERSONS", "")]]
        return sorted((r for r in more if r["name"] != "USUBJID"), key=lambda r: int(r["order"]))

    def model_variables(self, d: Dataset) -> list[Row]:
        """Return the variables that the model allows in a dataset, in its order, `--` replaced."""
        name, cls = self._table_name(d), self.class_of(d)
        if cls in OBSERVATIONS:
            identifiers, middle, timing = self._observed(cls)
            found = [*self._of_persons(identifiers, d), *middle, *timing]
        else:
            found = self.model.get(("", name)) or self.variables.get(name, [])
            found = self._of_persons(found, d)
        return _expanded(found, d.suffix or name)

    def guide_variables(self, d: Dataset) -> list[Row]:
        """Return the variables of the guide and, for observations, of the model, in the order of both."""
        name, cls = self._table_name(d), self.class_of(d)
        guide = _expanded(self.variables.get(name, []), d.suffix or name)
        if cls not in OBSERVATIONS:
            return guide or self.model_variables(d)
        identifiers, middle, timing = self._observed(cls)
        merged = {r["name"]: r for r in _expanded(self._of_persons(identifiers, d), d.suffix or name)}
        body = {r["name"]: r for r in _expanded(middle, d.suffix or name)}
        end = {r["name"]: r for r in _expanded(timing, d.suffix or name)}
        for r in guide:
            part = next((p for p in (merged, body, end) if r["name"] in p), None)
            if part is None:
                part = {"Identifier": merged, "Timing": end}.get(r["role"], body)
            part[r["name"]] = r
        return [*merged.values(), *body.values(), *end.values()]

    def core(self, d: Dataset, core: str) -> list[str]:
        """Return the variables of a dataset that are Req, Exp or Perm; what the guide does not know is Perm."""
        return [r["name"] for r in self.guide_variables(d) if r.get("core", "Perm") == core]

    def names(self, domain: str) -> set[str]:
        """Return all variable names that the guide or the model has for a domain."""
        return _names(self, domain)


@lru_cache(maxsize=512)
def _names(library: Library, domain: str) -> set[str]:
    found = {r["name"] for r in library.variables.get(domain, [])}
    found |= {r["name"] for r in library.model.get(("", domain), [])}
    cls = class_name(library.datasets.get(domain, {}).get("class", ""))
    if cls in OBSERVATIONS:
        found |= {r["name"].replace("--", domain) for part in library._observed(cls) for r in part}
    return found


def _expanded(found: Iterable[Row], domain: str) -> list[Row]:
    return [{**r, "name": r["name"].replace("--", domain)} for r in found]


@lru_cache(maxsize=1)
def library() -> Library:
    """Return the tables, read once."""
    return Library()
