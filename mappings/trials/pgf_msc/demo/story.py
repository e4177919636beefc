"""What happens to a randomised subject beyond blood counts and treatment: one plan, from which records and answers come.

`TRANSLATIONS` and `INVENTED` are what a sponsor would give with `--coding`: the English of the hospital's terms, and their
coding in a dictionary that is invented and labelled so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from mappings.trials.pgf_msc.demo.events import diagnosed
from mappings.trials.pgf_msc.demo.people import Person, days, draw, stream

ROMAN = ("0", "I", "II", "III", "IV")
_STAGES = ((2, 0, 0, 1), (3, 0, 0, 2), (1, 0, 1, 2), (2, 1, 0, 2), (3, 2, 2, 3))  # skin, liver, gut, overall


@dataclass(frozen=True, slots=True)
class Event:
    """One adverse event: when, what, how bad; `because`: it brought the person back into hospital."""

    day: date
    end: date | None
    icd: str
    name: str
    grade: int
    serious: str  # code of adverse-event-seriousness, empty where not serious
    related: str  # code of the causality, empty where nobody judged it
    outcome: str
    because: bool = False


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to one person beyond blood counts; all days lie within the person's data."""

    visits: tuple[date, ...] = ()
    scores: tuple[tuple[date, int], ...] = ()  # Karnofsky
    acute: tuple[date, tuple[int, int, int, int]] | None = None  # onset; skin, liver, gut, overall
    chronic: tuple[date, str] | None = None  # onset, severity
    relapse: date | None = None
    remissions: tuple[date, ...] = ()
    infections: tuple[tuple[date, date, str, str], ...] = ()  # onset, end, ICD-10-CM, name
    graft_failure: date | None = None
    events: tuple[Event, ...] = ()
    ventilation: tuple[date, date] | None = None
    cause: str = ""  # of death


def story(person: Person, seed: int) -> Story:
    """Return the plan of a randomised subject; the days of GVHD and relapse are those of the diagnoses (module events)."""
    found = diagnosed(person, seed)
    if person.role != "subject" or found is None or person.hsct is None:
        return Story()
    malignant, relapse = found.malignant, found.relapse
    rng = stream(seed, person.index, "clinic")
    last, day = person.last, person.origin
    visits = [day + days(n) for n in (0, 7, 14, 21)] + [person.hsct + days(n) for n in (90, 180, 270)]
    visits = sorted({v for v in visits if v <= last})
    scores = tuple((v, min(100, 70 + 10 * (n // 3) + 10 * draw(rng, 2))) for n, v in enumerate(visits))
    stages = _STAGES[draw(rng, len(_STAGES))]
    later = [person.hsct + days(n) for n in (90, 180, 270, 355)]
    remissions = tuple(d for d in later if d <= last and (relapse is None or d < relapse)) if malignant else ()
    infections = []
    if person.index % 7 == 2:
        onset = day + days(24 + draw(rng, 12))
        infections.append((onset, onset + days(11), "J18.9", "肺炎"))
    if person.index % 9 == 4:
        onset = person.hsct + days(150 + draw(rng, 60))
        infections.append((onset, onset + days(14), "B02.9", "带状疱疹"))
    failed = person.hsct + days(160 + draw(rng, 30)) if person.index % 13 == 6 else None
    return Story(
        tuple(visits),
        scores,
        (found.acute, stages) if found.acute else None,
        (found.chronic, ("轻度", "中度", "重度")[draw(rng, 3)]) if found.chronic else None,
        relapse,
        remissions,
        tuple(i for i in infections if i[1] <= last),
        failed if failed and failed <= last else None,
        tuple(_events(person, rng)),
        (day + days(27), day + days(31)) if "ventilated" in person.traits else None,
        ("疾病复发" if relapse else "重症肺炎") if person.death and person.index % 2 else "",
    )


def _events(person: Person, rng: Random) -> Iterator[Event]:
    """Yield adverse events: mild ones in hospital, and a grave one that brings every eleventh subject back."""
    if person.start is None:
        return
    day = person.start
    planned = []
    if person.index % 4 == 1:
        n = 3 + draw(rng, 12)
        planned.append(Event(day + days(n), day + days(n + 4), "R11.0", "恶心", 1, "", "Unlikely", "resolved"))
    if person.index % 5 == 3:
        n = 10 + draw(rng, 20)
        planned.append(Event(day + days(n), day + days(n + 9), "R19.7", "腹泻", 2, "", "Not-Related", "resolved"))
    if person.index % 11 == 5:
        n = 62 + draw(rng, 30)
        grave = "SeriousResultsInHospitalization"
        planned.append(
            Event(day + days(n), day + days(n + 12), "N17.9", "急性肾损伤", 3, grave, "Not-Related", "resolved", True)
        )
    if person.index % 10 == 8:
        n = 40 + draw(rng, 30)
        planned.append(Event(day + days(n), None, "G62.9", "周围神经病", 2, "", "Possible", "ongoing"))
    if "dose-limiting" in person.traits:
        planned.append(Event(day + days(9), day + days(14), "R11.0", "恶心", 3, "", "Probably-Likely", "resolved"))
    if "severe-toxicity" in person.traits:  # three days after the fourth infusion
        grave = "SeriousIsLifeThreatening"
        planned.append(Event(day + days(24), day + days(26), "T78.2", "过敏性休克", 4, grave, "Certain", "resolved"))
    if "ventilated" in person.traits:  # as grave, but not of the product: the ventilation is the signal, not this
        grave = "SeriousIsLifeThreatening"
        planned.append(
            Event(day + days(27), day + days(33), "J96.0", "急性呼吸衰竭", 4, grave, "Not-Related", "resolved")
        )
    yield from (e for e in planned if (e.end or e.day) <= person.last)


def clinical_answers(person: Person, seed: int) -> dict[str, Any]:
    """Return what a build must find of a person up to his cut, as lists of texts: dates, kinds, grades."""
    told, found = story(person, seed), diagnosed(person, seed)
    events: list[tuple[str, date | None]] = [
        ("ACUTE GVHD", told.acute[0] if told.acute else None),
        ("CHRONIC GVHD", told.chronic[0] if told.chronic else None),
        ("RELAPSE", told.relapse),
        ("GRAFT FAILURE", told.graft_failure),
        ("INFECTION", found.infection if found and person.role == "subject" else None),
        *(("INFECTION", onset) for onset, *_ in told.infections),
    ]
    stages = told.acute[1] if told.acute and told.acute[0] <= person.cut else ()
    return {
        "events": sorted([kind, day.isoformat()] for kind, day in events if day is not None and day <= person.cut),
        "organs": [str(n) for n in stages[:3]],
        "acute_grade": ROMAN[stages[3]] if stages else "",
        "chronic_grade": told.chronic[1] if told.chronic and told.chronic[0] <= person.cut else "",
        "adverse_events": sorted(
            [e.day.isoformat(), str(e.grade), "Y" if e.serious else "N", "Y" if e.because else ""]
            for e in told.events
            if e.day <= person.cut
        ),
        "karnofsky": [[d.isoformat(), str(score)] for d, score in told.scores if d <= person.cut],
        "visits_with_vital_signs": [d.isoformat() for d in told.visits if d <= person.cut],
        "cause_of_death": told.cause,
    }


TRANSLATIONS = {
    "急性髓系白血病": "Acute myeloid leukaemia",
    "急性髓系白血病复发": "Relapse of acute myeloid leukaemia",
    "急性淋巴细胞白血病": "Acute lymphoblastic leukaemia",
    "急性淋巴细胞白血病复发": "Relapse of acute lymphoblastic leukaemia",
    "骨髓增生异常综合征": "Myelodysplastic syndrome",
    "骨髓增生异常综合征复发": "Relapse of myelodysplastic syndrome",
    "再生障碍性贫血": "Aplastic anaemia",
    "急性移植物抗宿主病": "Acute graft versus host disease",
    "慢性移植物抗宿主病": "Chronic graft versus host disease",
    "巨细胞病毒感染": "Cytomegalovirus infection",
    "肺炎": "Pneumonia",
    "带状疱疹": "Herpes zoster",
    "继发性移植物功能丧失": "Secondary graft failure",
    "发热": "Fever",
    "皮疹": "Rash",
    "恶心": "Nausea",
    "腹泻": "Diarrhoea",
    "急性肾损伤": "Acute kidney injury",
    "周围神经病": "Peripheral neuropathy",
    "过敏性休克": "Anaphylactic shock",
    "急性呼吸衰竭": "Acute respiratory failure",
    "机械通气": "Mechanical ventilation",
    "骨髓移植": "Bone marrow transplantation",
    "输注单采血小板": "Transfusion of apheresis platelets",
    "输注悬浮红细胞": "Transfusion of red blood cells in suspension",
    "司莫司汀胶囊": "Semustine capsules",
    "注射用阿糖胞苷": "Cytarabine for injection",
    "白消安注射液": "Busulfan injection",
    "注射用环磷酰胺": "Cyclophosphamide for injection",
    "兔抗人胸腺细胞免疫球蛋白": "Rabbit anti-human thymocyte immunoglobulin",
    "重组人粒细胞刺激因子注射液": "Recombinant human granulocyte colony-stimulating factor injection",
    "重组人血小板生成素注射液": "Recombinant human thrombopoietin injection",
    "艾曲泊帕乙醇胺片": "Eltrombopag olamine tablets",
    "马来酸阿伐曲泊帕片": "Avatrombopag maleate tablets",
    "海曲泊帕乙醇胺片": "Hetrombopag olamine tablets",
    "环孢素软胶囊": "Ciclosporin soft capsules",
    "他克莫司胶囊": "Tacrolimus capsules",
    "阿昔洛韦片": "Aciclovir tablets",
    "伐昔洛韦片": "Valaciclovir tablets",
    "注射用更昔洛韦": "Ganciclovir for injection",
    "地塞米松磷酸钠注射液": "Dexamethasone sodium phosphate injection",
    "重症肺炎": "Severe pneumonia",
    "疾病复发": "Relapse of the disease",
}

INVENTED = {  # English term: preferred term, class
    "Fever": ("Pyrexia", "General (invented)"),
    "Rash": ("Rash", "Skin (invented)"),
    "Nausea": ("Nausea", "Digestion (invented)"),
    "Diarrhoea": ("Diarrhoea", "Digestion (invented)"),
    "Acute kidney injury": ("Acute kidney injury", "Kidney (invented)"),
    "Peripheral neuropathy": ("Neuropathy peripheral", "Nerves (invented)"),
    "Anaphylactic shock": ("Anaphylactic shock", "Immune (invented)"),
    "Acute respiratory failure": ("Acute respiratory failure", "Lungs (invented)"),
    "Pneumonia": ("Pneumonia", "Infections (invented)"),
    "Herpes zoster": ("Herpes zoster", "Infections (invented)"),
    "Cytomegalovirus infection": ("Cytomegalovirus infection", "Infections (invented)"),
}


def coding_tables() -> dict[str, str]:
    """Return the files of a sponsor's coding folder by name."""
    terms = "".join(f"{k},{v}\n" for k, v in TRANSLATIONS.items())
    meddra = "".join(
        f"{term},{term},{9000 + 2 * n},{pt},{9001 + 2 * n},{soc},{8000 + n}\n"
        for n, (term, (pt, soc)) in enumerate(INVENTED.items())
    )
    return {
        "translations.csv": f"term,english\n{terms}",
        "meddra.csv": f"verbatim,llt,llt_code,pt,pt_code,soc,soc_code\n{meddra}",
        "versions.csv": "dictionary,version\nMedDRA,0.0 (invented for the demo)\n",
    }
