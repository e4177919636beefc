"""SUPP--: long text and supplemental variables; nothing is lost, no character is cut (SDTMIG 3.4 §4.5.3, §8.4)."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.define import qualified, supplement_dataset
from adapter.errors import DeclarationError
from adapter.spec import ASSIGNED, COLLECTED, Dataset, Records, Variable, path
from adapter.supplement import COLUMNS, MOST_BYTES, pieces, qnam, supplement


def variable(name: str, supplemental: bool = False, kind: str = "Char") -> Variable:
    origin = COLLECTED if supplemental else ASSIGNED
    return Variable(name, f"Label of {name}", kind, path(name, "Procedure.code"), origin, supplemental=supplemental)  # type: ignore[arg-type]


def dataset(sequence: str | None = "PRSEQ") -> Dataset:
    names = ["STUDYID", "USUBJID", *([sequence] if sequence else []), "PRTRT", "PRINDC"]
    kinds = {"PRSEQ": "Num"}
    return Dataset(
        name="PR",
        label="Procedures",
        cls="INTERVENTIONS",
        structure="One record per procedure",
        keys=("STUDYID", "USUBJID"),
        variables=(
            *(variable(n, kind=kinds.get(n, "Char")) for n in names),
            variable("PRREAS", supplemental=True),
            variable("PRADDR", supplemental=True),
        ),
        records=lambda _: Records(pd.DataFrame()),
        sequence=sequence,
    )


def frame(**columns: list[object]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    base: dict[str, list[object]] = {
        "STUDYID": ["S"] * n, "USUBJID": [f"S-{i}" for i in range(n)], "PRSEQ": [float(i + 1) for i in range(n)],
        "PRTRT": ["x"] * n, "PRINDC": [""] * n, "PRREAS": [""] * n, "PRADDR": [""] * n,
    }  # fmt: skip
    made = pd.DataFrame(base | columns)
    return made.astype({c: "str" for c in made if c != "PRSEQ"})


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=700))
def test_pieces_join_to_the_text_and_fit(text: str) -> None:
    found = pieces(text)
    assert "".join(found) == text
    assert all(len(p.encode()) <= MOST_BYTES for p in found)
    # no piece could have taken the next character too
    for one, following in pairwise(found):
        assert len((one + following[0]).encode()) > MOST_BYTES


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("", [0]), ("a" * 200, [200]), ("a" * 201, [200, 1]), ("髓" * 67, [198, 3]), ("a" + "😀" * 50, [197, 4])],
    ids=["empty", "200", "201", "three bytes", "four bytes"],
)
def test_pieces_end_at_characters(text: str, sizes: list[int]) -> None:
    assert [len(p.encode()) for p in pieces(text)] == sizes


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [("PRTRT", 1, "PRTRT1"), ("LBORNRLO", 2, "LBORNRL2"), ("CMINDC", 10, "CMINDC10"), ("LBORNRLO", 12, "LBORNR12")],
)
def test_qnam_has_at_most_eight_characters(name: str, number: int, expected: str) -> None:
    assert qnam(name, number) == expected


def test_short_values_need_no_supplement() -> None:
    main, supp = supplement(dataset(), frame(PRTRT=["a" * 200, "髓" * 66]))
    assert list(main) == ["STUDYID", "USUBJID", "PRSEQ", "PRTRT", "PRINDC"]
    assert main["PRTRT"].tolist() == ["a" * 200, "髓" * 66]
    assert list(supp) == list(COLUMNS)
    assert len(supp) == 0


def test_long_text_goes_on_in_supp_and_nothing_is_lost() -> None:
    long = "输注" * 80  # 480 bytes
    main, supp = supplement(dataset(), frame(PRTRT=["short", long]))
    assert main["PRTRT"].map(lambda t: len(t.encode())).tolist() == [5, 198]
    assert supp["QNAM"].tolist() == ["PRTRT1", "PRTRT2"]
    assert main["PRTRT"][1] + "".join(supp["QVAL"]) == long
    assert supp[
        ["USUBJID", "RDOMAIN", "IDVAR", "IDVARVAL", "QLABEL", "QORIG"]
    ].drop_duplicates().to_numpy().tolist() == [["S-1", "PR", "PRSEQ", "2", "Label of PRTRT", "Assigned"]]


def test_supplemental_variables_are_rows_where_they_have_a_value() -> None:
    _, supp = supplement(dataset(), frame(PRREAS=["Relapse", "", "Relapse"], PRADDR=["", "", "Ward 3"]))
    found = supp[["USUBJID", "IDVARVAL", "QNAM", "QLABEL", "QVAL", "QORIG"]].to_numpy().tolist()
    assert found == [
        ["S-0", "1", "PRREAS", "Label of PRREAS", "Relapse", "Collected"],
        ["S-2", "3", "PRADDR", "Label of PRADDR", "Ward 3", "Collected"],
        ["S-2", "3", "PRREAS", "Label of PRREAS", "Relapse", "Collected"],
    ]


def test_a_long_supplemental_value_is_split_too() -> None:
    """QVAL is a character variable like any other: at most 200 bytes, the rest under the next QNAM."""
    long = "b" * 450
    _, supp = supplement(dataset(), frame(PRREAS=[long]))
    assert supp["QNAM"].tolist() == ["PRREAS", "PRREAS1", "PRREAS2"]
    assert "".join(supp["QVAL"]) == long


def test_rows_are_sorted_by_subject_and_number_not_by_text() -> None:
    given_ = frame(PRREAS=["r"] * 11)
    given_["USUBJID"] = "S-0"
    _, supp = supplement(dataset(), given_)
    assert supp["IDVARVAL"].tolist() == [str(i) for i in range(1, 12)]


def test_a_dataset_of_one_record_per_subject_needs_no_idvar() -> None:
    """SDTMIG 3.4 §8.4.1: for DM, IDVAR and IDVARVAL are empty."""
    _, supp = supplement(dataset(sequence=None), frame(PRREAS=["r"]).drop(columns="PRSEQ"))
    assert supp[["IDVAR", "IDVARVAL"]].to_numpy().tolist() == [["", ""]]


def test_the_frame_given_is_left_as_it_was() -> None:
    given_ = frame(PRTRT=["a" * 300])
    before = given_.copy()
    supplement(dataset(), given_)
    pd.testing.assert_frame_equal(given_, before)


@pytest.mark.parametrize(
    ("name", "expected"), [("PRREAS", "PRREAS"), ("PRTRT1", "PRTRT"), ("PRINDC12", "PRINDC"), ("PRREAS1", "PRREAS")]
)
def test_a_qnam_leads_back_to_its_variable(name: str, expected: str) -> None:
    assert qualified(dataset(), name).name == expected


def test_an_unknown_qnam_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"SUPPPR: QNAM 'PRFOO'"):
        qualified(dataset(), "PRFOO")


def test_the_declaration_of_supp() -> None:
    supp = supplement_dataset(dataset())
    assert (supp.name, supp.label) == ("SUPPPR", "Supplemental Qualifiers for PR")
    assert [v.name for v in supp.main] == list(COLUMNS)
    assert supp.keys == ("STUDYID", "RDOMAIN", "USUBJID", "IDVAR", "IDVARVAL", "QNAM")
