"""What is stored of things that are no subject's facts: deleted resources, and specimens of somebody else.

A hospital deletes resources (Bundle entries with request.method DELETE, the `deleted` files of a bulk export), and files
a donor's or a lot's results under the patient; only the Specimen says whose they are (fhir-input points 2, 16, 21).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapter.intake.dates import utc_micros
from adapter.intake.tables import DELETION, schema_of
from adapter.site import Keyer
from adapter.sources.bundles import Deletion

OWNERS = "Specimen owners"
"""Among the tables of some subjects: rid and pat of every stored Specimen, whoever's it is."""


def deletion_rows(deleted: Sequence[Deletion], keyer: Keyer, file: int) -> pa.Table:
    """Return the rows of table Deletion for the deletions that one file tells."""
    rids = [keyer.keyed(d.name) for d in deleted]
    filled = {
        "pat": rids,
        "rid": rids,
        "updated": [utc_micros(d.instant) if d.instant else None for d in deleted],
        "file": [file] * len(rids),
        "line": [0] * len(rids),
    }
    schema = schema_of(DELETION)
    return pa.Table.from_arrays([pa.array(filled[f.name], f.type) for f in schema], schema=schema)


def without_deleted(table: pa.Table, deletions: pa.Table | None) -> tuple[pa.Table, int]:
    """Return the rows of resources that the hospital has not deleted, and how many copies fell away.

    A copy updated after the deletion stays (the resource came back). Where either has no instant the deletion wins.
    """
    if deletions is None or not table.num_rows or not deletions.num_rows:
        return table, 0
    last = deletions.group_by("rid").aggregate([("updated", "max"), ("updated", "count"), ("rid", "count")])
    final = pc.less(last.column("updated_count"), last.column("rid_count"))
    place = pc.index_in(table.column("rid"), last.column("rid").combine_chunks())
    when = pc.take(pc.if_else(final, None, last.column("updated_max")), place)
    newer = pc.fill_null(pc.greater(table.column("updated"), when), False)
    kept = np.asarray(pc.or_(pc.is_null(place), newer).to_numpy(zero_copy_only=False), dtype=bool)
    if kept.all():
        return table, 0
    whole = np.asarray(pc.equal(table.column("element"), "").to_numpy(zero_copy_only=False), dtype=bool)
    return table.filter(pa.array(kept)), int((whole & ~kept).sum())


def about_others(observations: pa.Table, owners: pa.Table | None, number: Mapping[bytes, int]) -> pa.Table:
    """Return the Observations with `focus` set where the Specimen is known and is not the subject's own.

    owners: rid and pat of all Specimens. number: keyed patient id -> subject, as the records of a merged patient are one.
    """
    if owners is None or not owners.num_rows or not observations.num_rows:
        return observations
    known = pc.is_in(observations.column("specimen"), owners.column("rid").combine_chunks())
    if not pc.any(known).as_py():
        return observations
    theirs = {(r, number.get(p)) for r, p in zip(*(owners.column(c).to_pylist() for c in ("rid", "pat")), strict=True)}
    places = np.flatnonzero(np.asarray(known.to_numpy(zero_copy_only=False), dtype=bool))
    named = observations.select(["specimen", "pat"]).take(pa.array(places))
    foreign = [
        (s, number.get(p)) not in theirs
        for s, p in zip(*(named.column(c).to_pylist() for c in ("specimen", "pat")), strict=True)
    ]
    if not any(foreign):
        return observations
    focus = np.asarray(observations.column("focus").fill_null(False).to_numpy(zero_copy_only=False), dtype=bool).copy()
    focus[places[foreign]] = True
    return observations.set_column(observations.column_names.index("focus"), "focus", pa.array(focus))
