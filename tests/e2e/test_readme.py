"""README is right: its commands and its Python run, its targets, links and files exist; the pinned packages are all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from adapter.doctor import DISTRIBUTION

REPO = Path(__file__).parents[2]
README = (REPO / "README.md").read_text("utf-8")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
TARGETS = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text("utf-8"), re.M))


ENV = os.environ | {"PYTHONPATH": str(REPO)}


def process(
    command: list[str], folder: Path, env: dict[str, str], text: str | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=text, cwd=folder, env=env, capture_output=True, text=True, check=False)


def blocks(language: str) -> list[str]:
    return [text for kind, text in FENCED.findall(README) if kind == language]


def sets_up(block: str) -> bool:
    """Whether a block installs or calls make: what other tests and people do, not this one."""
    return bool(re.search(r"^(make|python3 -m venv|\S*pip) ", block, re.M))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, int, str, str]]]:
    """Run README from top to bottom in one folder: every shell block, then all Python as one notebook.

    `fhir2cdisc demo` makes ten subjects here, so that it takes seconds. Returns the folder, and of each block its text,
    exit code, stdout and stderr.
    """
    folder = tmp_path_factory.mktemp("readme")
    command = folder / "bin" / "fhir2cdisc"
    command.parent.mkdir()
    command.write_text(
        '#!/bin/sh\nif [ "$1" = demo ]; then set -- "$@" --subjects 10; fi\n'
        f'exec "{sys.executable}" -m adapter.cli "$@"\n'
    )
    command.chmod(0o755)
    env = ENV | {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    shell = [(b, process(["bash", "-c", b], folder, env)) for b in blocks("bash") if not sets_up(b)]
    notebook = "\n".join(blocks("python"))
    done = [*shell, (notebook, process([sys.executable, "-c", notebook], folder, ENV))]
    return folder, [(text, one.returncode, one.stdout, one.stderr) for text, one in done]


def test_every_command_and_snippet_runs(ran: tuple[Path, list[tuple[str, int, str, str]]]) -> None:
    _, done = ran
    assert len(done) >= 5
    for block, code, _, errors in done:
        builds = "fhir2cdisc build" in block or "fhir2cdisc codes check" in block
        validates = "fhir2cdisc validate" in block  # exit code 1: what docs/demo-findings.csv explains
        assert code in ((0, 3) if builds else (0, 1) if validates else (0,)), f"{block}\n{errors}"
        assert "Traceback" not in errors


def test_the_output_folder_looks_as_the_readme_draws_it(ran: tuple[Path, list[tuple[str, int, str, str]]]) -> None:
    folder, _ = ran
    tree = next(b for b in blocks("text") if b.startswith("out/"))
    drawn = set(re.findall(r"[\w.*-]+\.(?:xpt|xml|html|xsl|parquet|ndjson|csv|json)\b", tree))
    real = [p for p in (folder / "out").rglob("*") if p.is_file()]
    missing = [d for d in drawn if d != "supp*.xpt" and not any(p.match(d) for p in real)]
    unknown = [p.name for p in real if not any(p.match(d) for d in drawn)]
    assert (missing, unknown) == ([], [])


def test_the_local_code_is_mapped_as_the_readme_says(ran: tuple[Path, list[tuple[str, int, str, str]]]) -> None:
    from adapter.result import Result

    folder, _ = ran
    table = next(b for b in blocks("bash") if "map_to" in b)
    system, code = re.findall(r"^(urn:[^,]+),([^,]+),", table, re.M)[0]
    result = Result(folder / "out", {})
    assert f"{system}|{code}" not in set(result.unmapped["code"])
    source = (folder / "demo" / "fhir").glob("Observation-0*.ndjson")
    lines = {line for p in source for line in p.read_text("utf-8").splitlines() if f'"{code}"' in line}
    assert (result.sdtm["LB"]["LBTESTCD"] == "OCCBLD").sum() == len(lines) > 0


@pytest.mark.parametrize(
    "snippet",
    [
        # appended to the notebook: what the prose around the snippets says must hold
        "c = result.counts['resources']['Observation']; assert c['read'] == c['used'] + sum(c['dropped'].values())",
        "assert source.loc['LBORRES', 'ELEMENT'].startswith('Observation.value')",
        "assert source.loc['LBSTRESC', 'RULE'] in open('out/sdtm/define.xml', encoding='utf-8').read()",
        "place = source.loc['LBORRES']\n"
        "line = open('demo/' + files[place['FILE']], encoding='utf-8').read().split('\\n')[place['LINE'] - 1]\n"
        "found = link[link['keyed_id'] == place['KEYED_ID']]\n"
        "assert set(found['USUBJID']) == {one['USUBJID']}\n"
        "value = __import__('json').loads(line, parse_float=str, parse_int=str)['valueQuantity']['value']\n"
        "assert value == one['LBORRES']",
    ],
    ids=["accounts", "element", "rule", "source line"],
)
def test_a_value_is_where_the_trace_says(snippet: str, ran: tuple[Path, list[tuple[str, int, str, str]]]) -> None:
    folder, _ = ran
    # the package stands already; read it rather than build it once more
    notebook = "\n".join(blocks("python")).replace(
        'result = build("demo/fhir", out="out", enrolment="demo/enrolment.csv", overwrite=True)',
        "import json, pathlib\nfrom adapter import Result\n"
        "m = json.loads(pathlib.Path('out/manifest.json').read_bytes())\n"
        "result = Result(pathlib.Path('out'), {'resources': m['resources']})",
    )
    assert "result = Result(" in notebook
    one = process([sys.executable, "-c", f"{notebook}\n{snippet}\n"], folder, ENV)
    assert one.returncode == 0, one.stderr


def test_make_targets_named_anywhere_exist() -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.M))
    assert {"demo", "test"} <= named <= TARGETS
    ci = (REPO / ".ci" / "run").read_text("utf-8")
    assert set(re.findall(r"^make ([a-z-]+)$", ci, re.M)) == {"test", "lint"}
    assert os.access(REPO / ".ci" / "run", os.X_OK)
    listed = set(re.findall(r'echo "make ([a-z-]+) ', (REPO / "Makefile").read_text("utf-8")))
    assert listed == TARGETS - {"help"}


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert targets
    assert [t for t in targets if not (REPO / t).exists()] == []


def test_set_up_commands_name_files_that_exist() -> None:
    text = "\n".join(b for b in blocks("bash") if sets_up(b))
    assert [f for f in re.findall(r"-c (\S+\.txt)", text) if not (REPO / f).is_file()] == []


def test_nothing_names_a_registry() -> None:
    for name in ("Makefile", "constraints.txt", ".ci/run", "pyproject.toml"):
        text = (REPO / name).read_text("utf-8")
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links|--trusted-host", text), name


def test_constraints_pin_everything_that_is_installed() -> None:
    lines = (REPO / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line)] == []
    pinned = {canonical(line.split("==")[0]) for line in lines}
    assert len(pinned) == len(lines)
    assert sorted(closure(DISTRIBUTION) - pinned - {DISTRIBUTION}) == []


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(distribution: str) -> set[str]:
    """Return the names of everything that the distribution with its extras needs, directly or not, and is installed."""
    found: set[str] = set()
    waiting = [(distribution, True)]
    while waiting:
        name, extras = waiting.pop()
        if canonical(name) in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # another platform or Python version needs it
        found.add(canonical(name))
        for need in needs:
            if extras or "extra ==" not in need:
                waiting.append((re.match(r"[\w.-]+", need)[0], False))  # type: ignore[index]
    return found
