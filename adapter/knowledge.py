"""The code tables, units and terminology of one build: shipped, then the trial's, then the site's, later ones winning."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from adapter.codes import CodeTable, load_codes
from adapter.derive.toxicity import KEY, Rule, rules_of
from adapter.dictionaries import Dictionaries, load_dictionaries
from adapter.site_codes import site_products, with_site_codes
from adapter.terminology import Terminology
from adapter.trial import Trial
from adapter.units import UnitTable

TABLES = (
    "observations",
    "drugs",
    "procedures",
    "routes",
    "doseforms",
    "frequencies",
    "demographics",
    "specimens",
    "names",
    "conditions",
    "judgements",
    "encounters",
)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """`codes` by table name (the CSV's name), units, and controlled terminology.

    dictionaries: the sponsor's coding (--coding); empty without it.
    codes["products"]: what the site's own codes, texts and lots say about the trial's products; empty unless it says.
    """

    codes: dict[str, CodeTable]
    units: UnitTable
    terminology: Terminology
    dictionaries: Dictionaries = field(default_factory=Dictionaries)


def load_knowledge(trial: Trial, site: Path | None, coding: Path | None = None) -> Knowledge:
    """Return the knowledge of a trial at a site, and the sponsor's coding (a folder).

    Raises InputError for a broken table, with file and line.
    """
    folders = [files("mappings.codes"), trial.folder, *([site] if site is not None else [])]
    codes = {name: load_codes(name, *folders) for name in TABLES}
    if site is not None:
        codes = with_site_codes(codes, site)
    codes["scales"] = load_codes("scales", *folders, key=("scale",))
    codes["toxicity"] = load_codes("toxicity", *folders, key=KEY)
    return Knowledge(
        codes | {"products": site_products(site, trial.by_key("products"))},
        UnitTable.load(*folders),
        Terminology.load(*folders),
        load_dictionaries(coding),
    )


def toxicity_rules(trial: Trial) -> tuple[Rule, ...]:
    """Return the CTCAE grades of laboratory results in the trial's version: shipped, then the trial's own rows."""
    table = load_codes("toxicity", files("mappings.codes"), trial.folder, key=KEY)
    return rules_of(table, trial.standards.ctcae)
