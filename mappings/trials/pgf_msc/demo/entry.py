"""A planned resource with the truth about it, which `known_answers` counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mappings.trials.pgf_msc.demo.fhir import Resource
from mappings.trials.pgf_msc.demo.people import Person


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource and what is true about it: whose it is, the site days it covers, what it counts as.

    `kind`: observation (a usable result), infusion (UC-MSC given), platelets, red-cells, treatment (G-CSF, rhTPO,
    TPO-RA given), fact (any other usable clinical fact), none (proves nothing: look-ups, requests, excluded records).
    """

    resource: Resource
    person: Person | None
    first: date | None = None
    last: date | None = None
    kind: str = "none"
