"""The whole Define-XML document of a package: SDTM or ADaM, with its standards, codelists, methods and comments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from adapter.define import IG, DefineBuilder
from adapter.define_lists import ADAM_CT, DEFINE_CT, SDTM_CT
from adapter.spec import Dataset
from adapter.summary import DatasetSummary
from adapter.terminology import Terminology
from adapter.trial import Trial
from adapter.writers import define_model as m
from adapter.writers.define_model import oid

NAMES = {"Tabulation": ("SDTM", "SDTMIG"), "Analysis": ("ADaM", "ADaMIG")}
"""Purpose of the datasets -> name of the package and of its implementation guide."""


def build_define(
    trial: Trial,
    terminology: Terminology,
    datasets: Sequence[tuple[Dataset, DatasetSummary]],
    created: datetime,
    version: str,
    dictionaries: Mapping[str, str] = MappingProxyType({}),
) -> m.Define:
    """Return the Define-XML 2.1 document of one package: all datasets have one purpose.

    datasets: in the order of the document. dictionaries: dictionary of the sponsor's coding -> its version.
    """
    purpose = datasets[0][0].purpose if datasets else "Tabulation"
    package, guide = NAMES[purpose]
    b = DefineBuilder(trial, terminology, dictionaries)
    parents = {f"SUPP{d.name}": d for d, _ in datasets}
    groups = tuple(b.group(d, s, parents.get(d.name)) for d, s in datasets)
    st = trial.standards
    decisions = " ".join(f"{d.number}: {d.text}." for d in trial.decisions)
    note = b.comment(oid("COM", "MDV"), f"Decisions where the protocol is silent. {decisions}") if decisions else None
    lists = b.code_lists()
    ig = m.Standard(IG, "ADaMIG" if purpose == "Analysis" else "SDTMIG", "IG", version_of(trial, purpose))
    standards = [
        ig,
        m.Standard(SDTM_CT, "CDISC/NCI", "CT", st.sdtm_ct, publishing_set="SDTM"),
        *([m.Standard(ADAM_CT, "CDISC/NCI", "CT", st.adam_ct, publishing_set="ADaM")] if purpose == "Analysis" else []),
        m.Standard(DEFINE_CT, "CDISC/NCI", "CT", st.define_ct, publishing_set="DEFINE-XML"),
    ]
    study = trial.study.id
    return m.Define(
        file_oid=f"{study}.{package}.define",
        study_oid=oid("STDY", study),
        study_name=study,
        study_description=trial.study.title,
        protocol_name=trial.study.protocol,
        mdv_oid=oid("MDV", study, guide, ig.version),
        mdv_name=f"{study}, {package} datasets",
        created=created,
        item_groups=groups,
        items=tuple(b.items.values()),
        standards=tuple(standards),
        mdv_description=f"Data definitions for the {package} datasets of {study}",
        originator=trial.study.sponsor,
        source_system="fhir2cdisc",
        source_system_version=version,
        comment_oid=note,
        value_lists=tuple(b.value_lists),
        where_clauses=tuple(b.where.values()),
        code_lists=lists,
        methods=tuple(b.methods.values()),
        comments=tuple(b.comments.values()),
    )


def version_of(trial: Trial, purpose: str) -> str:
    return trial.standards.adamig if purpose == "Analysis" else trial.standards.sdtmig
