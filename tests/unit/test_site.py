"""The site's folder: a key that is made once and stays private, and keyed ids that are plain HMAC-SHA-256."""

from __future__ import annotations

import hmac
import os
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import SiteError
from adapter.site import Keyer, open_site, read_key, refuse_if_shared

HEX = "0123456789abcdef" * 4


def key_file(tmp_path: Path, text: str = HEX + "\n", mode: int = 0o600) -> Path:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(mode)
    return path


@given(st.binary(min_size=1, max_size=200), st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_keyed_ids_are_hmac_sha256(key: bytes, identity: str) -> None:
    assert Keyer(key).keyed(identity) == hmac.new(key, identity.encode(), sha256).digest()[:16]


def test_a_published_value() -> None:
    """RFC 4231, test case 2."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert Keyer(b"Jefe").keyed("what do ya want for nothing?").hex() == expected[:32]


def test_fingerprints_tell_keys_apart_and_nothing_else() -> None:
    one, two = Keyer(b"a" * 32), Keyer(b"b" * 32)
    assert one.fingerprint() == Keyer(b"a" * 32).fingerprint() != two.fingerprint()
    assert (b"a" * 32).hex() not in one.fingerprint()
    assert one.keyed("Patient/1") != two.keyed("Patient/1")


def test_the_first_run_makes_a_private_key_and_the_second_uses_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "site"
    before = os.umask(0)  # however open the session is
    try:
        first = open_site(folder)
    finally:
        os.umask(before)
    path = folder / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(bytes.fromhex(path.read_text())) == 32
    made = path.read_bytes()
    assert open_site(folder).fingerprint() == first.fingerprint()
    assert path.read_bytes() == made
    assert [p.name for p in folder.iterdir()] == ["key"]


def test_two_sites_have_two_keys(tmp_path: Path) -> None:
    assert open_site(tmp_path / "a").fingerprint() != open_site(tmp_path / "b").fingerprint()


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from adapter.site import open_site; sys.stdin.readline(); "
        "print(open_site(Path(sys.argv[1])).fingerprint())"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "site")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(4)
    ]
    for p in started:
        assert p.stdin is not None
        p.stdin.write("go\n")
        p.stdin.flush()
    found = {p.communicate(timeout=60)[0] for p in started}
    assert len(found) == 1
    assert found == {open_site(tmp_path / "site").fingerprint() + "\n"}
    assert [p.name for p in (tmp_path / "site").iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o601])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, mode=mode)
    for call in (refuse_if_shared, read_key):
        with pytest.raises(SiteError, match=rf"mode {mode:04o} .*expected 0600 \(chmod 600"):
            call(path)
    with pytest.raises(SiteError):
        open_site(tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_private_modes(tmp_path: Path, mode: int) -> None:
    assert read_key(key_file(tmp_path, mode=mode)).fingerprint() == Keyer(bytes.fromhex(HEX)).fingerprint()


@pytest.mark.parametrize("text", ["", "\n", HEX[:-2], HEX[:-1], "z" * 64, "密钥" * 32, HEX + "zz"])
def test_a_malformed_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SiteError, match="holds no key: expected at least 64 hexadecimal digits") as e:
        read_key(key_file(tmp_path, text))
    assert not text.strip() or text.strip() not in e.value.message


def test_a_folder_in_place_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(mode=0o700)
    with pytest.raises(SiteError, match=r"cannot read .*key"):
        open_site(tmp_path)


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match="cannot read"):
        read_key(tmp_path / "key")


def test_a_site_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SiteError, match=r"cannot make the site folder .*--site"):
        open_site(tmp_path / "file" / "site")
