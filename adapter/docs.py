"""Generates the reference pages of docs/: datasets, reasons, coverage of the HL7 guide, hospital reality, trial.

    python -m adapter.docs DIR

Everything here is a pure function of the declarations and of the tables in schemas/; only `main` writes. A test keeps
the pages in docs/ in step.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from adapter.define import comment_of, predecessor_of
from adapter.errors import InputError
from adapter.files import write_whole
from adapter.reasons import REASONS
from adapter.registry import shipped
from adapter.spec import Call, Const, Dataset, Ref, Setting, Variable
from adapter.spec import Path as Read
from adapter.trial_docs import trial_reference

__all__ = ["PAGES", "dataset_reference", "hospital_reality", "ig_coverage", "main", "reason_reference"]

GENERATED = "This page is generated (`python -m adapter.docs docs`); a test keeps it in step."
LONGEST_PATH = 120
KINDS = {
    "drop": "**Counted only.** Nothing is wrong with the resource; the manifest counts it under the reason.",
    "reject": "**Rejected.** Listed in `rejects.ndjson` by file and line, without content; the build ends with code 3.",
    "issue": "**Used, but a human should look.** One line in `data-issues.csv`.",
}


def dataset_reference() -> str:
    """Return docs/datasets.md: every dataset with every variable, from the declarations that make them."""
    found = sorted(shipped(), key=lambda d: d.name)
    text = [
        "# Datasets",
        GENERATED,
        "One declaration per variable makes its values, its XPT attributes, its define.xml metadata, its trace and its "
        "row here. A `name` in a method is a setting of the trial definition (trial-definition.md). A permissible "
        "(Perm) variable that has no value in a delivery is left out; Req and Exp variables always stand.",
        _table(
            ("dataset", "label", "class", "one record per"),
            [
                (f"[{d.name}](#{d.name.lower()})", d.label, d.cls, d.structure.removeprefix("One record per "))
                for d in found
            ],
        ),
    ]
    return _page(text + [part for d in found for part in _dataset(d)])


def _dataset(d: Dataset) -> list[str]:
    heading = ("variable", "label", "type", "core", "codelist", "origin", "source or method")
    text = [f"## {d.name}", f"{d.label}. {d.structure}. Keys: {', '.join(d.keys)}."]
    if d.needs:
        text.append(f"Made after {', '.join(d.needs)}.")
    text.append(_table(heading, [_variable(v) for v in d.main]))
    if d.supplemental:
        text += [f"Supplemental qualifiers (SUPP{d.name}):", _table(heading, [_variable(v) for v in d.supplemental])]
    if d.value_levels:
        levels = "; ".join(f"{w.variable} by {w.by}" for w in d.value_levels)
        text.append(f"Value-level metadata: {levels}.")
    return text


def _variable(v: Variable) -> tuple[str, ...]:
    origin = f"{v.origin.type} ({v.origin.source})" if v.origin.source else v.origin.type
    return (v.name, v.label, v.type, v.core, v.codelist or v.dictionary or "", origin, source_of(v))


def source_of(v: Variable) -> str:
    """Return in words where a variable's value comes from; settings by their names."""
    parts = []
    s = v.source
    if isinstance(s, Call):
        parts.append(s.method({k: f"`{x.name}`" if isinstance(x, Setting) else x for k, x in s.settings.items()}))
    elif isinstance(s, Const):
        parts.append(f"Always {s.value}." if s.value else "Left empty.")
    elif isinstance(s, Setting):
        parts.append(f"Trial definition: `{s.name}`.")
    elif isinstance(s, Ref):
        parts.append(f"Equal to {s.dataset}.{s.variable}.")
    elif v.origin.type == "Predecessor":
        parts.append(f"Equal to {predecessor_of(v)}.")
    return " ".join(filter(None, [*parts, comment_of(v)]))


def reason_reference() -> str:
    """Return docs/reasons.md: every reason why something that came in was not used, or needs a human."""
    text = ["# Reasons", GENERATED, "Nothing that comes in is lost silently: read = used + dropped by reason."]
    for kind, meaning in KINDS.items():
        rows = [(f"`{code}`", r.meaning) for code, r in sorted(REASONS.items()) if r.kind == kind]
        text += [f"## {kind}", meaning, _table(("reason", "meaning"), rows)]
    return _page(text)


class Coverage(NamedTuple):
    """One row of the guide and what becomes of it: status is executed, corrected or out of scope."""

    row: Mapping[str, str]
    status: str
    reason: str


def coverage() -> list[Coverage]:
    """Return what becomes of every row of the HL7 "CDISC to FHIR Joint Mapping" guide in the domains that are built.

    A declared variable that is read from the same element is executed, one that is made otherwise corrected. The table
    of reasons says why a row is out of scope (by its number, path, variable, carrier of the record, or resource) and names slips.
    """
    by_name = {d.name: d for d in shipped()}
    known = _csv("fhir_cdisc_ig_reasons.csv")
    return [_covered(row, by_name, known) for row in _csv("fhir_cdisc_ig.csv")]


def _covered(row: Mapping[str, str], datasets: Mapping[str, Dataset], known: Sequence[Mapping[str, str]]) -> Coverage:
    path, short = row["fhir_path"], row["sdtm_variable"].rstrip("*").rpartition(".")[2]
    dataset = datasets["LB" if row["domain"] == "LAB" else row["domain"]]
    variables = (*dataset.variables, *datasets["DM"].variables)
    declared = next((v for v in variables if v.name == short), None)
    slips = [r["reason"] for r in known if r["kind"] == "slip" and r["name"] in path]
    about = {"path": path, "variable": short, "carrier": path.split(".")[0], "resource": row["fhir_resource"]}
    about["row"] = row["row"]

    def given(*kinds: str) -> Mapping[str, str] | None:
        for r in known:
            if r["kind"] in kinds and (r["name"] in path if r["kind"] == "path" else r["name"] == about[r["kind"]]):
                return r
        return None

    def said(status: str, reason: str) -> Coverage:
        status = "corrected" if slips and status == "executed" else status
        return Coverage(row, status, f"{reason} ({'; '.join(slips)})" if slips else reason)

    if ruled := given("row") or given("carrier") or given("path", "variable"):
        return said(ruled["status"], ruled["reason"])
    for v in [declared] if declared else [] if short else variables:
        if path and reads(v, path, row["fhir_resource"]):
            return said("executed", f"{v.name}: {source_of(v)}")
    if declared:
        gap = "The guide leaves it open. " if row["mapped"] == "GAP" else ""
        return said("corrected", f"{gap}{declared.name}: {source_of(declared)}")
    if ruled := given("resource"):
        return said(ruled["status"], ruled["reason"])
    if row["domain"] == "LAB":
        return said("out of scope", "a field of the laboratory transfer file that no SDTM variable holds")
    if row["mapped"] == "GAP":
        return said("out of scope", "the guide itself leaves it open")
    return said("out of scope", "a permissible variable or qualifier that this version does not produce")


def reads(v: Variable, path: str, resource: str) -> bool:
    """Return whether the variable is read from an element of the guide's FHIRPath.

    resource: where the path leads, through references.
    """
    if not isinstance(v.source, Read):
        return False
    for one in re.sub(r"\.(?:where|extension)\s*\([^)]*\)+", "", path).split("|"):
        steps = one.strip().split(".resolve().")[-1].split(".")
        steps = steps if steps[0] == resource else [resource, *steps]
        for fhir in v.source.fhir:
            wanted = fhir.split(".")
            if len(steps) >= len(wanted) and all(map(_same_step, wanted, steps)):
                return True
    return False


def _same_step(ours: str, theirs: str) -> bool:
    stem = ours.removesuffix("[x]")
    return re.fullmatch(rf"{stem}[A-Z]\w*", theirs) is not None if ours.endswith("[x]") else ours == theirs


def ig_coverage() -> str:
    """Return docs/ig-coverage.md: the rows of the HL7 mapping guide, each executed, corrected or out of scope."""
    found = coverage()
    counts = Counter((c.row["domain"], c.status) for c in found)
    statuses = ("executed", "corrected", "out of scope")
    domains = sorted({c.row["domain"] for c in found})
    text = [
        "# Coverage of the HL7 mapping guide",
        GENERATED,
        'The rows of the HL7 "CDISC to FHIR Joint Mapping Implementation Guide" (SDTMIG 3.2 era) for the domains that '
        "this version builds. *Executed*: read from that element. *Corrected*: the variable is made in another way, "
        "which is said. *Out of scope*: not made, with the reason. EX, EC and TS have no rows in the guide.",
        _table(("domain", *statuses), [(d, *(str(counts[d, s]) for s in statuses)) for d in domains]),
    ]
    heading = ("row", "variable", "FHIR path in the guide", "status", "how, or why not")
    for d in domains:
        rows = [
            (
                c.row["row"],
                c.row["sdtm_variable"] or c.row["cdash_or_lab_variable"],
                _short(c.row["fhir_path"]),
                c.status,
                c.reason,
            )
            for c in found
            if c.row["domain"] == d
        ]
        text += [f"## {d}", _table(heading, rows)]
    return _page(text)


PARTS = {
    "point": ("What hospitals send", "Each is met in the wild."),
    "published": ("What others have run into", "Breakages of other programs, by the public reference of each."),
}


def hospital_reality() -> str:
    """Return docs/hospital-reality.md: what is met, what becomes of it, under which reason, and the tests that hold it."""
    rows = _csv("hospital_reality.csv")
    text = [
        "# Hospital reality",
        GENERATED,
        "The table itself is schemas/hospital_reality.csv. What each reason means stands in [reasons.md](reasons.md); the "
        "tests are below tests/. A dash: nothing is dropped or reported.",
    ]
    for part, (title, about) in PARTS.items():
        cells = [
            (
                r["point"],
                r["met"],
                r["answer"],
                _codes(r["reasons"].split()),
                "<br>".join(f"`{t.rpartition('/')[2]}`" for t in r["tests"].split()),
            )
            for r in rows
            if r["part"] == part
        ]
        text += [f"## {title}", about, _table(("point", "met", "answer", "reasons", "tests"), cells)]
    return _page(text)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(n if n == "-" else f"`{n}`" for n in names)


PAGES = {
    "datasets.md": dataset_reference,
    "reasons.md": reason_reference,
    "ig-coverage.md": ig_coverage,
    "hospital-reality.md": hospital_reality,
    "trial-definition.md": trial_reference,
}


def main(arguments: Sequence[str]) -> None:
    """Write all pages into a folder. Raises InputError where it does not exist."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        raise InputError(f"expected one folder to write to, found {' '.join(arguments) or 'nothing'}")
    for name, page in PAGES.items():
        write_whole(Path(arguments[0]) / name, page().encode())


def _short(path: str) -> str:
    """Return a FHIRPath as code, cut where a table has no room; the whole stands in schemas/fhir_cdisc_ig.csv."""
    cut = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]} …"
    return f"`{cut}`" if path else ""


def _csv(name: str) -> list[dict[str, str]]:
    text = files("schemas").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(StringIO(text, newline="")))


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _page(parts: Sequence[str]) -> str:
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
