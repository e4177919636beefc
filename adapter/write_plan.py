"""Which tasks write the datasets of a build: one per dataset and format, the largest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapter.assemble import subject_order
from adapter.output import OutputFolder
from adapter.registry import shipped
from adapter.spec import Dataset
from adapter.subject_tasks import MapReceipt
from adapter.tasks import Context, Setting
from adapter.write_task import AssembleTask
from adapter.writers.dataset_json import check_metadata
from adapter.writers.define_model import Define
from adapter.writers.description import Description, describe
from adapter.writers.formats import SUFFIXES

JSON_FORMATS = ("dataset-json", "ndjson")
FOLDERS = {"Tabulation": "sdtm", "Analysis": "adam"}
"""Purpose of a dataset -> the folder of OUT in which it stands."""


def folder_of(d: Dataset) -> str:
    return FOLDERS[d.purpose]


class WritePlan:
    """Collects the tasks of a build. `context_path`: where workers read `context`; `formats` in order of preference."""

    def __init__(
        self,
        output: OutputFolder,
        setting: Setting,
        context: Context,
        context_path: str,
        defines: Sequence[Define],
        formats: Sequence[str],
    ) -> None:
        self.output = output
        self.setting = setting
        self.context = context
        self.path = context_path
        self.formats = formats
        self.described: dict[str, Description] = {}
        for define in defines:
            for group in define.item_groups:
                self.described[group.name] = describe(define, group, self._rows(group.name))
                if any(f in formats for f in JSON_FORMATS):
                    check_metadata(self.described[group.name])

    def _rows(self, name: str) -> int:
        if name in self.context.summaries:
            return self.context.summaries[name].rows
        return self.context.supplement_summaries[name.removeprefix("SUPP")].rows

    def tasks(self, receipts: Sequence[MapReceipt], reference: Mapping[str, str]) -> list[AssembleTask]:
        """Return the tasks. reference: the part of each dataset without subjects. A dataset without records has no file."""
        found: list[AssembleTask] = []
        for d in shipped():
            if d.reference:
                rows = self.context.summaries[d.name].rows
                if rows:
                    found += self._of(d.name, False, (reference[d.name],), ((0, rows),))
                continue
            some = [r for r in receipts if d.name in r.parts]
            if not some:
                continue
            order = tuple(subject_order([r.summaries[d.name].subjects for r in some]))
            more = [r for r in receipts if d.name in r.extras]
            extra_order = tuple(subject_order([r.extra_counts[d.name] for r in more]))
            parts, extras = tuple(r.parts[d.name] for r in some), tuple(r.extras[d.name] for r in more)
            folder = folder_of(d)
            found += self._of(d.name, False, parts, order, extras, extra_order, trace=True, folder=folder)
            supp = [r for r in receipts if d.name in r.supplements]
            if supp:
                order = tuple(subject_order([r.supplement_summaries[d.name].subjects for r in supp]))
                found += self._of(d.name, True, tuple(r.supplements[d.name] for r in supp), order)
        return sorted(found, key=lambda t: -t.description.records)

    def _of(
        self,
        name: str,
        supplement: bool,
        parts: tuple[str, ...],
        order: tuple[tuple[int, int], ...],
        extras: tuple[str, ...] = (),
        extra_order: tuple[tuple[int, int], ...] = (),
        trace: bool = False,
        folder: str = FOLDERS["Tabulation"],
    ) -> list[AssembleTask]:
        """Return the tasks of one dataset, one per format; the first one writes the trace too."""
        whole = f"SUPP{name}" if supplement else name
        made = []
        for i, form in enumerate(self.formats):
            path = str(self.output.path(f"{folder}/{whole.lower()}{SUFFIXES[form]}"))
            where = str(self.output.path(f"trace/{whole.lower()}.parquet")) if trace and i == 0 else ""
            made.append(
                AssembleTask(
                    f"{whole} as {form}", name, supplement, parts, order, extras, extra_order, self.setting, self.path,
                    self.described[whole], form, path, where,
                )
            )  # fmt: skip
        return made
