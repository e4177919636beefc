"""Who is in the invented hospital: subjects, screen failures and patients who are no subjects, with their key dates.

Every draw uses `random.Random.random()` of a stream seeded with text, the one method whose sequence Python promises to
keep; no set order, no hash(), no libm function. So the same arguments give the same people on any machine.
Nobody here is real: surnames are common ones, given names count through the sexagenary cycle (甲子, 乙丑, …),
telephone numbers and identifiers cannot exist, addresses are in a city called 示例市 ("Example City").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from adapter.errors import InputError

START = date(2023, 5, 8)  # first randomisation
ENROLMENT_DAYS = 600
EXPORT = date(2025, 9, 30)  # the day the hospital made its export; nothing is later
MRN_SYSTEM = "urn:oid:2.16.156.999999.1"
NATIONAL_ID_SYSTEM = "urn:oid:2.16.156.999999.2"
SMALLEST = 10
DONORS = ("haploidentical", "matched sibling", "matched unrelated")
FAILURES = (  # screen failure reason, and the criterion it answers: (code, answer)
    ("Age above 60 years", ("INCL02", "N")),
    ("Clinically uncontrolled active infection", ("EXCL06", "Y")),
    ("KPS not above 60", ("INCL03", "N")),
    ("Patient decided not to take part", None),
    ("Severe hepatic dysfunction", ("EXCL01", "Y")),
)
_SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏"
_STEMS, _BRANCHES = "甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉戌亥"

# What happens to whom, by position within the arm; single positions are planted once, whatever the size.
_MSC_TRAITS = {
    0: ("infusion-in-error", "deceased-false"),
    1: ("withdrew-consent",),
    2: ("withdrew-treatment",),
    3: ("early-death",),
    4: ("stopped-infusion", "sex-other"),
    7: ("late-infusion",),
    8: ("overdose",),
    9: ("under-dose",),
    10: ("g-csf-dose",),
    12: ("tpo-ra-step",),
    13: ("dose-limiting",),
    14: ("ventilated",),
    15: ("severe-toxicity",),
    16: ("early-death", "death-after-infusion"),
}
_CTRL_TRAITS = {
    0: ("course-under-way",),
    1: ("never-treated",),
    2: ("late-death", "merged"),
    3: ("death-undated",),
    4: ("request-first",),
}


@dataclass(frozen=True, slots=True)
class Person:
    """One patient of the hospital. Dates are site days; `last` is the last day with any hospital data.

    `start` is the first study treatment the plan gives (TRTSDT of protocol §2), None when there is none.
    `old_pid` is the id of a merged, replaced record on which the early history hangs.
    """

    index: int
    role: str  # "subject" (randomised), "failure", "unassigned", "other" (no subject)
    traits: tuple[str, ...]
    pid: str
    old_pid: str | None
    mrn: str
    family: str
    given: str
    gender: str
    birth: date
    weight: float  # kg
    height: int  # cm
    donor: str
    arm: str
    hsct: date | None
    pgf: date | None
    consent: date | None
    screening: date | None
    randomisation: date | None
    start: date | None
    death: date | None
    last: date
    withdrawal: date | None = None
    failure: int | None = None
    subjid: str = ""

    @property
    def origin(self) -> date:
        """RFSTDTC as planned: first treatment, else randomisation, else the day that stands in for it."""
        return self.start or self.randomisation or self.consent or self.last

    @property
    def cut(self) -> date:
        """The last day whose data may be used: the day consent was withdrawn ends them (protocol §2)."""
        return self.withdrawal if self.withdrawal and "withdrew-consent" in self.traits else EXPORT

    @property
    def log_key(self) -> str:
        """The enrolment log's `patient`: the Patient id, for every seventh an identifier `system|value`."""
        return f"{MRN_SYSTEM}|{self.mrn}" if self.index % 7 == 5 else self.pid


def draw(rng: Random, below: int) -> int:
    """Return an integer 0 … below-1."""
    return int(rng.random() * below)


def noise(rng: Random) -> float:
    """Return a roughly normal number, mean 0, standard deviation 1, never beyond ±3.5 (a sum of four uniforms)."""
    return (rng.random() + rng.random() + rng.random() + rng.random() - 2.0) * 1.7320508


def stream(seed: int, index: int, topic: str) -> Random:
    """Return the random stream of one person and topic, so that one topic's draws never shift another's."""
    return Random(f"{seed}/{index}/{topic}")


def days(count: int) -> timedelta:
    return timedelta(days=count)


def age_at(birth: date, day: date) -> int:
    """Return completed years at a day."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def cohort(subjects: int, seed: int) -> tuple[Person, ...]:
    """Return everyone, in the order of their index: randomised, screen failures, one unassigned, other patients.

    `subjects` is the number of randomised (at least 10, else InputError); screen failures are 12 in 68, other
    patients 15 % of those screened (both at least 3).
    """
    if subjects < SMALLEST:
        raise InputError(
            f"--subjects {subjects}: expected at least {SMALLEST}, so that every planted case has its place"
        )
    failures = max(3, (subjects * 12 + 34) // 68)
    others = max(3, ((subjects + failures) * 15 + 50) // 100)
    people: list[Person] = []
    seen = {"MSC": 0, "CTRL": 0}
    for i, arm in enumerate(_arms(subjects, Random(f"{seed}/arms"))):
        people.append(_subject(i, arm, seen[arm], subjects, seed))
        seen[arm] += 1
    people += [_failure(subjects + j, j, failures, seed) for j in range(failures)]
    people.append(_unassigned(subjects + failures, seed))
    people += [_other(subjects + failures + 1 + j, j, others, seed) for j in range(others)]
    return _numbered(people)


def _arms(subjects: int, rng: Random) -> list[str]:
    """Permuted blocks of four; a last short block is balanced too, with one MSC more if the number is odd."""
    arms: list[str] = []
    while len(arms) < subjects:
        block = ["MSC", "CTRL", "MSC", "CTRL"][: subjects - len(arms)]
        for i in range(len(block) - 1, 0, -1):
            j = draw(rng, i + 1)
            block[i], block[j] = block[j], block[i]
        arms += block
    return arms


def _traits(arm: str, k: int) -> tuple[str, ...]:
    if arm == "MSC":
        if k % 17 in (5, 11):
            return ("late-death",) if k % 17 == 5 else ("early-death",)
        return ("not-done",) if k % 17 == 6 else _MSC_TRAITS.get(k, ())
    if k % 17 in (5, 9, 14):
        return ("early-death",) if k % 17 == 5 else ("late-death",)
    return _CTRL_TRAITS.get(k, ())


def _base(index: int, role: str, seed: int, day: date, age: int | None = None) -> Person:
    """Return a person without a history; `day` is the day at which the age (drawn 18–60, or given) is reached."""
    rng = stream(seed, index, "person")
    years = age if age is not None else 18 + draw(rng, 43)
    cycle = draw(rng, 60)
    return Person(
        index=index,
        role=role,
        traits=(),
        pid=f"pt-{index:04d}-{draw(rng, 16**6):06x}",
        old_pid=None,
        mrn=f"MRN{draw(rng, 1000):03d}{index:05d}",
        family=_SURNAMES[draw(rng, len(_SURNAMES))],
        given=_STEMS[cycle % 10] + _BRANCHES[cycle % 12],
        gender="male" if rng.random() < 0.55 else "female",
        birth=date(day.year - years, day.month, min(day.day, 28)) - days(1 + draw(rng, 300)),
        weight=45 + draw(rng, 400) / 10,
        height=152 + draw(rng, 34),
        donor=DONORS[draw(rng, 10) * 3 // 10],
        arm="",
        hsct=None,
        pgf=None,
        consent=None,
        screening=None,
        randomisation=None,
        start=None,
        death=None,
        last=day,
    )


def _subject(index: int, arm: str, k: int, subjects: int, seed: int) -> Person:
    rng = stream(seed, index, "dates")
    traits = _traits(arm, k)
    randomised = START + days(index * ENROLMENT_DAYS // subjects + draw(rng, 5))
    consent = randomised - days(2 + draw(rng, 4))
    pgf = consent - days(3 + draw(rng, 5))
    hsct = pgf - days(28 + draw(rng, 33))
    start: date | None = randomised + days(1 + draw(rng, 3) if arm == "MSC" else draw(rng, 3))
    if "course-under-way" in traits:
        start = randomised
    elif "request-first" in traits:
        start = randomised + days(2)
    elif "never-treated" in traits:
        start = None
    origin = start or randomised
    death = withdrawal = None
    last = min(hsct + days(366 + draw(rng, 12)), EXPORT)
    if "death-after-infusion" in traits:
        death = origin + days(35)  # fourteen days after the fourth infusion
    elif "early-death" in traits:
        death = origin + days(17 + draw(rng, 30))
    elif "late-death" in traits:
        death = max(hsct + days(130 + draw(rng, 150)), origin + days(70))
    elif "death-undated" in traits:
        last = hsct + days(190)
    elif "never-treated" in traits:
        last = randomised + days(2)  # moved to another hospital
    elif "withdrew-treatment" in traits:
        withdrawal = origin + days(13)
    elif "withdrew-consent" in traits:
        withdrawal = origin + days(17)
        last = withdrawal + days(25)  # the hospital goes on treating; the trial may not look
    base = _base(index, "subject", seed, consent)
    return replace(
        base,
        traits=traits,
        arm=arm,
        gender="other" if "sex-other" in traits else base.gender,
        old_pid=f"old-{index:04d}" if "merged" in traits else None,
        hsct=hsct,
        pgf=pgf,
        consent=consent,
        screening=consent + days(draw(rng, 2)),
        randomisation=randomised,
        start=start,
        death=death,
        withdrawal=withdrawal,
        last=death - days(1) if death else last,
    )


def _failure(index: int, j: int, failures: int, seed: int) -> Person:
    """A screen failure; every third has no clinical data at all."""
    rng = stream(seed, index, "dates")
    consent = START + days(j * ENROLMENT_DAYS // failures + draw(rng, 9))
    pgf = consent - days(4)
    reason = j % len(FAILURES)
    base = _base(index, "failure", seed, consent, 61 + draw(rng, 6) if reason == 0 else None)
    traits = ("no-data",) if j % 3 == 2 else ()
    return replace(
        base,
        traits=traits,
        hsct=pgf - days(30 + draw(rng, 20)),
        pgf=pgf,
        consent=consent,
        screening=consent + days(1),
        last=consent + days(1 if traits else 3),
        failure=reason,
    )


def _unassigned(index: int, seed: int) -> Person:
    consent = EXPORT - days(5)
    base = _base(index, "unassigned", seed, consent)
    return replace(
        base,
        hsct=consent - days(44),
        pgf=consent - days(5),
        consent=consent,
        screening=consent + days(1),
        last=EXPORT - days(1),
    )


def _other(index: int, j: int, others: int, seed: int) -> Person:
    """A patient of the hospital who is no subject: two of three transplanted, the third an outpatient; one has died."""
    rng = stream(seed, index, "dates")
    last = START + days(j * ENROLMENT_DAYS // others + draw(rng, 20))
    base = _base(index, "other", seed, last, 8 + draw(rng, 70))
    return replace(base, last=last, hsct=last - days(40) if j % 3 else None, death=last + days(1) if j == 1 else None)


def _numbered(people: list[Person]) -> tuple[Person, ...]:
    """Give subject codes in the order of consent, as a screening log does."""
    logged = sorted((p.consent, p.index) for p in people if p.consent)
    width = max(3, len(str(len(logged))))
    codes = {index: f"{n:0{width}d}" for n, (_, index) in enumerate(logged, 1)}
    return tuple(replace(p, subjid=codes.get(p.index, "")) for p in people)
