"""Safety signals and listings of a finished build (protocol §7), each with its source records.

    found = signals_of("out", "NAME")
    found.suspended        # whether a suspension signal exists

Reads SDTM datasets and OUT/trace only, so that a package without ADaM can be watched too; what ADLB says of results that
are physiologically impossible is heeded where it is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from adapter.derive import signals as rules
from adapter.derive.days import day_number
from adapter.derive.toxicity import Rule
from adapter.errors import InputError
from adapter.knowledge import toxicity_rules
from adapter.output import MANIFEST
from adapter.package import Package
from adapter.trial import Trial

SUSPENSION, MODIFICATION = "SUSPENSION", "DOSE MODIFICATION"
REACTION, UNRESOLVED, LABORATORY = "INFUSION REACTION", "UNRESOLVED EVENT", "LABORATORY CANDIDATE"
KINDS = (SUSPENSION, MODIFICATION, REACTION, UNRESOLVED, LABORATORY)
EXPECTED = "expected"
LOOKED_AT = {
    "AE": "adverse events",
    "EX": "doses of the trial product, and what follows them",
    "PR": "procedures, such as ventilation",
    "CM": "drugs given against reactions",
    "LB": "laboratory results",
}
"""Datasets without which something is not looked for; DM is always needed."""
READ = ("DM", *LOOKED_AT, "ADLB", "ADSL")


@dataclass(frozen=True, slots=True)
class Source:
    """One line of input behind a record: keyed_id leads to the hospital's own record with the site's link files."""

    dataset: str
    seq: int | None
    resource: str
    keyed_id: str
    version: str
    file: str
    line: int


@dataclass(slots=True)
class Signal:
    """One finding. sure: false where a fact that is not known leaves it open; remark says which.

    seq is None in DM. dose_seq, dose_date: EXSEQ and start of the dose it follows; days_since_dose: its date less that of
    the dose, None where one is not known to the day. expected: of the underlying disease.
    """

    kind: str
    rule: str
    sure: bool
    expected: bool
    usubjid: str
    arm: str
    dataset: str
    seq: int | None
    date: str
    what: str
    dose_seq: int | None
    dose_date: str
    days_since_dose: int | None
    remark: str
    sources: list[Source] = field(default_factory=list)


@dataclass(slots=True)
class Signals:
    """All findings of a package, by kind, subject and date.

    rules: kind -> the trial's rule in words. missing: what was not looked for, and why; empty: what has no record at all.
    """

    study: str
    data_cut: str
    found: list[Signal]
    missing: list[str]
    empty: list[str]
    rules: dict[str, str]

    @property
    def suspended(self) -> bool:
        """Whether a suspension signal exists; one that is not sure counts."""
        return any(s.kind == SUSPENSION for s in self.found)


def signals_of(out: Path | str, trial: str) -> Signals:
    """Return the signals of the build in folder `out`.

    Raises InputError where it is no build of that trial, or not whole: silence must mean that nothing was found.
    """
    package = Package(out, trial)
    counts = _check_whole(package)
    package.frame("DM")
    absent = [n for n in LOOKED_AT if n not in package.files]
    missing = [f"{n} is not in the package: no {LOOKED_AT[n]}" for n in absent if n not in counts]
    empty = [f"{n} has no records: no {LOOKED_AT[n]}" for n in LOOKED_AT if counts.get(n) == 0]
    arms = package.columns("DM", ["USUBJID", "ARMCD"]).set_index("USUBJID")["ARMCD"].to_dict()
    found = []
    for kind, frame in _findings(package):
        for r in frame.sort_values(["USUBJID", "DTC", "DATASET", "SEQ", "RULE"], kind="stable").to_dict("records"):
            found.append(_signal(package, kind, {str(k): v for k, v in r.items()}, arms))
    cut = str(package.manifest.get("data_cut", ""))
    return Signals(package.trial.study.id, cut, found, missing, empty, rules_in_words(package.trial))


def _check_whole(p: Package) -> dict[str, int]:
    """Return the number of records of each dataset; raise where one that is read is not as the build left it."""
    try:
        outputs = [(p.out / o["file"], int(o["bytes"])) for o in p.manifest["outputs"]]
        counts = {str(n): int(c) for n, c in p.manifest["records"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise InputError(f"{p.out / MANIFEST} is no manifest of a build: {e!r}") from e
    for path, size in outputs:
        if path.stem.upper() in READ:
            there = path.stat().st_size if path.is_file() else None
            if there != size:
                what = "missing" if there is None else f"{there} bytes long, not {size}"
                raise InputError(
                    f"{p.out} is not as the build left it: {path.relative_to(p.out)} is {what}; build again"
                )
    return counts


def rules_in_words(trial: Trial) -> dict[str, str]:
    """Return the trial's own rule of each kind, for people."""
    s = trial.safety
    stop = s.suspension
    why = f" for {' or '.join(stop.ventilation_reasons)}" if stop.ventilation_reasons else ""
    ends = [f"{stop.ventilation_category.lower()}{why}"] if stop.ventilation_category else []
    ends += [f"a related event of grade {stop.grade} or higher", *(["death"] if stop.death else [])]
    drugs = "".join(f", {trial.medications[m].label.lower()} given" for m in s.reaction_medications)
    return {
        SUSPENSION: f"within {stop.days} days after a dose: {', '.join(ends)}",
        MODIFICATION: f"a related event of grade {s.modification_grade} or higher",
        REACTION: f"within {s.reaction_hours} hours after a dose: an event{drugs}",
        UNRESOLVED: "no end, and no outcome that ends it",
        LABORATORY: f"the worst grade (CTCAE {trial.standards.ctcae}) after first treatment, of at least "
        f"{s.toxicity.candidate_grade} and above baseline",
    }


def _findings(p: Package) -> Iterator[tuple[str, pd.DataFrame]]:
    s, defined = p.trial.safety, p.trial.medications
    named = p.trial.by_key("products")  # arms name products by key, EXTRT by name
    products = {named[t.product].name for a in p.trial.arms.values() for t in a.treatment.values() if t.product}
    doses = p.columns("EX", ["USUBJID", "EXTRT", "EXSTDTC", "EXENDTC"], ["EXSEQ"])
    doses = doses[doses["EXTRT"].isin(products)].reset_index(drop=True)
    events = ["USUBJID", "AETERM", "AEDECOD", "AEREL", "AETOXGR", "AEOUT", "AESLIFE", "AESDTH"]
    ae = p.columns("AE", [*events, "AESTDTC", "AEENDTC", "AEENRTPT"], ["AESEQ"])
    pr = p.columns("PR", ["USUBJID", "PRTRT", "PRDECOD", "PRCAT", "PRINDC", "PRSTDTC"], ["PRSEQ"])
    cm = p.columns("CM", ["USUBJID", "CMTRT", "CMDECOD", "CMCAT", "CMSTDTC"], ["CMSEQ"])
    stop = s.suspension
    suspension = [
        rules.find_ventilation(pr, doses, stop.ventilation_category, stop.ventilation_reasons, stop.days),
        rules.find_severe_toxicity(ae, doses, s.related, stop.grade, stop.days),
    ]
    if stop.death:
        suspension.append(rules.find_deaths(_people(p), doses, stop.days))
    yield SUSPENSION, pd.concat(suspension, ignore_index=True)
    yield MODIFICATION, rules.find_modifications(ae, doses, s.related, s.modification_grade)
    groups = {m: (defined[m].category, defined[m].substances) for m in s.reaction_medications}
    yield REACTION, rules.find_reactions(ae, cm, doses, groups, s.reaction_hours)
    yield UNRESOLVED, rules.find_unresolved(ae)
    grades = {"graded": s.toxicity.graded, EXPECTED: s.toxicity.expected}
    table: tuple[Rule, ...] = toxicity_rules(p.trial)
    untimed = p.trial.reference_dates.untimed_at_baseline
    yield LABORATORY, rules.find_laboratory(_results(p), table, grades, s.toxicity.candidate_grade, untimed)


def _people(p: Package) -> pd.DataFrame:
    """Return DM with LASTALIVE: a death of unknown date is not before the subject was last known alive (ADSL, else DM)."""
    dm = p.columns("DM", ["USUBJID", "DTHFL", "DTHDTC", "RFSTDTC"])
    alive = p.columns("ADSL", ["USUBJID"], ["LSTALVDT"])
    day = pd.to_datetime(alive["LSTALVDT"], unit="D", origin="1960-01-01").dt.strftime("%Y-%m-%d")
    known = {u: d for u, d in zip(alive["USUBJID"], day, strict=True) if not pd.isna(d)}
    last = [known.get(u, start) for u, start in zip(dm["USUBJID"], dm["RFSTDTC"], strict=True)]
    return dm.assign(LASTALIVE=pd.Series(last, index=dm.index, dtype="str"))


def _results(p: Package) -> pd.DataFrame:
    """Return LB with RFSTDTC, without the results that ADLB excludes with a reason (EXCLREAS)."""
    text = ["USUBJID", "LBTESTCD", "LBTEST", "LBSTRESC", "LBSTRESU", "LBSPEC", "LBLOBXFL", "LBDTC"]
    lb = p.columns("LB", text, ["LBSEQ", "LBSTRESN", "LBSTNRLO", "LBSTNRHI"])
    start = p.columns("DM", ["USUBJID", "RFSTDTC"]).set_index("USUBJID")["RFSTDTC"]
    lb["RFSTDTC"] = lb["USUBJID"].map(start).fillna("").astype("str")
    out = p.columns("ADLB", ["USUBJID", "EXCLREAS"], ["LBSEQ"])
    out = out.loc[out["EXCLREAS"] != "", ["USUBJID", "LBSEQ"]]
    odd = pd.MultiIndex.from_frame(lb[["USUBJID", "LBSEQ"]]).isin(pd.MultiIndex.from_frame(out))
    return lb[~odd].reset_index(drop=True)


def _signal(p: Package, kind: str, r: dict[str, Any], arms: dict[Any, Any]) -> Signal:
    expected = kind == LABORATORY and r["RULE"] == EXPECTED
    seq, dose = (None if pd.isna(r[c]) else int(r[c]) for c in ("SEQ", "DOSESEQ"))
    made = Signal(
        kind,
        "expected, underlying disease" if expected else str(r["RULE"]),
        bool(r["SURE"]),
        expected,
        str(r["USUBJID"]),
        str(arms.get(r["USUBJID"], "")),
        str(r["DATASET"]),
        seq,
        str(r["DTC"]),
        str(r["WHAT"]),
        dose,
        str(r["DOSEDTC"]),
        _days_since(str(r["DTC"]), str(r["DOSEDTC"])),
        str(r["REMARK"]),
    )
    made.sources = list(_sources(p, made.usubjid, made.dataset, seq, r["VARIABLES"].split(",")))
    if dose is not None:
        made.sources += _sources(p, made.usubjid, "EX", dose, ["EXTRT", "EXSTDTC"])
    return made


def _days_since(dtc: str, dose: str) -> int | None:
    day, given = day_number(pd.Series([dtc, dose], dtype="str"))
    return None if pd.isna(day) or pd.isna(given) else int(day - given)


def _sources(p: Package, usubjid: str, dataset: str, seq: int | None, variables: list[str]) -> Iterator[Source]:
    """Yield the lines that the named variables of a record were read from, each line once."""
    rows = p.rows(dataset, usubjid)
    if not len(rows):
        return
    mine = rows[rows["VARIABLE"].isin(variables)] if seq is None else rows[rows["SEQ"] == seq]
    if seq is not None and mine["VARIABLE"].isin(variables).any():
        mine = mine[mine["VARIABLE"].isin(variables)]
    seen = set()
    for r in mine.to_dict("records"):
        version = "" if pd.isna(r["VERSION"]) else str(r["VERSION"])
        file = p.inputs.get(int(r["FILE"]), str(r["FILE"]))
        made = Source(dataset, seq, str(r["RESOURCE"]), str(r["KEYED_ID"]), version, file, int(r["LINE"]))
        if made not in seen:
            seen.add(made)
            yield made
