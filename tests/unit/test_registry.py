"""The registry: what it finds, in which order, and what it refuses."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from adapter import registry
from adapter.errors import DeclarationError
from adapter.registry import ordered, record_order, references, shipped
from adapter.spec import ASSIGNED, DERIVED, Dataset, Records, Variable, call, const, path, ref

ROOT = Path(__file__).parents[2]


def echo(values: pd.Series[str], other: pd.Series[str] | None = None) -> pd.Series[str]:
    """The value of {a0}, as it is."""
    return values


def dataset(name: str, *more: Variable, needs: tuple[str, ...] = ()) -> Dataset:
    plain = (
        Variable("STUDYID", "Study Identifier", "Char", const("S"), ASSIGNED),
        Variable("USUBJID", "Unique Subject Identifier", "Char", path("USUBJID"), ASSIGNED),
    )
    return Dataset(
        name, f"Label of {name}", "FINDINGS", "One record", ("STUDYID", "USUBJID"), plain + more,
        lambda _: Records(pd.DataFrame()), needs=needs,
    )  # fmt: skip


def derived(name: str, *refs: str) -> Variable:
    return Variable(name, "A label", "Char", call(echo, "USUBJID", *map(ref, refs)), DERIVED)


def copied(name: str, of: str) -> Variable:
    return Variable(name, "A label", "Char", ref(of), DERIVED)


def names(datasets: tuple[Dataset, ...]) -> list[str]:
    return [d.name for d in datasets]


def test_every_file_of_the_mappings_is_found_once() -> None:
    """Adding a domain = one new file: nothing else lists the domains."""
    stems = {p.stem.upper() for p in (ROOT / "mappings/sdtm").glob("*.py")} | {
        p.stem.upper() for p in (ROOT / "mappings/adam").glob("*.py")
    }
    assert sorted(names(shipped())) == sorted(stems - {"__INIT__"})
    assert shipped() is shipped(), "declarations are read once"


def test_shipped_datasets_come_after_those_they_refer_to() -> None:
    order = names(shipped())
    for d in shipped():
        for other, _ in references(d):
            assert order.index(other) < order.index(d.name)
    assert order.index("DM") < order.index("LB")


def test_records_come_after_those_they_need() -> None:
    order = names(record_order(shipped()))
    assert sorted(order) == sorted(names(shipped()))
    assert order.index("EC") < order.index("EX") < order.index("DM")
    assert order.index("CM") < order.index("DM")


def test_order_does_not_depend_on_the_order_given() -> None:
    a, b, c = dataset("AA", derived("X", "CC.USUBJID")), dataset("BB"), dataset("CC", copied("Y", "BB.USUBJID"))
    assert names(ordered([a, b, c])) == names(ordered([c, b, a])) == names(ordered([b, a, c])) == ["BB", "CC", "AA"]


def test_references_are_those_to_other_datasets() -> None:
    d = dataset("AA", derived("X", "AA.USUBJID", "BB.USUBJID"), copied("Y", "CC.STUDYID"))
    assert references(d) == {("BB", "USUBJID"), ("CC", "STUDYID")}


@pytest.mark.parametrize(
    ("datasets", "says"),
    [
        ([dataset("AA"), dataset("AA")], "dataset AA is declared twice"),
        ([dataset("AA", derived("X", "DM.RFSTDTC"))], "AA: unknown dataset 'DM'"),
        ([dataset("AA", derived("X", "BB.USUBJIDD")), dataset("BB")], "unknown variable of BB 'USUBJIDD'"),
        (
            [
                dataset("AA", derived("X", "BB.Y")),
                dataset("BB", derived("Y", "CC.Z")),
                dataset("CC", copied("Z", "AA.X")),
            ],
            "circle: AA -> BB -> CC -> AA",
        ),
    ],
    ids=["twice", "no dataset", "no variable", "circle"],
)
def test_what_cannot_be_built_is_refused(datasets: list[Dataset], says: str) -> None:
    with pytest.raises(DeclarationError) as e:
        ordered(datasets)
    assert says in str(e.value)


def test_a_misspelt_variable_is_answered_with_the_near_one() -> None:
    with pytest.raises(DeclarationError, match="USUBJID"):
        ordered([dataset("AA", derived("X", "BB.USUBJD")), dataset("BB")])


@pytest.mark.parametrize(
    ("datasets", "says"),
    [
        ((dataset("AA", needs=("BB",)), dataset("BB", needs=("AA",))), "circle: AA -> BB -> AA"),
        ((dataset("AA", needs=("ZZ",)),), "AA needs unknown dataset 'ZZ'"),
        ((dataset("AA", needs=("AA",)),), "circle: AA -> AA"),
    ],
    ids=["circle", "unknown", "itself"],
)
def test_needs_that_cannot_be_met_are_refused(datasets: tuple[Dataset, ...], says: str) -> None:
    with pytest.raises(DeclarationError) as e:
        record_order(datasets)
    assert says in str(e.value)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty package in the place of the mappings."""
    folder = tmp_path / "somemappings"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "PACKAGES", ("somemappings",))
    registry.shipped.cache_clear()
    yield folder
    registry.shipped.cache_clear()
    for name in [n for n in sys.modules if n.startswith("somemappings")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "somemappings.aa exports no DATASET"),
        ("DATASET = 'AA'", "somemappings.aa.DATASET is a str; expected a Dataset"),
    ],
    ids=["nothing", "text"],
)
def test_a_file_that_declares_nothing_is_refused(package: Path, text: str, says: str) -> None:
    (package / "aa.py").write_text(text)
    with pytest.raises(DeclarationError, match=says):
        shipped()


def test_a_new_file_is_a_new_dataset(package: Path) -> None:
    (package / "aa.py").write_text("from tests.unit.test_registry import dataset\nDATASET = dataset('AA')\n")
    assert names(shipped()) == ["AA"]


def test_the_module_of_a_file_is_imported_by_name_only() -> None:
    """design.md: adapter reaches mappings only through the registry."""
    assert isinstance(registry, types.ModuleType)
    assert registry.PACKAGES == ("mappings.sdtm", "mappings.adam")
