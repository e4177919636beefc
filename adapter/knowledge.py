"""The code tables, units and terminology of one build: shipped, then the trial's, then the site's, later ones winning."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from adapter.codes import CodeTable, load_codes
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
)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """`codes` by table name (the CSV's name), units, and controlled terminology.

    codes["products"]: what the site's own codes, texts and lots say about the trial's products; empty unless it says.
    """

    codes: dict[str, CodeTable]
    units: UnitTable
    terminology: Terminology


def load_knowledge(trial: Trial, site: Path | None) -> Knowledge:
    """Return the knowledge of a trial at a site. Raises InputError for a broken table, with file and line."""
    folders = [files("mappings.codes"), trial.folder, *([site] if site is not None else [])]
    codes = {name: load_codes(name, *folders) for name in TABLES}
    if site is not None:
        codes = with_site_codes(codes, site)
    return Knowledge(
        codes | {"products": site_products(site, trial.by_key("products"))},
        UnitTable.load(*folders),
        Terminology.load(*folders),
    )
