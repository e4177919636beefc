"""The driver's second half: map receipts -> datasets, define.xml, trace, rejects, data issues, unmapped codes, manifest."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from adapter import __version__
from adapter.accounts import Accounts, Issue
from adapter.assemble import write_part
from adapter.define import supplement_dataset
from adapter.define_document import build_define
from adapter.derive.days import day_text
from adapter.dictionaries import MEDDRA, WHODRUG
from adapter.errors import RunError
from adapter.evaluate import evaluate
from adapter.executors import TaskRunner
from adapter.files import json_bytes
from adapter.identify import LOOK_UPS
from adapter.ingest import Ingested, Progress
from adapter.knowledge import Knowledge
from adapter.output import MANIFEST, OutputFolder
from adapter.reasons import REASONS
from adapter.registry import in_document_order, shipped
from adapter.sources.files import Found, sha256_of
from adapter.spec import Dataset
from adapter.subject_tasks import MapReceipt
from adapter.summary import DatasetSummary, companions_of, summarise
from adapter.tasks import Context, Setting, write_context
from adapter.terminology import Codelist, Term, Terminology
from adapter.trial import Trial
from adapter.write_plan import FOLDERS, WritePlan
from adapter.write_task import assemble_task
from adapter.writers.define_model import Define
from adapter.writers.define_xml import STYLESHEET, define_html, define_xml, stylesheet
from adapter.writers.description import pointing_to
from adapter.writers.formats import SUFFIXES

Counts = dict[str, Any]


class Delivery:
    """Writes the files of one build into the staging folder of OUT."""

    def __init__(
        self,
        output: OutputFolder,
        setting: Setting,
        trial: Trial,
        knowledge: Knowledge,
        runner: TaskRunner,
        progress: Progress,
    ) -> None:
        self.output = output
        self.setting = setting
        self.trial = trial
        self.terminology = with_trial_codelists(knowledge.terminology, trial)
        self.dictionaries = knowledge.dictionaries.versions
        self.runner = runner
        self.progress = progress
        self.more: Counts = {}  # what the manifest and the counts tell besides

    def write(
        self,
        context: Context,
        receipts: Sequence[MapReceipt],
        ingested: Ingested,
        found: Found,
        timestamp: datetime,
        formats: Sequence[str] = ("xpt",),
    ) -> Counts:
        """Write everything but run.json; return the counts that the closing table shows.

        formats: of the datasets, in order of preference; define.xml points to the files of the first.
        """
        accounts = Accounts()
        for r in receipts:
            accounts.add(r.accounts)
            for name, s in r.summaries.items():
                context.summaries.setdefault(name, DatasetSummary()).add(s)
            for name, s in r.supplement_summaries.items():
                context.supplement_summaries.setdefault(name, DatasetSummary()).add(s)
        context.timestamp = timestamp
        reference = self._reference_datasets(context, receipts)
        accounts.issues += self._outside_codelists(context) + _not_ascii(context)
        told = in_document_order(shipped())
        parts = {p: [(d, context.summaries[d.name]) for d in told if d.purpose == p] for p in FOLDERS}
        for d in told:
            extra = context.supplement_summaries.get(d.name)
            if extra is not None and extra.rows:
                parts[d.purpose].append((supplement_dataset(d), extra))
        defines = {}
        for purpose, datasets in parts.items():
            made = build_define(self.trial, self.terminology, datasets, timestamp, __version__, self.dictionaries)
            defines[purpose] = pointing_to(made, SUFFIXES[formats[0]])
        self._datasets(context, receipts, reference, list(defines.values()), formats)
        for purpose, define in defines.items():
            document, folder = define_xml(define), FOLDERS[purpose]
            self.output.path(f"{folder}/define.xml").write_bytes(document)
            self.output.path(f"{folder}/define.html").write_bytes(define_html(document))
            self.output.path(f"{folder}/{STYLESHEET}").write_bytes(stylesheet())
        documented = [row for rows in parts.values() for row in rows]
        self._rejects(accounts, ingested)
        self._issues(accounts)
        self._unmapped(accounts)
        return self._manifest(context, accounts, ingested, found, documented)

    def _reference_datasets(self, context: Context, receipts: Sequence[MapReceipt]) -> dict[str, str]:
        """Compute the datasets without subjects (TS) from the trial and the summaries; return their parts."""
        run = run_facts(context, receipts, self.dictionaries)
        parts = {}
        for d in shipped():
            if d.reference:
                frame, _ = evaluate(d, d.records(self.trial, run).frame, {}, self.trial.setting)
                types = {v.name: v.type for v in d.main}
                coded = [v.name for v in d.main if v.codelist]
                context.summaries[d.name] = summarise(frame, dict(types), coded, d.value_levels, companions_of(d))
                table = pa.Table.from_pandas(frame, preserve_index=False)
                fields = [
                    pa.field(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in table.schema
                ]
                path = Path(self.setting.folder) / f"reference-{d.name}"
                write_part(path, table.cast(pa.schema(fields)))
                parts[d.name] = str(path)
        return parts

    def _datasets(
        self,
        context: Context,
        receipts: Sequence[MapReceipt],
        reference: Mapping[str, str],
        defines: Sequence[Define],
        formats: Sequence[str],
    ) -> None:
        path = write_context(self.setting, "assemble", context)
        tasks = WritePlan(self.output, self.setting, context, path, defines, formats).tasks(receipts, reference)
        done = Counter[str]()
        self.progress("assemble", 0, len(tasks))

        def told(_: str) -> None:
            done["n"] += 1
            self.progress("assemble", done["n"], len(tasks))

        self.runner.run(assemble_task, tasks, told)

    def _outside_codelists(self, context: Context) -> list[Issue]:
        """Report values outside codelists that may not be extended; they stay in the data."""
        found = []
        for d in shipped():
            for v in d.main:
                used = context.summaries[d.name].terms.get(v.name, set())
                if v.origin.type == "Predecessor":
                    continue  # it is reported where it is copied from
                if v.codelist and not self.terminology.codelist(v.codelist).extensible:
                    for value in self.terminology.missing(v.codelist, used):
                        meaning = REASONS["not-in-codelist"].meaning
                        found.append(Issue("", d.name, "", "", "not-in-codelist", f"{v.name} {value!r}: {meaning}"))
        return found

    def _rejects(self, accounts: Accounts, ingested: Ingested) -> None:
        labels = {i.number: i.label for i in ingested.state.inputs}
        rows: list[dict[str, Any]] = []
        for i in ingested.state.inputs:
            for x in i.rejects:
                rows.append(
                    {"file": i.label, "line": x["line"], "offset": x["offset"], "resource_type": x["resource_type"]}
                    | {"keyed_id": x["rid"], "reason": x["reason"], "element": x["where"]}
                )
        for f in accounts.refused:
            rows.append(
                {"file": labels[f.file], "line": f.line, "offset": None, "resource_type": f.resource_type}
                | {"keyed_id": f.rid.hex(), "reason": f.reason, "element": f.where}
            )
        rows.sort(key=lambda r: (r["file"], r["line"], r["reason"], r["element"]))
        with open(self.output.path("rejects.ndjson"), "w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(row | {"message": REASONS[row["reason"]].meaning}, ensure_ascii=False) + "\n")

    def _issues(self, accounts: Accounts) -> None:
        rows = sorted(accounts.issues, key=lambda i: (i.usubjid, i.dataset, int(i.seq or 0), i.code, i.message, i.rid))
        header = ("USUBJID", "dataset", "seq", "keyed_id", "code", "message")
        self._csv("data-issues.csv", header, [tuple(r) for r in rows])

    def _unmapped(self, accounts: Accounts) -> None:
        rows = sorted(((*u, n) for u, n in accounts.unmapped.items()), key=lambda r: (-r[4], r[0], r[1], r[2]))
        self._csv("unmapped.csv", ("resource_type", "code", "text", "used", "count"), rows)

    def _csv(self, name: str, header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        self.output.path(name).write_text(text.getvalue(), encoding="utf-8", newline="")

    def _manifest(
        self,
        context: Context,
        accounts: Accounts,
        ingested: Ingested,
        found: Found,
        documented: Sequence[tuple[Dataset, DatasetSummary]],
    ) -> Counts:
        resources = resource_counts(ingested, accounts)
        records = {d.name: s.rows for d, s in documented}
        outputs = []
        for name in self.output.files():
            path = self.output.staging / name
            outputs.append({"file": name, "sha256": sha256_of(path), "bytes": path.stat().st_size})
        manifest = {
            "program": "fhir2cdisc",
            "version": __version__,
            "trial": self.trial.study.id,
            "standards": self.trial.standards.model_dump(),
            "data_cut": day_text(context.cut),
            "subjects": len(context.subjects),
            "inputs": [
                {k: getattr(i, k) for k in ("number", "label", "sha256", "size", "lines")}
                for i in ingested.state.inputs
            ],
            "passed_over": [{"file": f, "reason": why} for f, why in found.passed_over],
            "resources": resources,
            "records": records,
            "outputs": outputs,
        } | self.more
        self.output.path(MANIFEST).write_bytes(json_bytes(manifest))
        rejects = sum(len(i.rejects) for i in ingested.state.inputs) + len(accounts.refused)
        return {
            "resources": resources,
            "records": records,
            "rejects": rejects,
            "issues": len(accounts.issues),
            "unmapped": sum(accounts.unmapped.values()),
            "passed_over": len(found.passed_over),
            "data_cut": day_text(context.cut),
        } | self.more

    def write_run(self, facts: dict[str, Any]) -> None:
        self.output.path("run.json").write_bytes(json_bytes(facts))


def _not_ascii(context: Context) -> list[Issue]:
    """List every value that is not ASCII, once with its number of records; a copy is listed where it is copied from."""
    found = []
    copies = {(d.name, v.name) for d in shipped() for v in d.main if v.origin.type == "Predecessor"}
    for names in (context.summaries, context.supplement_summaries):
        for dataset, s in names.items():
            name = dataset if names is context.summaries else f"SUPP{dataset}"
            for variable, values in s.non_ascii.items():
                for value, n in values.items() if (name, variable) not in copies else ():
                    meaning = REASONS["non-ascii"].meaning
                    found.append(
                        Issue("", name, "", "", "non-ascii", f"{variable} {value!r} in {n} records: {meaning}")
                    )
    return found


def resource_counts(ingested: Ingested, accounts: Accounts) -> dict[str, Any]:
    """Return per resource type: read, used, dropped by reason. Read equals used plus dropped, always."""
    read, dropped = Counter[str](), Counter[tuple[str, str]](accounts.dropped)
    for i in ingested.state.inputs:
        read.update(i.read)
        for key, n in i.dropped.items():
            kind, _, reason = key.rpartition(" ")
            dropped[kind, reason] += n
    used = Counter(accounts.used)
    made = {}
    for kind in sorted(read):
        reasons = {r: n for (k, r), n in sorted(dropped.items()) if k == kind and n}
        if kind in LOOK_UPS:
            used[kind] = read[kind] - sum(reasons.values())
        lost = read[kind] - used[kind] - sum(reasons.values())
        if lost:
            raise RunError(f"the accounts of {kind} do not balance: {lost} of {read[kind]} resources have no reason")
        made[kind] = {"read": read[kind], "used": used[kind], "dropped": reasons}
    return made


def run_facts(
    context: Context, receipts: Sequence[MapReceipt], dictionaries: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Return what TS says of this delivery (adapter.trial_tables.RUN_SOURCES)."""
    consents = sorted(s.enrolled.consent_date for s in context.subjects if s.enrolled.consent_date)
    ends = context.summaries.get("DM", DatasetSummary())
    ongoing = ends.filled.get("RFPENDTC", 0) < sum(bool(s.enrolled.arm) for s in context.subjects)
    return {
        "run.first_consent": consents[0] if consents else "",
        "run.last_contact": "" if ongoing else day_text(context.cut),
        "run.actual_subjects": str(sum(bool(s.enrolled.arm) for s in context.subjects)),
        "run.data_cut": day_text(context.cut),
        "run.ongoing": "Y" if ongoing else "N",
        "run.meddra": dictionaries.get(MEDDRA, ""),
        "run.whodrug": dictionaries.get(WHODRUG, ""),
    }


def with_trial_codelists(terminology: Terminology, trial: Trial) -> Terminology:
    """Add the codelists that no standard has: the trial's arms, the parameters of the analysis datasets, CNSR."""
    arms = {code: Term(code, "", arm.label) for code, arm in trial.arms.items()}
    censored = {code: Term(code, "", text) for code, text in CENSOR.items()}
    return terminology.adding(
        Codelist("", "ARMCD", "Arm Code", False, arms),
        Codelist("", "PARAMCD", "Parameter Code", True, {}),
        Codelist("", "CNSR", "Censor", False, censored),
    )


CENSOR = {"0": "Event", "1": "Censored", "2": "Competing event"}
