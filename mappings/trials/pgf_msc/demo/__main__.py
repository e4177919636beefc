"""Writes the page of the demo: python -m mappings.trials.pgf_msc.demo FILE."""

import sys
from pathlib import Path

from mappings.trials.pgf_msc.demo.wart_page import page

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
