"""What a rule is run against: the package, the standard's tables, terminology; and the dataset at hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapter.check.dataset import Dataset
from adapter.check.define import Definition, Group
from adapter.check.library import Library, library
from adapter.check.package import Package
from adapter.ct_packages import Terms, terms


class Skip(Exception):
    """A rule does not apply to a dataset as the package is; the text says why."""


@dataclass(frozen=True)
class World:
    """One run. `ct` names the package of controlled terminology; `standard` is as rules name it."""

    package: Package
    standard: tuple[str, str] = ("SDTMIG", "3.4")
    ct: str = "sdtm_2025-03-28"
    library: Library = field(default_factory=library)

    @property
    def define(self) -> Definition | None:
        found: Definition | None = self.package.define
        return found

    @property
    def terms(self) -> Terms:
        return terms(self.ct)

    def defined(self, d: Dataset) -> Group:
        """Return what define.xml says of a dataset. Raises Skip where there is no document or nothing in it."""
        if self.define is None:
            raise Skip("there is no define.xml")
        group = self.define.group(d.name)
        if group is None:
            raise Skip(f"define.xml describes no dataset {d.name}")
        return group
