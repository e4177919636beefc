"""Characters that no text of FHIR may hold, and that neither XPT nor XML can: each becomes a blank, and it is told.

FHIR R4 string: no character below 32 but tab, line feed and carriage return. U+FFFE and U+FFFF are no characters.
"""

from __future__ import annotations

import re

PATTERN = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]"
UNPRINTABLE = re.compile(PATTERN)
NOTED = "control-character@string"


def one_line(text: str) -> str:
    """Return a text on one line: tabs and line breaks are blanks in a dataset. Line separators of Unicode stay."""
    return " ".join(re.split(r"[\t\r\n]+", text)).strip() if re.search(r"[\t\r\n]", text) else text
