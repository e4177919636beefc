"""The demo cohort: a deterministic synthetic hospital for the PGF trial, its faults, and the truth about them.

`write_cohort(out, subjects, seed)` writes FHIR R4 NDJSON and the enrolment log; `known_answers(subjects, seed)` returns
what a right build must find in them; `KNOWN_ANSWERS` explains each answer. Nobody in it is real.
"""

from mappings.trials.pgf_msc.demo.planted import KNOWN_ANSWERS, WARTS
from mappings.trials.pgf_msc.demo.write import known_answers, write_cohort

__all__ = ["KNOWN_ANSWERS", "WARTS", "known_answers", "write_cohort"]
