"""The page docs/demo.md: what is planted in the demo hospital, and what a right build makes of it."""

from __future__ import annotations

from collections.abc import Iterable

from mappings.trials.pgf_msc.demo.planted import KNOWN_ANSWERS, WARTS
from mappings.trials.pgf_msc.demo.safety import PLANTED
from mappings.trials.pgf_msc.demo.warts import Answer, Dropped, Issue, Rejected, Used
from mappings.trials.pgf_msc.demo.write import known_answers, plan

HEAD = """\
# The demo hospital

This page is generated (`make docs`) from the declarations that plant what it lists; a test keeps it in step.

`fhir2cdisc demo` writes a made-up hospital of 68 randomised subjects (`--subjects`, at least 10), screen failures and
patients who are in no trial, with their courses, from a seed: the same arguments give the same bytes. `demo/site` has
the code tables that such a hospital would have written for itself. Nobody in it is real.

## Warts

They stand in files beside those of the clean cohort, which no wart changes, on a few subjects whom every size of the demo
has. None is a blood count, a transfusion or a treatment that an endpoint reads. The ids of what a wart adds begin with
`wart-`. `tests/e2e/test_demo_warts.py` compares a build with these answers, one by one; `tests/e2e/test_demo_truth.py`
holds that nothing else was dropped, rejected or reported. Dates are those of the default cohort.
"""
SAFETY = """\
## Deviations and safety

What is planted of the rules of protocol §7 and §8: once each, on subjects of the UC-MSC arm, and whole from 34 subjects on.
`tests/e2e/test_demo_deviations.py` holds that DV, DLTFL of ADAE and `fhir2cdisc signals` show this and what follows from the
rest of the plan, and nothing else. Subject codes are those of the default cohort.
"""
REST = """\
In the default cohort that makes {deviations} records in DV besides days without a blood count, {limiting} dose-limiting
toxicities, and the suspension signals of {suspended} subjects: the three planted, and every other death within fourteen days
of an infusion.
"""
FAULTS = """\
## Faults in the clean files

What else is known of the cohort, under the names of `known_answers(subjects, seed)`, which gives the ids, dates and counts.
"""


def page(subjects: int = 68, seed: int = 20260101) -> str:
    """Return docs/demo.md."""
    answers = plan(subjects, seed).warts.answers
    rows = [(w.topic, f"`{w.name}`", w.what, "<br>".join(map(told, answers[w.name])) or "nothing") for w in WARTS]
    warts = _table(("topic", "wart", "what the hospital sends", "what comes of it"), sorted(rows, key=lambda r: r[0]))
    names = ("warts", "wart_files", "subjects")
    known = known_answers(subjects, seed)
    planted = [(f"`{t}`", what, known["safety"][t], found) for t, (what, found) in PLANTED.items()]
    safety = _table(("name", "what the hospital did", "subject", "what comes of it"), planted)
    rest = REST.format(
        deviations=len(known["deviations"]),
        limiting=len(known["dose_limiting"]),
        suspended=len({code for kind, code, *_ in known["signals"] if kind == "SUSPENSION"}),
    )
    faults = _table(("name", "what is true"), [(f"`{k}`", v) for k, v in KNOWN_ANSWERS.items() if k not in names])
    return "\n".join([HEAD, warts, "", SAFETY, safety, "", rest, FAULTS, faults]) + "\n"


def told(answer: Answer) -> str:
    """Return an answer in words."""
    if isinstance(answer, Used):
        values = ", ".join(f"{k} {_value(v)}" for k, v in answer.values.items())
        what = f"{answer.dataset} of `{answer.element}`" if answer.element else answer.dataset
        which = f"version {answer.version} in {what}" if answer.version else f"one of the two in {what}"
        if answer.among > 1:
            what = f"one of {answer.among} in {what}"
        return f"{which if answer.version or answer.twin else what}: {values}"
    if isinstance(answer, Dropped):
        return f"dropped: `{answer.reason}`" + (f" × {answer.count}" if answer.count > 1 else "")
    if isinstance(answer, Rejected):
        return f"rejected: `{answer.reason}`" + ("" if answer.resource else ", without an id")
    if isinstance(answer, Issue):
        return f"data issue: `{answer.code}`"
    return f"unmapped: {answer.text}, used {answer.used}" + (f" × {answer.count}" if answer.count > 1 else "")


def _value(value: str | float | None) -> str:
    return "empty" if value is None or value == "" else f"`{value}`"


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, tuple("---" for _ in heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
