"""Every exception this program raises on purpose, in one tree.

    AdapterError                 something the caller can act on; never shown as a traceback
    ├── InputError               exit 2: an argument or an input that cannot be read at all
    │   ├── EnrolmentError       the enrolment log contradicts itself, the trial or the FHIR data
    │   ├── TrialError           the trial definition has an unknown key or an impossible value
    │   ├── SiteError            the site folder: key or link file missing, wrong or readable by others
    │   └── OutputError          OUT is not empty, not ours, or not writable
    ├── DeclarationError         a mapping module declares something that cannot be true
    ├── StoreError               a store is damaged, of another key, or of another trial
    ├── WriteError               a value cannot be written in the asked format
    └── RunError                 a task failed for good (killed twice, disk full)

Each message says what was found, what was expected, and where.
All of them survive pickling: an exception that does not would break a process pool while it is being sent back.
"""

from __future__ import annotations

from difflib import get_close_matches


class AdapterError(Exception):
    """Base of all errors that are part of the contract. One positional argument, the message, so that it pickles."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        return str(self.args[0])


class InputError(AdapterError):
    exit_code = 2


class EnrolmentError(InputError):
    pass


class TrialError(InputError):
    pass


class SiteError(InputError):
    pass


class OutputError(InputError):
    pass


class DeclarationError(AdapterError):
    pass


class StoreError(AdapterError):
    pass


class WriteError(AdapterError):
    pass


class RunError(AdapterError):
    pass


def unknown(what: str, found: str, known: list[str]) -> str:
    """Return 'unknown WHAT X; known are …; did you mean Y?' for error messages."""
    near = get_close_matches(found, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    shown = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return f"unknown {what} {found!r}; known are: {shown or 'none'}{hint}"
