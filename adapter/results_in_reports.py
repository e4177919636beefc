"""Results that stand inside reports become facts like any other, and the reports are accounted for.

The stored rows of a DiagnosticReport are its own row (no result in it), a row for each of its contained results, and one
for each contained result that cannot be used. Domains read the results as Observations; `carrier` says what they came in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from adapter.intake.tables import CARRIED
from adapter.records import Facts

Lost = dict[tuple[int, int], str]


def with_results(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return (rows that hold a result, the other rows) of a carrier such as DiagnosticReport."""
    holds = pc.is_null(table.column("why"))
    return table.filter(holds), table.filter(pc.invert(holds))


def merged(facts: dict[str, Facts], carrier: str, others: Facts, lost: Lost) -> None:
    """Put a carrier's results among the facts of the type they are of, and leave its other rows as its own facts.

    facts: the carrier's results, as usable as any; others: its other rows. lost: (file, line) of a report -> why the first
    of its results was not usable, for a report that has none left.
    """
    kind, results = CARRIED[carrier], facts[carrier]
    if len(results.frame):
        plain = facts[kind]
        both = [plain.frame.assign(carrier=""), results.frame.drop(columns="why").assign(carrier=carrier)]
        frame = pd.concat(both, ignore_index=True)
        keyed = pa.concat_tables([plain.keyed, results.keyed.select(plain.keyed.column_names)])
        facts[kind] = Facts(kind, frame, keyed)
    frame = others.frame
    left = set(zip(results.frame["file"].tolist(), results.frame["line"].tolist(), strict=True))
    places = list(zip(frame["file"].tolist(), frame["line"].tolist(), strict=True))
    own = (frame["element"] == "").to_numpy(dtype=bool)
    told = [lost.get(p, w) if o and p not in left else w for p, w, o in zip(places, frame["why"], own, strict=True)]
    facts[carrier] = Facts(carrier, frame.assign(why=pd.Series(told, index=frame.index, dtype="str")), others.keyed)


def places_of(table: pa.Table, rows: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (file, line) of some rows."""
    some = table.select(["file", "line"]).filter(pa.array(rows))
    return list(zip(some.column("file").to_pylist(), some.column("line").to_pylist(), strict=True))
