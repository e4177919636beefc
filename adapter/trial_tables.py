"""The rows of a trial's CSV files: one model per file, its columns are the fields, an empty cell takes the default."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, StringConstraints

from adapter.trial_models import ArmCode, Code8, Id, Label40, Part, Text, Words, about


def _whole(cell: object) -> object:
    return int(cell) if isinstance(cell, str) and re.fullmatch(r"[+-]?\d+", cell) else cell


def _split(cell: object) -> object:
    return tuple(w.strip() for w in cell.split(";") if w.strip()) if isinstance(cell, str) else cell


Whole = Annotated[int, BeforeValidator(_whole)]
Cells = Annotated[Words, BeforeValidator(_split)]
DispositionGroup = Literal[
    "intolerance", "withdrawal", "relapse", "investigator", "death", "lost", "completed", "other"
]
Text200 = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Visit(Part):
    """visits.csv: a planned visit (TV), and the target of an analysis visit."""

    key: ClassVar[str] = "VISITNUM"
    VISITNUM: Whole = about("Visit number; unscheduled visits lie between two of them")
    VISIT: Text = about("Visit name")
    ARMCD: ArmCode | None = about("Arm; absent = all arms", None)
    anchor: Literal["consent", "reference_start", "transplant"] = about(
        "What target_day counts from: consent and transplant as days after it, reference_start as a study day"
    )
    target_day: Whole = about("Planned day, counted from the anchor")
    days_before: Whole = about("Days the visit may be early")
    days_after: Whole = about("Days the visit may be late")
    extent: Literal["day", "window"] = about(
        "What the visit takes up (SV): the one day nearest to its target, or every contact of its window", "day"
    )
    epoch: Text = about("EPOCH in which it is planned; a visit whose day lies in another one is not due")
    AVISIT: str = about("Name of the analysis visit whose target this is; empty = not one", "")
    procedures: Cells = about("What is planned at the visit", ())
    TVSTRL: Text200 = about("Rule for the start of the visit")
    TVENRL: str = about("Rule for its end", "")


class EntryCriterion(Part):
    """criteria.csv: an eligibility criterion (TI, IE)."""

    key: ClassVar[str] = "IETESTCD"
    IETESTCD: Code8 = about("Short name, at most 8 characters")
    IETEST: Text200 = about("The criterion, shortened by hand to 200 bytes")
    IECAT: Literal["INCLUSION", "EXCLUSION"] = about("Inclusion or exclusion")
    TIVERS: Text = about("Protocol version the criterion belongs to")
    decided: Literal["computed", "log", "computed_then_log"] = about(
        "computed from the data; read from the log or a Questionnaire; or computed where the data can, else the log"
    )
    rule: Literal["", "age", "transplant", "performance", "consent", "organ_function"] = about(
        "The computation, with the limits in [eligibility]", ""
    )
    protocol: Text = about("Section of the protocol")


class Product(Part):
    """products.csv: a product under study, how it is recognised, and how EX names it."""

    key: ClassVar[str] = "id"
    id: Id = about("Id used in this definition")
    system: str = about("Code system of the product's code", "")
    code: str = about("The product's code", "")
    text: Cells = about("Texts that name the product where it has no code; case does not matter", ())
    name: Text = about("EXTRT")
    dose_form: Text = about("EXDOSFRM")
    route: Text = about("EXROUTE")
    frequency: Text = about("EXDOSFRQ of one administration")
    schedule: Text = about("CDISC FREQ of the planned course (TS DOSFRQ)")
    passage: Whole | None = about("Passage of the cells", None)
    source: str = about("What the product is made from", "")
    genetic_modification: Literal["", "Y", "N"] = about("Genetically modified", "")
    manufacturer: str = about("Who makes it", "")


class Disposition(Part):
    """dispositions.csv: a reason as the log spells it, and its CDISC term."""

    key: ClassVar[str] = "reason"
    reason: Text = about("Reason in the log; case and outer blanks do not matter")
    DSDECOD: Text = about("Term of NCOMPLT")
    group: Literal["intolerance", "withdrawal", "relapse", "investigator", "death", "lost", "completed", "other"] = (
        about("Kind of reason, for the rules on treatment after discontinuation")
    )


class SummaryParameter(Part):
    """ts.csv: a TS record. `@run.x` is computed from the data, `@a.b` is a setting; `{a.b}` is a setting in a text."""

    key: ClassVar[str] = "id"
    TSPARMCD: Code8 = about("Short name, of TSPARMCD")
    TSSEQ: Whole = about("Number within the parameter, from 1")
    TSGRPID: str = about("Group", "")
    TSPARM: Label40 = about("Name, of TSPARM")
    TSVAL: str = about("Value", "")
    TSVALNF: Literal["", "NI", "NA", "UNK", "NASK", "PINF", "NINF", "OTH", "MSK"] = about("Null flavour", "")
    TSVALCD: str = about("Code of the value; empty with CDISC CT = looked up once the value is known", "")
    TSVCDREF: str = about("Terminology of the code", "")
    TSVCDVER: str = about("Version of that terminology; `@` and `{}` as in TSVAL", "")

    @property
    def id(self) -> str:
        return f"{self.TSPARMCD}-{self.TSSEQ}"


class ScheduleRow(Part):
    """schedule.csv: how often something is measured in a phase of the trial (protocol §9)."""

    key: ClassVar[str] = "id"
    phase: Id = about("Phase of the table in §9")
    part: Id = about("Part of that phase, where the frequency changes inside it")
    from_month: Whole | None = about("First month after transplant of the part, 1 = the first", None)
    to_month: Whole | None = about("Last month of the part", None)
    procedure: Id = about("What is measured")
    frequency: Text = about("As the protocol says it")
    times: Whole | None = about("At least this many …", None)
    days: Whole | None = about("… in each stretch of this many days; both absent = as needed", None)
    months: Cells = about("Or: at these months after transplant", ())

    @property
    def id(self) -> str:
        return f"{self.part}-{self.procedure}"


class Decision(Part):
    """decisions.csv: a numbered decision where the protocol is silent, and the settings that carry it."""

    key: ClassVar[str] = "number"
    number: Annotated[str, StringConstraints(pattern=r"^A-\d{2}$")] = about("Number")
    text: Text = about("The decision in short, as define.xml comments and the guides print it")
    settings: Cells = about("Dotted names of the settings that carry it", ())


TABLES: dict[str, tuple[str, type[Part], bool]] = {
    "visits.csv": ("visits", Visit, True),
    "criteria.csv": ("entry_criteria", EntryCriterion, True),
    "products.csv": ("products", Product, True),
    "dispositions.csv": ("dispositions", Disposition, False),
    "ts.csv": ("summary", SummaryParameter, False),
    "schedule.csv": ("schedule", ScheduleRow, False),
    "decisions.csv": ("decisions", Decision, False),
}
"""File → (name in the Trial, row model, must be there)."""

RUN_SOURCES = {
    "run.first_consent": "date of the first informed consent",
    "run.last_contact": "last known contact of the last subject; empty with a null flavour while the study is ongoing",
    "run.actual_subjects": "number of randomised subjects",
    "run.data_cut": "date of the data cut",
    "run.ongoing": "Y or N: some subject has no end of study participation at the data cut",
    "run.meddra": "version of MedDRA that the sponsor's coding states (--coding); without one there is no such record",
    "run.whodrug": "version of WHODrug, likewise",
}
"""What `@run.x` in ts.csv may name."""


def sources(text: str) -> list[str]:
    """Return the names that a ts.csv text refers to: all of `@name`, or each `{name}` inside it."""
    return [text[1:]] if text.startswith("@") else re.findall(r"\{([^{}]+)\}", text)
