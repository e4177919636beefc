"""The shape of the house (design.md): arrows point one way, the machine knows no trial, and modules stay small."""

from __future__ import annotations

import ast
import csv
import re
from pathlib import Path

import pytest

from adapter.trial import find_trials, load_trial

ROOT = Path(__file__).parents[2]
ADAPTER = sorted((ROOT / "adapter").rglob("*.py"))
MAPPINGS = sorted((ROOT / "mappings").rglob("*.py"))
DEMO = [p for p in MAPPINGS if "trials" in p.relative_to(ROOT).parts]
DECLARATIONS = [p for p in MAPPINGS if p not in DEMO]
LIMIT = 320

# The only modules of adapter that name the package `mappings`, and what of it: code through the registry, data through
# importlib.resources, and the command line for the demo of a trial.
MAY_NAME_MAPPINGS = {
    "adapter/registry.py": {"mappings.sdtm", "mappings.adam"},
    "adapter/trial.py": {"mappings.trials"},
    "adapter/knowledge.py": {"mappings.codes"},
    "adapter/cli.py": {"mappings.trials"},
    "adapter/commands.py": {"mappings.trials"},
}

# Layers of adapter, lowest first: a module imports its own layer and those below, never above.
LAYERS = (
    ("errors", "files", "reasons", "references", "systems", "code_files", "ct_packages", "version"),
    (
        *("spec", "records", "terminology", "codes", "dictionaries", "site_codes", "units", "site"),
        *("intake.decimals", "derive.distinct"),
    ),
    (
        "trial",
        "trial_models",
        "trial_rules",
        "trial_events",
        "trial_tables",
        "trial_checks",
        "trial_docs",
        "derive",
        "stats",
    ),
    (
        "analysis_plan",
        "registry",
        "evaluate",
        "lineage",
        "summary",
        "supplement",
        "enrolment",
        "knowledge",
        "suggest",
        "unmapped",
        "intake",
        "identify",
        "writers",
    ),
    (
        "sources",
        "store",
        "statuses",
        "results_in_reports",
        "usable",
        "accounts",
        "define_lists",
        "define",
        "define_document",
        "map",
        "assemble",
        "links",
        "docs",
        "result",
        "strict",
        "defined",
        "trace",
        "trace_report",
    ),
    (
        "tasks",
        "subject_tasks",
        "write_task",
        "strict_task",
        "write_plan",
        "executors",
        "ingest",
        "subjects",
        "output",
        "deliver",
        "progress",
        "check",
        "report",
        "validate",
        "self_check",
    ),
    ("run", "codes_check", "__init__", "package", "signals", "signals_report", "results_displays", "analyse"),
    ("cli", "__main__", "commands", "validate_commands", "codes_report", "doctor"),
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports when it runs, dotted, at any depth of the file."""
    found = set()
    tree = tree_of(path)
    guarded = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    types_only = {id(n) for g in guarded for statement in g.body for n in ast.walk(statement)}
    for node in (n for n in ast.walk(tree) if id(n) not in types_only):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            names = {a.name for a in node.names}
            below = {n for n in names if (ROOT / str(node.module).replace(".", "/") / f"{n}.py").is_file()}
            found |= {f"{node.module}.{n}" for n in below}
            # the version stands in the package before anything is imported there
            if names - below - {"__version__"}:
                found.add(str(node.module))
    return found


def ours(modules: set[str]) -> set[str]:
    return {m for m in modules if m.split(".")[0] in ("adapter", "mappings", "schemas", "tests", "cli")}


def ids(paths: list[Path]) -> list[object]:
    return [pytest.param(p, id=name_of(p)) for p in paths]


def test_the_house_was_found() -> None:
    assert len(ADAPTER) > 40
    assert len(DECLARATIONS) > 8


@pytest.mark.parametrize("path", ids(DECLARATIONS))
def test_mappings_import_spec_and_derive_only(path: Path) -> None:
    shared = "parts|timing|coding|conditions|findings|links|specimens|sdtm|adam|analysis|deviations"
    allowed = re.compile(rf"adapter\.spec|adapter\.derive(\..+)?|mappings(\.({shared})(\..+)?)?")
    assert {m for m in ours(imports(path)) if not allowed.fullmatch(m)} == set()


@pytest.mark.parametrize("path", ids(DEMO))
def test_a_trial_s_demo_stands_alone(path: Path) -> None:
    """The demo writer is an independent witness: it shares nothing with the program but the exceptions."""
    package = ".".join(path.relative_to(ROOT).parts[:3])
    assert {m for m in ours(imports(path)) if m != "adapter.errors" and not m.startswith(package)} == set()


@pytest.mark.parametrize("path", ids(ADAPTER))
def test_adapter_reaches_mappings_by_name_only(path: Path) -> None:
    assert {m for m in ours(imports(path)) if not m.startswith("adapter")} == set()
    named = {
        match[0]
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        for match in re.finditer(r"\bmappings\.(sdtm|adam|codes|trials)\b", node.value)
    }
    assert named <= MAY_NAME_MAPPINGS.get(name_of(path), set())


def layer(module: str) -> int:
    part = module.partition(".")[2] or "__init__"
    found = [i for name in (part, part.split(".")[0]) for i, names in enumerate(LAYERS) if name in names]
    assert found, f"{module} stands in no layer of tests/unit/test_architecture.py; say where it belongs"
    return found[0]


@pytest.mark.parametrize("path", ids([p for p in ADAPTER if p.name != "__main__.py"]))
def test_arrows_point_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    mine = layer(".".join(parts))
    above = {m for m in ours(imports(path)) if layer(m) > mine}
    assert above == set()


def test_no_circles() -> None:
    """Modules import each other in no circle (imports inside functions count too)."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in ADAPTER}
    graph = {n: {m for m in ours(imports(p)) if m in names and m != n} for n, p in names.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_the_core_does_no_input_or_output() -> None:
    """map, derive, stats, evaluate, summary, supplement, define are pure: no clock, no files, no randomness, no processes."""
    pure = [
        p
        for p in ADAPTER
        if p.parts[-2] in ("derive", "stats") or p.stem in ("map", "evaluate", "summary", "supplement", "define")
    ]
    forbidden = {
        "os",
        "time",
        "random",
        "secrets",
        "uuid",
        "subprocess",
        "tempfile",
        "shutil",
        "socket",
        "multiprocessing",
    }
    assert len(pure) >= 8
    for path in [*pure, *DECLARATIONS]:
        assert forbidden & {m.split(".")[0] for m in imports(path)} == set(), name_of(path)
        calls = {n.func.id for n in ast.walk(tree_of(path)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not calls & {"open", "print", "input", "eval", "exec"}, name_of(path)
        clocks = re.findall(r"\b(?:date|datetime)\.(?:now|today|utcnow)\b", path.read_text("utf-8"))
        assert clocks == [], name_of(path)


def words_of_the_trials() -> set[str]:
    """What only a trial knows: study ids, arm codes and labels, product ids, CMCAT groups, criteria, site."""
    words: set[str] = set()
    for folder in find_trials().values():
        t = load_trial(folder)
        words |= {t.study.id, t.study.protocol, t.study.sponsor, t.study.time_zone, folder.name, *t.arms}
        words |= {a.label for a in t.arms.values()} | {s for a in t.arms.values() for s in a.spellings}
        words |= {p.id for p in t.products} | {p.name for p in t.products}
        words |= set(t.criteria) | {m.category for m in t.medications.values()} | set(t.elements)
    return {w for w in words if len(w) > 2}


def strings(path: Path) -> list[str]:
    """Return the string constants of a module that are no docstrings."""
    tree = tree_of(path)
    docs = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            docs |= {id(n.value) for n in body if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    return [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs
    ]


# `pgf_msc` is the default of --trial (design.md, the table of commands): the one trial name that the driver may know.
DEFAULT_TRIAL = {"adapter/run.py", "adapter/cli.py", "adapter/commands.py"}


@pytest.mark.parametrize("path", ids(ADAPTER))
def test_adapter_knows_no_trial(path: Path) -> None:
    words = words_of_the_trials() - {"pgf_msc"}
    assert [s for s in strings(path) if s in words] == []
    if name_of(path) not in DEFAULT_TRIAL:
        assert "pgf_msc" not in " ".join(strings(path))


def mapped_codes() -> set[str]:
    """Every LOINC, SNOMED CT, ATC and CPT code of the shipped tables (NCI C-codes are the standard's)."""
    codes = set()
    for name in ("observations", "drugs", "procedures"):
        with open(ROOT / f"mappings/codes/{name}.csv", encoding="utf-8", newline="") as f:
            codes |= {r["code"] for r in csv.DictReader(f) if r["system"] != "name"}
    return codes


LOINC = re.compile(r"(?<!ISO )(?<![\d.-])\d{3,5}-\d(?!\d|-\d)")
ATC = re.compile(r"\b[A-DGHJLMNPRSV]\d{2}[A-Z]{2}\d{2}\b")
SNOMED = re.compile(r"(?<!\d)\d{7,9}(?!\d)")


@pytest.mark.parametrize("path", ids(ADAPTER))
def test_adapter_holds_no_clinical_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tokens = set(re.findall(r"[A-Za-z0-9.-]+", " ".join(strings(path))))
    assert tokens & mapped_codes() == set()
    assert LOINC.findall(text) == []
    assert ATC.findall(text) == []
    # numbers of 7 and more digits stand in arithmetic with underscores (2_000_000_000) and never in strings
    assert SNOMED.findall(" ".join(strings(path))) == []


@pytest.mark.parametrize("path", ids([*ADAPTER, *MAPPINGS]))
def test_modules_stay_small_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if not text:
        assert path.name == "__init__.py"
        return
    # a declaration file holds one table of variables, a row or more each; its code stays small like any other
    tree = tree_of(path)
    lines = len(text.splitlines())
    for n in tree.body:
        if isinstance(n, ast.Assign) and getattr(n.targets[0], "id", "") in ("DATASET", "VARIABLES"):
            lines -= int(n.end_lineno or n.lineno) - n.lineno
    assert lines <= LIMIT, f"{lines} lines, at most {LIMIT} wanted"
    first = (ast.get_docstring(tree) or "").split("\n\n")[0]
    assert len(first) >= 20, "the module's docstring says what it is for"
    assert first.rstrip().endswith((".", ":")) or first[-1].isalnum()


@pytest.mark.parametrize("path", ids([*ADAPTER, *MAPPINGS]))
def test_no_broad_except_and_no_print(path: Path) -> None:
    """BaseException is caught in one shape only: tidy up and raise again."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            caught = [k.id if isinstance(k, ast.Name) else None if k is None else "?" for k in kinds]
            assert None not in caught, f"{name_of(path)}:{node.lineno}: bare except"
            assert "Exception" not in caught, f"{name_of(path)}:{node.lineno}: except Exception"
            if "BaseException" in caught:
                last = node.body[-1]
                assert isinstance(last, ast.Raise), f"{name_of(path)}:{node.lineno}: BaseException must be raised again"
                assert last.exc is None, f"{name_of(path)}:{node.lineno}: BaseException must be raised again"
    if path.stem not in ("cli", "docs", "__main__", "commands"):
        calls = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
        assert [n.lineno for n in calls if n.func.id == "print"] == []  # type: ignore[attr-defined]


def test_no_junk_drawers() -> None:
    assert [name_of(p) for p in [*ADAPTER, *MAPPINGS] if re.search(r"util|helper|common|misc", p.stem)] == []


def test_tests_and_shim_stay_out_of_the_wheel() -> None:
    """No package below adapter, mappings or schemas imports the tests or the shim beside it."""
    for path in [*ADAPTER, *MAPPINGS, *sorted((ROOT / "schemas").rglob("*.py"))]:
        assert not {m for m in imports(path) if m.split(".")[0] in ("tests", "cli", "pytest", "hypothesis")}, path
