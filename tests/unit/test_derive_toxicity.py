"""CTCAE v5 grades of laboratory results: at every limit, with baselines normal, abnormal and unknown, and recomputed."""

from __future__ import annotations

import random
from fractions import Fraction as F
from importlib.resources import files

import pandas as pd
import pytest

from adapter.codes import load_codes
from adapter.derive.toxicity import (
    KEY,
    Rule,
    compute_shift,
    compute_toxicity,
    derive_baseline_grade,
    rules_of,
)
from adapter.errors import InputError
from adapter.trial import find_trials, load_trial

pytestmark = pytest.mark.filterwarnings("error")

TABLE = load_codes("toxicity", files("mappings.codes"), key=KEY)
UNITS = {
    **dict.fromkeys(("ALT", "AST", "ALP", "GGT"), "U/L"),
    **dict.fromkeys(("BILI", "CREAT"), "umol/L"),
    **dict.fromkeys(("SODIUM", "K", "CA", "MG", "PHOS"), "mmol/L"),
    **dict.fromkeys(("NEUT", "PLAT", "WBC", "LYM"), "10^9/L"),
    "HGB": "g/L",
}
COLUMNS = ["PARAMCD", "COMPARATOR", "AVAL", "AVALU", "ANRLO", "ANRHI", "BASE", "BASEHI", "BEFORE"]


@pytest.fixture(scope="module")
def rules() -> tuple[Rule, ...]:
    return rules_of(TABLE, "5.0")


def record(
    test: str,
    value: str,
    low: str = "",
    high: str = "",
    base: str = "",
    base_high: str = "",
    before: bool = False,
    unit: str | None = None,
) -> list[object]:
    sign = value.rstrip("0123456789.")
    number = value[len(sign) :]
    facts = [float(x) if x else float("nan") for x in (number, low, high, base, base_high)]
    return [test, sign, facts[0], UNITS[test] if unit is None else unit, *facts[1:], before]


def graded(rules: tuple[Rule, ...], *records: list[object]) -> pd.DataFrame:
    return compute_toxicity(pd.DataFrame(list(records), columns=COLUMNS), rules)


def one(rules: tuple[Rule, ...], *args: object, **more: object) -> tuple[str, str, str, str]:
    (found,) = graded(rules, record(*args, **more)).itertuples(index=False)  # type: ignore[arg-type]
    return tuple(found)  # type: ignore[return-value]


def test_the_trial_s_tests_have_rules_in_their_standard_units(rules: tuple[Rule, ...]) -> None:
    toxicity = load_trial(find_trials()["pgf_msc"]).safety.toxicity
    named = {r.testcd for r in rules}
    assert named == {*toxicity.graded, *toxicity.expected}
    observations = load_codes("observations", files("mappings.codes"))
    standard = {(r["testcd"], r["standard_unit"]) for r in observations if r["cat"] in ("CHEMISTRY", "HEMATOLOGY")}
    assert {(r.testcd, r.unit) for r in rules if r.unit} <= standard


# value -> grade, in the direction L or H. Limits of normal: those of the row.
AT_LIMITS = [
    # test, direction, LLN, ULN, {value: grade}
    ("ALT", "H", "9", "40", {"40": 0, "40.01": 1, "120": 1, "120.01": 2, "200": 2, "201": 3, "800": 3, "800.1": 4}),
    ("AST", "H", "9", "40", {"40": 0, "41": 1, "120": 1, "121": 2, "200": 2, "201": 3, "800": 3, "801": 4}),
    ("ALP", "H", "9", "40", {"40": 0, "41": 1, "100": 1, "100.1": 2, "200": 2, "201": 3, "800": 3, "801": 4}),
    ("GGT", "H", "9", "40", {"40": 0, "41": 1, "100": 1, "100.1": 2, "200": 2, "201": 3, "800": 3, "801": 4}),
    ("BILI", "H", "2", "20", {"20": 0, "20.1": 1, "30": 1, "30.1": 2, "60": 2, "61": 3, "200": 3, "201": 4}),
    ("SODIUM", "L", "135", "145", {"135": 0, "134.9": 1, "130": 1, "129": 2, "125": 2, "124": 3, "120": 3, "119": 4}),
    ("SODIUM", "H", "135", "145", {"145": 0, "146": 1, "150": 1, "151": 2, "155": 2, "156": 3, "160": 3, "161": 4}),
    ("K", "L", "3.5", "5.1", {"3.5": 0, "3.4": 1, "3.0": 1, "2.99": 3, "2.5": 3, "2.49": 4}),
    ("K", "H", "3.5", "5.1", {"5.1": 0, "5.2": 1, "5.5": 1, "5.51": 2, "6.0": 2, "6.01": 3, "7.0": 3, "7.01": 4}),
    ("CA", "L", "2.1", "2.6", {"2.1": 0, "2.09": 1, "2.0": 1, "1.99": 2, "1.75": 2, "1.74": 3, "1.5": 3, "1.49": 4}),
    ("CA", "H", "2.1", "2.6", {"2.6": 0, "2.61": 1, "2.9": 1, "2.91": 2, "3.1": 2, "3.11": 3, "3.4": 3, "3.41": 4}),
    ("MG", "L", "0.7", "1", {"0.7": 0, "0.69": 1, "0.5": 1, "0.49": 2, "0.4": 2, "0.39": 3, "0.3": 3, "0.29": 4}),
    ("MG", "H", "0.7", "1", {"1": 0, "1.01": 1, "1.23": 1, "1.24": 3, "3.30": 3, "3.31": 4}),
    ("NEUT", "L", "2", "7", {"2": 0, "1.99": 1, "1.5": 1, "1.49": 2, "1": 2, "0.99": 3, "0.5": 3, "0.49": 4, "0": 4}),
    ("PLAT", "L", "125", "350", {"125": 0, "124": 1, "75": 1, "74": 2, "50": 2, "49": 3, "25": 3, "24": 4}),
    ("HGB", "L", "130", "170", {"130": 0, "129": 1, "100": 1, "99.9": 2, "80": 2, "79": 3, "30": 3}),
    ("HGB", "H", "130", "170", {"170": 0, "171": 1, "190": 1, "191": 2, "210": 2, "211": 3}),
    ("WBC", "L", "3.5", "9.5", {"3.5": 0, "3.49": 1, "3": 1, "2.99": 2, "2": 2, "1.99": 3, "1": 3, "0.99": 4}),
    ("WBC", "H", "3.5", "9.5", {"9.6": 0, "100": 0, "100.1": 3}),
    ("LYM", "L", "1.1", "3.2", {"1.1": 0, "1.09": 1, "0.8": 1, "0.79": 2, "0.5": 2, "0.49": 3, "0.2": 3, "0.19": 4}),
    ("LYM", "H", "1.1", "3.2", {"3.3": 0, "4.0": 0, "4.01": 2, "20": 2, "20.1": 3}),
    # without a baseline that forbids it: three times the baseline is grade 3, whatever the limit of normal
    ("CREAT", "H", "40", "100", {"100": 0, "101": 1, "150": 1, "151": 2, "300": 2, "301": 3, "600": 3, "601": 4}),
]


@pytest.mark.parametrize(
    ("test", "direction", "low", "high", "grades"), [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in AT_LIMITS]
)
def test_grades_at_the_limits(
    rules: tuple[Rule, ...], test: str, direction: str, low: str, high: str, grades: dict[str, int]
) -> None:
    """The baseline was normal, at the upper limit itself (a baseline of 40 with limit 40 is no abnormal one)."""
    found = graded(rules, *(record(test, v, low, high, high, high) for v in grades))
    assert dict(zip(grades, found[f"ATOXGR{direction}"], strict=True)) == {v: str(g) for v, g in grades.items()}
    assert set(found[f"why_{direction.lower()}"]) == {""}


ABNORMAL = [
    ("ALT", "H", "100", {"149.9": 0, "150": 1, "300": 1, "301": 2, "500": 2, "501": 3, "2000": 3, "2001": 4, "41": 0}),
    ("AST", "H", "100", {"149.9": 0, "150": 1, "300": 1, "301": 2, "500": 2, "501": 3, "2000": 3, "2001": 4}),
    ("ALP", "H", "100", {"199.9": 0, "200": 1, "250": 1, "251": 2, "500": 2, "501": 3, "2000": 3, "2001": 4}),
    ("GGT", "H", "100", {"199.9": 0, "200": 1, "250": 1, "251": 2, "500": 2, "501": 3, "2000": 3, "2001": 4}),
    ("BILI", "H", "100", {"100": 0, "100.1": 1, "150": 1, "151": 2, "300": 2, "301": 3, "1000": 3, "1001": 4}),
    ("CREAT", "H", "200", {"100": 0, "101": 1, "150": 1, "151": 2, "300": 2, "301": 3, "600": 3, "601": 4}),
    ("CREAT", "H", "40", {"60": 0, "61": 2, "120": 2, "121": 3}),  # rises within normal count against the baseline
]


@pytest.mark.parametrize(("test", "direction", "base", "grades"), ABNORMAL)
def test_clauses_of_an_abnormal_baseline(
    rules: tuple[Rule, ...], test: str, direction: str, base: str, grades: dict[str, int]
) -> None:
    high = "100" if test == "CREAT" else "40"
    found = graded(rules, *(record(test, v, "", high, base, high) for v in grades))
    assert dict(zip(grades, found[f"ATOXGR{direction}"], strict=True)) == {v: str(g) for v, g in grades.items()}


def test_abnormal_is_judged_by_the_limit_of_the_baseline_record_itself(rules: tuple[Rule, ...]) -> None:
    assert one(rules, "ALT", "90", "", "40", base="50", base_high="60")[1] == "1"  # normal then: 90 > 40
    assert one(rules, "ALT", "70", "", "40", base="50", base_high="45")[1] == "0"  # abnormal then: 70 < 75
    assert one(rules, "ALT", "75", "", "40", base="50", base_high="45")[1] == "1"


def test_records_up_to_baseline_are_graded_against_the_limits_of_normal(rules: tuple[Rule, ...]) -> None:
    for test, value, grade in (("ALT", "200.1", "3"), ("CREAT", "151", "2"), ("CREAT", "100", "0")):
        high = "40" if test == "ALT" else "100"
        assert one(rules, test, value, "", high, before=True)[1:4:2] == (grade, "")
        assert one(rules, test, value, "", high, base=value, base_high=high, before=True)[1:4:2] == (grade, "")


def test_limits_are_compared_as_decimals(rules: tuple[Rule, ...]) -> None:
    assert 1.5 * 1.1 != 1.65
    assert one(rules, "BILI", "1.65", "", "1.1", "1", "1.1")[1] == "1"
    assert one(rules, "BILI", "1.66", "", "1.1", "1", "1.1")[1] == "2"
    assert 3 * 0.7 != 2.1
    assert one(rules, "ALT", "2.1", "", "0.7", "0.5", "0.7")[1] == "1"


@pytest.mark.parametrize(
    ("args", "more", "grade", "why"),
    [
        (("ALT", "", "", "40", "30", "40"), {}, "", "no value"),
        (("ALT", "90", "", "", "30", "40"), {}, "", "no limit of normal"),
        (("ALT", "90", "", "", "50", "40"), {}, "1", ""),  # abnormal baseline: the ULN does not matter
        (("ALT", "90", "", "40"), {}, "", "no baseline"),
        (("ALT", "90", "", "40", "30"), {}, "", "no baseline"),  # baseline without a limit: normal or not is unknown
        (("CREAT", "90", "", "100"), {}, "", "no baseline"),
        (("CREAT", "301", "", "100"), {}, "3", ""),  # more than the baseline could add
        (("CREAT", "601", "", "100"), {}, "4", ""),
        (("CREAT", "151", "", "100"), {}, "", "no baseline"),  # 2, or 3 by the baseline
        (("K", "3.2"), {}, "", "no limit of normal"),
        (("K", "2.9"), {}, "3", ""),
        (("K", "2.9"), {"unit": "mg/dL"}, "", "another unit"),
        (("K", "2.9"), {"unit": ""}, "", "another unit"),
        (("PHOS", "0.1", "0.8", "1.5"), {}, "", "graded by treatment"),
        (("PHOS", "0.8", "0.8", "1.5"), {}, "0", ""),
        (("PHOS", "0.1"), {}, "", "no limit of normal"),
    ],
)
def test_what_is_unknown_stays_unknown(
    rules: tuple[Rule, ...], args: tuple[str, ...], more: dict[str, str], grade: str, why: str
) -> None:
    low, high, why_low, why_high = one(rules, *args, **more)
    assert ((low, why_low) if args[0] in ("K", "PHOS") else (high, why_high)) == (grade, why)


@pytest.mark.parametrize(
    ("value", "grade", "why"),
    [
        ("<25", "4", ""),
        ("<=25", "", "comparator"),  # 25 itself is grade 3
        ("<24", "4", ""),
        ("<50", "", "comparator"),
        (">=125", "0", ""),
        (">125", "0", ""),
        (">100", "", "comparator"),
        ("~10", "", "comparator"),
    ],
)
def test_a_comparator_proves_only_what_it_proves(rules: tuple[Rule, ...], value: str, grade: str, why: str) -> None:
    low, _, why_low, _ = one(rules, "PLAT", value, "125", "350")
    assert (low, why_low) == (grade, why)


def test_a_comparator_at_an_upper_limit(rules: tuple[Rule, ...]) -> None:
    assert one(rules, "ALT", ">800", "", "40", "30", "40")[1] == "4"
    assert one(rules, "ALT", ">=800", "", "40", "30", "40")[1::2] == ("", "comparator")
    assert one(rules, "ALT", "<40", "", "40", "30", "40")[1] == "0"


def test_tests_without_rules_and_empty_tables(rules: tuple[Rule, ...]) -> None:
    other = pd.DataFrame([["ALB", "", 30.0, "g/L", 35.0, 50.0, 40.0, 50.0, False]], columns=COLUMNS)
    assert compute_toxicity(other, rules).to_numpy().tolist() == [["", "", "", ""]]
    assert compute_toxicity(other.iloc[:0], rules).shape == (0, 4)
    assert one(rules, "ALT", "50", "9", "40", "30", "40")[0::2] == ("", "")  # no grade for a low ALT


def test_rows_keep_their_place_whatever_their_index(rules: tuple[Rule, ...]) -> None:
    rows = [record("K", "2.4", "3.5", "5.1"), record("HGB", "79", "130", "170"), record("K", "8")]
    found = compute_toxicity(pd.DataFrame(rows, columns=COLUMNS, index=[7, 7, 7]), rules)
    assert found["ATOXGRL"].tolist() == ["4", "3", ""]
    assert found["ATOXGRH"].tolist() == ["0", "0", "4"]
    assert found.index.tolist() == [7, 7, 7]


def test_baseline_grades_and_shifts() -> None:
    grade = pd.Series(["0", "2", "1", "3", "1", "2"])
    subject, test = pd.Series(list("aaabbb")), pd.Series(["K", "K", "MG", "K", "K", "MG"])
    flag = pd.Series([True, False, False, True, False, False])
    base = derive_baseline_grade(grade, subject, test, flag)
    assert base.tolist() == ["0", "0", "", "3", "3", ""]
    assert compute_shift(base, grade).tolist() == ["0 to 0", "0 to 2", "", "3 to 3", "3 to 1", ""]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"direction": "X"}, "direction 'X'"),
        ({"grade": "5"}, "grade '5'"),
        ({"baseline": "high"}, "baseline 'high'"),
        ({"operator": "="}, "operator '='"),
        ({"operator": "<"}, "operator <, expected < or <= for L"),
        ({"of": "BASELINE"}, "of 'BASELINE'"),
        ({"limit": "1,5"}, "limit '1,5', expected a number"),
        ({"unit": "U/L"}, "none for multiples"),
        ({"of": "VALUE"}, "expected one for VALUE"),
        ({"version": "4.0"}, "no rule of CTCAE version '5.0'"),
    ],
)
def test_broken_rules_are_refused(change: dict[str, str], message: str) -> None:
    row = {"version": "5.0", "testcd": "ALT", "direction": "H", "term": "ALT increased", "grade": "1"}
    row |= {"baseline": "", "operator": ">", "limit": "1", "of": "ULN", "unit": "", "note": ""}
    assert len(rules_of([row], "5.0")) == 1
    with pytest.raises(InputError, match=message):
        rules_of([row | change], "5.0")


def by_the_book(test: str, value: F, low: F, high: F, base: F, base_high: F) -> tuple[int | None, int | None]:
    """Return the grades L and H by CTCAE v5.0's own ranges, from the highest grade down; None: no grade in a direction."""

    def highest(*conditions: tuple[int, bool]) -> int:
        return next((grade for grade, holds in conditions if holds), 0)

    def below(first: F, **limits: str) -> int:
        return highest(
            *((int(g[1]), value < F(x)) for g, x in sorted(limits.items(), reverse=True)), (1, value < first)
        )

    def above(first: F, **limits: str) -> int:
        return highest(
            *((int(g[1]), value > F(x)) for g, x in sorted(limits.items(), reverse=True)), (1, value > first)
        )

    if test in ("ALT", "AST", "ALP", "GGT", "BILI"):
        a, b, c = {"ALT": (3, 5, 20), "AST": (3, 5, 20), "BILI": (F("1.5"), 3, 10)}.get(test, (F("2.5"), 5, 20))
        if base > base_high:
            start = {"ALT": value >= base * F(3, 2), "AST": value >= base * F(3, 2), "BILI": value > base}
            return None, highest(
                (4, value > c * base),
                (3, value > b * base),
                (2, value > a * base),
                (1, start.get(test, value >= 2 * base)),
            )
        return None, highest((4, value > c * high), (3, value > b * high), (2, value > a * high), (1, value > high))
    if test == "CREAT":
        return None, highest(
            (4, value > 6 * high),
            (3, value > 3 * high or value > 3 * base),
            (2, value > F(3, 2) * high or value > F(3, 2) * base),
            (1, value > high),
        )
    if test == "HGB":
        return below(low, g3="80", g2="100"), highest(
            (3, value - high > 40), (2, value - high > 20), (1, value - high > 0)
        )
    return {
        "SODIUM": lambda: (below(low, g4="120", g3="125", g2="130"), above(high, g4="160", g3="155", g2="150")),
        "K": lambda: (below(low, g4="2.5", g3="3.0"), above(high, g4="7.0", g3="6.0", g2="5.5")),
        "CA": lambda: (below(low, g4="1.5", g3="1.75", g2="2.0"), above(high, g4="3.4", g3="3.1", g2="2.9")),
        "MG": lambda: (below(low, g4="0.3", g3="0.4", g2="0.5"), above(high, g4="3.3", g3="1.23")),
        "NEUT": lambda: (below(low, g4="0.5", g3="1.0", g2="1.5"), None),
        "PLAT": lambda: (below(low, g4="25", g3="50", g2="75"), None),
        "WBC": lambda: (below(low, g4="1", g3="2", g2="3"), 3 if value > 100 else 0),
        "LYM": lambda: (below(low, g4="0.2", g3="0.5", g2="0.8"), highest((3, value > 20), (2, value > 4))),
    }[test]()


def test_grades_recomputed_by_the_book(rules: tuple[Rule, ...]) -> None:
    """Random decimals, many of them exactly a multiple of a limit; exact fractions on the other side."""
    r = random.Random(5)
    normal = {"SODIUM": (135, 145), "K": (3.5, 5.1), "CA": (2.1, 2.6), "MG": (0.7, 1), "NEUT": (1.8, 6.3)}
    normal |= {"PLAT": (125, 350), "HGB": (130, 175), "WBC": (3.5, 9.5), "LYM": (1.1, 3.2), "BILI": (3.4, 20.5)}
    rows, wanted = [], []
    for _ in range(6000):
        test = r.choice([t for t in UNITS if t != "PHOS"])
        low, high = (F(str(x)) for x in normal.get(test, (9, 40)))
        base_high = high + r.choice((0, 0, 5, -2 if high > 5 else 0))
        base = F(r.randint(1, 400), 100) * high
        anchor = r.choice((high, low, base))
        value = anchor * F(r.choice(("0.1", "0.5", "0.9", "1", "1.5", "2", "2.5", "3", "5", "6", "10", "20")))
        value += r.choice((0, 0, F(1, 100), F(-1, 100)))
        if r.random() < 0.3:
            value = F(r.choice(("0.5", "1", "2.5", "3", "3.1", "6", "20", "25", "50", "75", "80", "100", "125", "150")))
        texts = [str(float(round(x, 6))) for x in (value, low, high, base, base_high)]
        if float(value) < 0 or any("e" in x for x in texts):
            continue
        exact = [F(x) for x in texts]
        rows.append(record(test, *texts))
        wanted.append(by_the_book(test, *exact))
    found = graded(rules, *rows)
    assert len(rows) > 5500
    assert set(found["why_l"]) | set(found["why_h"]) == {""}
    for column, i in (("ATOXGRL", 0), ("ATOXGRH", 1)):
        assert found[column].tolist() == ["" if w[i] is None else str(w[i]) for w in wanted]
        assert set(found[column]) == {"", "0", "1", "2", "3", "4"}
