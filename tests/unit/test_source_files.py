"""Input files and byte ranges: every line exactly once, with its number and offset, however a file is cut."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import InputError
from adapter.sources.files import byte_ranges, find_files, read_range, sha256_of, split_lines


def lines_by_hand(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return (number, offset, line with its end) by walking over the bytes: the independent way."""
    found, start, number = [], 0, 1
    for at, byte in enumerate(data):
        if byte == 0x0A:
            found.append((number, start, data[start : at + 1]))
            start, number = at + 1, number + 1
    if start < len(data):
        found.append((number, start, data[start:]))
    return found


def read_in(path: Path, ranges: list[tuple[int, int]]) -> list[tuple[int, int, bytes]]:
    """Read ranges one by one, counting lines as the driver does."""
    found, number = [], 1
    for start, stop in ranges:
        offset, data = read_range(str(path), start, stop)
        for line in io.BytesIO(data):
            found.append((number, offset, line))
            offset += len(line)
            number += 1
    return found


def file_of(kind: str) -> bytes:
    """Return a file of 200 lines with what breaks line splitters."""
    chance = random.Random(5)
    lines = []
    for i in range(200):
        text = chance.choice(["", "x", "中文", "a\u2028b", "c\u0085d", "\r", "\x0b\x0c\x1c", "y" * 40])
        lines.append(f'{{"n":{i},"t":"{text}"}}'.encode())
    if kind == "long line":
        lines[100] = b'{"long":"' + b"z" * 9000 + b'"}'
    if kind == "blank lines":
        lines = [b"" if i % 7 in (0, 1) else line for i, line in enumerate(lines)]
    end = b"\r\n" if kind == "CRLF" else b"\n"
    return end.join(lines) + (b"" if kind == "no final newline" else end)


KINDS = ["plain", "CRLF", "no final newline", "long line", "blank lines"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_split_point(kind: str, tmp_path: Path) -> None:
    data = file_of(kind)
    path = tmp_path / "x.ndjson"
    path.write_bytes(data)
    expected = lines_by_hand(data)
    assert len(expected) == 200
    points = range(1, len(data)) if kind != "long line" else [*range(1, 5000, 7), *range(9000, len(data), 3)]
    for cut in points:
        assert read_in(path, [(0, cut), (cut, len(data))]) == expected, f"cut at byte {cut}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [1, 2, 97, 1000, 10**9])
def test_every_step(kind: str, step: int, tmp_path: Path) -> None:
    data = file_of(kind)
    path = tmp_path / "x.ndjson"
    path.write_bytes(data)
    assert read_in(path, byte_ranges(len(data), step)) == lines_by_hand(data)


@given(data=st.binary(max_size=60).map(lambda b: b.replace(b"a", b"\n")), step=st.integers(1, 70))
@settings(max_examples=300, deadline=None)
def test_any_bytes_any_step(data: bytes, step: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / f"bytes-{os.getpid()}"
    path.write_bytes(data)
    mark = b"\xef\xbb\xbf"  # a byte order mark is no part of the first line
    shift = len(mark) if data.startswith(mark) else 0
    expected = [(n, offset + shift, line) for n, offset, line in lines_by_hand(data[shift:])]
    assert read_in(path, byte_ranges(len(data), step)) == expected


@pytest.mark.parametrize(
    ("size", "step", "ranges"),
    [
        (0, 10, []),
        (1, 10, [(0, 1)]),
        (10, 10, [(0, 10)]),
        (11, 10, [(0, 10), (10, 11)]),
        (25, 10, [(0, 10), (10, 20), (20, 25)]),
    ],
)
def test_ranges(size: int, step: int, ranges: list[tuple[int, int]]) -> None:
    assert byte_ranges(size, step) == ranges


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\n\r\nb\r\n", [b"a\r", b"\r", b"b\r"]),
        ("a\u2028\u0085b\n".encode(), ["a\u2028\u0085b".encode()]),
    ],
)
def test_lines_end_with_newline_only(data: bytes, lines: list[bytes]) -> None:
    assert split_lines(data) == lines


def test_sha256_known_answer(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")
    root.mkdir(exist_ok=True)
    return root


def test_files_are_numbered_by_label_whatever_the_order_of_arguments(tmp_path: Path) -> None:
    a = folder(tmp_path / "a", "z.ndjson", "sub/y.JSONL", "m.ndjson")
    b = folder(tmp_path / "b", "c.jsonl")
    one = find_files([a, b, tmp_path / "a" / "z.ndjson"])
    assert [(f.number, f.label, f.size) for f in one.files] == [
        (0, "a/m.ndjson", 3),
        (1, "a/sub/y.JSONL", 3),
        (2, "a/z.ndjson", 3),
        (3, "b/c.jsonl", 3),
        (4, "z.ndjson", 3),
    ]
    assert find_files([tmp_path / "a" / "z.ndjson", b, a]) == one


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "in", "a.ndjson", "b.txt", ".part.ndjson", ".DS_Store", ".cache/c.ndjson")
    (root / "linked").symlink_to(folder(tmp_path / "other", "d.ndjson"))
    os.mkfifo(root / "pipe.ndjson")
    found = find_files([root])
    assert [f.label for f in found.files] == ["in/a.ndjson"]
    assert dict(found.passed_over) == {
        "in/b.txt": "neither NDJSON nor JSON",
        "in/.part.ndjson": "hidden file",
        "in/.cache": "hidden folder",
        "in/linked": "link to a folder",
        "in/pipe.ndjson": "no regular file",
    }


def test_a_file_name_that_is_not_utf8_can_still_be_reported(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/in"
    os.mkdir(raw)
    with open(raw + b"/\xb2\xe9.ndjson", "wb") as f:  # GB18030 for 查
        f.write(b"{}\n")
    (found,) = find_files([tmp_path / "in"]).files
    assert found.label == "in/\\xb2\\xe9.ndjson"
    assert read_range(found.path, 0, 3) == (0, b"{}\n")


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("missing", "does not exist"),
        ("x" * 300, "File name too long"),
        ("empty", "no FHIR input found"),
        (
            "other",
            r"expected files ending in \.ndjson, \.jsonl, \.json \(or these with \.gz\); "
            r"passed over 1 other files, the first is other/a\.txt",
        ),
        ("dangling", "cannot read .*gone.ndjson: No such file"),
    ],
)
def test_input_that_cannot_be_read(given_: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder(tmp_path / "other", "a.txt")
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "gone.ndjson").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=message):
        find_files([tmp_path / given_])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_input_without_permission(what: str, tmp_path: Path) -> None:
    root = folder(tmp_path / "in", "sub/a.ndjson")
    shut = root / "sub" / "a.ndjson" if what == "file" else root / "sub"
    mode = shut.stat().st_mode
    shut.chmod(0)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            find_files([root])
    finally:
        shut.chmod(mode)


def test_two_folders_of_one_name(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "1" / "fhir", "x.ndjson"), folder(tmp_path / "2" / "fhir", "x.ndjson")
    with pytest.raises(InputError, match=r"two inputs are both named fhir/x\.ndjson"):
        find_files([a, b])


def test_no_argument_at_all() -> None:
    with pytest.raises(InputError, match="no FHIR input found in nothing"):
        find_files([])
