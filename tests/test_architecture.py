"""The house stands as design.md draws it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import skflow

PACKAGE = Path(skflow.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# What has no floor of its own: single files that every floor but table may use.
GROUND = {"rows", "dequantization", "device", "clock", "reporter", "exceptions"}

# What each floor may import of the others. flow and table do not know each other.
FLOORS = {
    "command_line": {"command_line", "estimators", "archive", "table", "exceptions"},
    "plotting": {"plotting", "estimators", "table"},
    "estimators": {
        *("estimators", "fitted", "archive", "outliers", "initialization", "training"),
        *("flow", "table"),
        *GROUND,
    },
    "fitted": {
        *("fitted", "archive", "outliers", "initialization", "training", "flow", "table"),
        *GROUND,
    },
    "archive": {"archive", "outliers", "flow", "table", *GROUND},
    "outliers": {"outliers", "flow", "table", *GROUND},
    "initialization": {"initialization", "flow", *GROUND},
    "training": {"training", "flow", *GROUND},
    "flow": {"flow", *GROUND},
    "table": {"table", "rows", "exceptions"},
    "rows": set(),
    "exceptions": set(),
    "dequantization": {"rows"},
    "device": {"exceptions"},
    "clock": set(),
    "reporter": {"clock", "exceptions"},
    "skflow": {"estimators"},
    "__main__": {"command_line"},
}

# What each floor must not import of other packages.
FOREIGN = {
    "flow": {"sklearn", "pandas", "polars", "narwhals"},
    "training": {"sklearn", "pandas", "polars", "narwhals"},
    "initialization": {"sklearn", "pandas", "polars", "narwhals"},
    "rows": {"torch"},
    "table": {"torch"},
}
FRAME_LIBRARIES = {"pandas", "polars", "narwhals"}
# Reading and building frames, spelling their cells and dtypes in a file, and a frame of a schema.
FRAME_FILES = {
    *("table/frames.py", "table/building.py", "table/schema.py"),
    *("archive/scalars.py", "archive/dtypes.py"),
}
# Floors that make frames of other files, and other files of frames.
FRAME_FLOORS = {"command_line"}

LONGEST_FILE, LONGEST_FUNCTION = 400, 60

# One class each, most of it numpydoc and the list of parameters.
LONG_FILES = {"estimators/density.py": 565, "estimators/outlier.py": 460}
LONG_FUNCTIONS: dict[str, int] = {}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def floor_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return {"__init__.py": "skflow"}.get(first, first.removesuffix(".py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Full dotted names, of modules or of what is taken from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which floor is meant"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


every_file = pytest.mark.parametrize("path", FILES, ids=name_of)


@every_file
def test_imports_run_downward(path: Path) -> None:
    inside = {name.split(".")[1] for name in imports_of(tree_of(path)) if name[:7] == "skflow."}
    assert inside <= FLOORS[floor_of(path)]


@every_file
def test_floors_keep_other_packages_out(path: Path) -> None:
    packages = {name.split(".")[0] for name in imports_of(tree_of(path))}
    assert not packages & FOREIGN.get(floor_of(path), set())
    if name_of(path) not in FRAME_FILES and floor_of(path) not in FRAME_FLOORS:
        assert not packages & FRAME_LIBRARIES


@every_file
def test_imports_stand_at_the_top(path: Path) -> None:
    functions = [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [f.name for f in functions if list(imports_of(f))] == []


@every_file
def test_files_and_functions_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONG_FILES.get(name_of(path), LONGEST_FILE)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef):
            allowed = LONG_FUNCTIONS.get(f"{name_of(path)}:{node.name}", LONGEST_FUNCTION)
            assert body_length(node) <= allowed, node.name


def body_length(function: ast.FunctionDef) -> int:
    """Lines of a function's body, its docstring left out."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_named_exceptions_are_needed() -> None:
    for name in LONG_FILES:
        assert len((PACKAGE / name).read_text().splitlines()) > LONGEST_FILE


def test_no_import_cycles() -> None:
    modules = {module_of(path): path for path in FILES}
    uses = {
        module: {used for name in imports_of(tree_of(path)) for used in prefixes(name)}
        & set(modules) - {module}
        for module, path in modules.items()
    }
    while free := {module for module, used in uses.items() if not used & set(uses)}:
        uses = {module: used for module, used in uses.items() if module not in free}
    assert uses == {}, "these import each other in a circle"


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def prefixes(name: str) -> Iterator[str]:
    """The modules that importing ``name`` may mean: itself, or what it is taken from."""
    yield name
    yield name.rpartition(".")[0]


def test_floors_are_all_named() -> None:
    assert {floor_of(path) for path in FILES} == set(FLOORS)
