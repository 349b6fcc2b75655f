"""Holds what review would otherwise have to: who imports whom, what core may touch, sizes."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "core": {"core"},
    "models": {"core", "models"},
    "config": {"core", "config"},
    "actors": {"core", "models", "config", "actors"},
    "run": {"actors"},
}
OURS = {"core", "models", "config", "actors", "run", "tests", "docs"}
TOP_LEVEL = {
    *("actors", "core", "config", "models", "tests", "docs", "requirements"),
    *("run.py", "setup.cfg", "pyproject.toml", "Makefile"),
    *("README.md", "CHANGELOG.md", "LICENSE"),
}
IMPURE_MODULES = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "signal", "threading"),
    *("http", "requests", "select", "socket", "socketserver", "ssl", "urllib", "websockets"),
    *("fcntl", "glob", "io", "os", "pathlib", "shutil", "subprocess", "sys", "tempfile"),
    *("random", "secrets", "time", "uuid"),
    *("logging", "loguru", "rich", "typer"),
    *("aiohttp", "binance", "joblib", "peewee", "playhouse", "psycopg", "pykka", "sqlite3"),
    *("pickle", "pydantic", "pydantic_settings", "sklearn", "yaml"),
}
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "compile", "__import__"}
CLOCK_READS = {"now", "utcnow", "today"}
SEEDED_KINDS = {"Generator", "SeedSequence", "PCG64", "Philox"}
EDGE_ONLY = {"aiohttp", "binance", "peewee", "playhouse", "psycopg", "sqlite3"}
VAGUE_NAMES = {"utils", "helpers", "common", "manager", "misc"}
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
LONG_FOR_A_REASON = {
    "config/settings.py": "every setting with its text and bounds, one table",
    "core/messages.py": "all messages of the program, read in flow order",
    "core/symbol/indicators.py:_price_and_volume": "one compiled step over many formulas",
}


def sources(*rooms: str) -> list[Path]:
    found = [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    return [*found, ROOT / "run.py"] if "run" in rooms else found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield node.module or ""


def roots(tree: ast.AST) -> set[str]:
    return {name.split(".")[0] for name in imported(tree)}


def impurities(tree: ast.AST) -> Iterator[str]:
    """Yield what a module of core does that only an edge may do."""
    outside = {name.split(".")[0] for name in imported(tree) if name != "urllib.parse"}
    yield from sorted(outside & IMPURE_MODULES)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        last = called.rsplit(".", 1)[-1]
        if called in IMPURE_CALLS or ("." in called and last in CLOCK_READS):
            yield called
        elif called.endswith("random.default_rng"):
            if not (node.args or node.keywords):
                yield f"{called} without a seed"
        elif called.startswith(("np.random.", "numpy.random.")) and last not in SEEDED_KINDS:
            yield called


def built(tree: ast.AST, classes: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rsplit(".", 1)[-1]
            if name in classes:
                yield name


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_imports_point_one_way(room):
    paths = [ROOT / "run.py"] if room == "run" else sources(room)
    assert paths
    wrong = {
        name_of(path): sorted(foreign)
        for path in paths
        if (foreign := (roots(parsed(path)) & OURS) - MAY_IMPORT[room])
    }
    assert not wrong


def test_core_touches_nothing_outside_itself():
    wrong = {name_of(path): list(impurities(parsed(path))) for path in sources("core")}
    assert not {name: found for name, found in wrong.items() if found}


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from os import environ",
        "import urllib.request",
        "open('x')",
        "print(1)",
        "datetime.now(UTC)",
        "pd.Timestamp.utcnow()",
        "np.random.default_rng()",
        "np.random.rand(3)",
        "numpy.random.seed(1)",
    ],
)
def test_purity_check_bites(line):
    assert list(impurities(ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["np.random.default_rng(seed)", "rng.random()", "now(x)", "import math", "x.opened()"]
)
def test_purity_check_lets_pure_code_pass(line):
    assert not list(impurities(ast.parse(line)))


def test_edges_alone_touch_venue_database_and_network():
    doors = ("actors/edges/", "actors/commands/", "actors/control_api.py")
    wrong = {
        name_of(path): sorted(found)
        for path in sources("core", "models", "config", "actors", "run")
        if not name_of(path).startswith(doors) and (found := roots(parsed(path)) & EDGE_ONLY)
    }
    assert not wrong


def test_venue_client_and_database_stay_inside_the_edges():
    wrong = {
        name_of(path): sorted(found)
        for path in sources("actors")
        if not name_of(path).startswith("actors/edges/")
        and (found := roots(parsed(path)) & {"binance", "peewee", "playhouse", "psycopg"})
    }
    assert not wrong


def test_only_risk_builds_an_approval():
    wrong = {
        name_of(path): found
        for path in sources("core", "models", "config", "actors", "run")
        if not name_of(path).startswith("core/risk/")
        and (found := list(built(parsed(path), {"Approval", "ExitApproval"})))
    }
    assert not wrong
    assert list(built(ast.parse("m.Approval(symbol='X')"), {"Approval"}))


def test_modules_and_functions_stay_readable():
    long = {}
    for path in sources("core", "models", "config", "actors", "run"):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MODULE_LINES_MAX:
            long[name_of(path)] = text.count("\n")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{name_of(path)}:{node.name}"] = lines
    assert not {name: lines for name, lines in long.items() if name not in LONG_FOR_A_REASON}


def test_no_module_has_a_name_that_says_nothing():
    assert not [
        name_of(path)
        for path in sources("core", "models", "config", "actors")
        if set(path.stem.split("_")) & VAGUE_NAMES and path.stem != "risk_manager"
    ]


def test_top_level_holds_nothing_unexpected():
    names = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    unexpected = sorted(names - TOP_LEVEL)
    if unexpected and (ROOT / ".git").exists():
        done = subprocess.run(
            ["git", "check-ignore", *unexpected],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        unexpected = sorted(set(unexpected) - set(done.stdout.split()))
    assert not [name for name in unexpected if name not in {"__pycache__", "state"}]
