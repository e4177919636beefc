"""The site's private folder: the key that turns hospital ids into keyed ids, and the link file. It stays at the site.

    SITE/key           32 random bytes in hex, mode 0600, made at the first run
    SITE/link/         keyed id -> real id and USUBJID, one file per input range (adapter.links); mode 0600
    SITE/*.csv         the site's own code maps
    SITE/site.toml     optional: server.base = ["https://…/fhir"], the base URLs of the hospital's own FHIR server

A keyed id is the first 16 bytes of HMAC-SHA-256(key, "Type/id"). Without the key nobody can test whether a given
hospital id is in a dataset.
"""

from __future__ import annotations

import os
import secrets
import stat
import tomllib
from hashlib import sha256
from pathlib import Path

from adapter.errors import SiteError
from adapter.references import HTTP, base_url

KEY_FILE = "key"
SITE_FILE = "site.toml"

KEYED_BYTES = 16


class Keyer:
    """Turns a canonical identity such as `Patient/123` into 16 keyed bytes.

    HMAC-SHA-256 written out (RFC 2104), the key's blocks hashed once: a million ids take 0.6 s, 1.6 s with hmac.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = (sha256(key).digest() if len(key) > 64 else key).ljust(64, b"\0")
        self._inner = sha256(bytes(b ^ 0x36 for b in block)).copy
        self._outer = sha256(bytes(b ^ 0x5C for b in block)).copy

    def keyed(self, identity: str) -> bytes:
        inner, outer = self._inner(), self._outer()
        inner.update(identity.encode())
        outer.update(inner.digest())
        return outer.digest()[:KEYED_BYTES]

    def fingerprint(self) -> str:
        """Return a value that tells two keys apart without telling anything of either."""
        return self.keyed("fhir2cdisc key fingerprint").hex()


def open_site(folder: Path) -> Keyer:
    """Return the site's keyer; make the folder (0700) and the key (0600) where they do not exist yet.

    Raises SiteError where the key is malformed, readable by others, or cannot be made.
    """
    path = folder / KEY_FILE
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_private(path, secrets.token_bytes(32).hex() + "\n")
    except OSError as e:
        raise SiteError(
            f"cannot make the site folder {folder}: {e.strerror}; name one that can be written with --site"
        ) from e
    return read_key(path)


def read_key(path: Path) -> Keyer:
    """Return the keyer of a key file. Raises SiteError where it is malformed, readable by others, or cannot be read."""
    refuse_if_shared(path)
    try:
        text = path.read_text("ascii", errors="replace").strip()
    except OSError as e:
        raise SiteError(f"cannot read {path}: {e.strerror}") from e
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) < 32:
        raise SiteError(f"{path} holds no key: expected at least 64 hexadecimal digits")
    return Keyer(key)


def own_servers(folder: Path) -> frozenset[str]:
    """Return the base URLs that SITE/site.toml declares as the hospital's own; none where it does not say.

    Raises SiteError where the file is no TOML, or says anything else than `server.base`, a list of http(s) URLs.
    """
    path = folder / SITE_FILE
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return frozenset()
    except OSError as e:
        raise SiteError(f"cannot read {path}: {e.strerror}") from e
    except ValueError as e:  # not UTF-8, or no TOML
        raise SiteError(f"{path} is no TOML: {e}") from e
    server = found.get("server", {})
    bases = server.get("base", []) if isinstance(server, dict) else None
    unknown = sorted((found.keys() - {"server"}) | ((server.keys() - {"base"}) if isinstance(server, dict) else set()))
    if unknown:
        raise SiteError(f"{path}: unknown {', '.join(unknown)}; expected server.base only")
    if not isinstance(bases, list) or not all(isinstance(b, str) and b.startswith(HTTP) for b in bases):
        raise SiteError(
            f'{path}: server.base is {bases!r}; expected a list of URLs such as ["https://ehr.example/fhir"]'
        )
    return frozenset(map(base_url, bases))


def refuse_if_shared(path: Path) -> None:
    """Raise SiteError when a private file can be read by group or others."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as e:
        raise SiteError(f"cannot read {path}: {e.strerror}") from e
    if mode & 0o077:
        raise SiteError(f"{path} has mode {mode:04o} and can be read by others; expected 0600 (chmod 600 {path})")


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    # link, not rename: where two runs start at once, the first key stays and the second run uses it
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)
