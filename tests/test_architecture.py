"""The house stands as design.md draws it."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import skflow

Function = ast.FunctionDef | ast.AsyncFunctionDef

PACKAGE = Path(skflow.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# What has no floor of its own: single files that every floor but table may use.
GROUND = {
    *("rows", "dequantization", "device", "clock", "reporter", "exceptions"),
    *("flat_state", "torch_state"),
}

# What each floor may import of the others. flow and table do not know each other.
FLOORS = {
    "command_line": {"command_line", "estimators", "archive", "datasets", "table", "exceptions"},
    "batches": {"batches", "estimators", "datasets", "table", "device", "exceptions"},
    "metrics": set(),
    "constraints": {"table"},
    "plotting": {"plotting", "estimators", "table"},
    "estimators": {
        *("estimators", "report", "fitted", "archive", "outliers", "conditioning"),
        *("initialization", "training"),
        *("flow", "table"),
        *GROUND,
    },
    "report": {"report", "fitted", "archive", "outliers", "table", "torch_state", "exceptions"},
    "fitted": {
        *("fitted", "archive", "outliers", "conditioning", "initialization", "training"),
        *("flow", "datasets", "table"),
        *GROUND,
    },
    "archive": {"archive", "outliers", "flow", "table", *GROUND},
    "outliers": {"outliers", "flow", "table", *GROUND},
    "conditioning": {"conditioning", "initialization", "flow", *GROUND},
    "initialization": {"initialization", "flow", *GROUND},
    "training": {"training", "flow", *GROUND},
    "flow": {"flow", *GROUND},
    "datasets": {"datasets", "rows", "table", "exceptions"},
    "table": {"table", "rows", "exceptions"},
    "rows": set(),
    "exceptions": set(),
    "dequantization": {"rows"},
    "device": {"exceptions"},
    "clock": set(),
    "flat_state": set(),
    "torch_state": set(),
    "reporter": {"clock", "exceptions"},
    "skflow": {"batches", "estimators"},
    "__main__": {"command_line"},
}

# What each floor must not import of other packages.
FOREIGN = {
    "flow": {"sklearn", "pandas", "polars", "narwhals"},
    "training": {"sklearn", "pandas", "polars", "narwhals"},
    "initialization": {"sklearn", "pandas", "polars", "narwhals"},
    "conditioning": {"sklearn", "pandas", "polars", "narwhals"},
    "rows": {"torch"},
    "datasets": {"torch"},
    "table": {"torch"},
}
FRAME_LIBRARIES = {"pandas", "polars", "narwhals"}
# Reading and building frames, spelling their cells and dtypes in a file, and a frame of a schema.
FRAME_FILES = {
    *("table/frames.py", "table/reading.py", "table/building.py", "table/schema.py"),
    *("archive/scalars.py", "archive/dtypes.py"),
}
# Floors that make frames of other files, and other files of frames.
FRAME_FLOORS = {"command_line", "batches", "datasets"}

LONGEST_FILE, LONGEST_FUNCTION = 400, 60

# One class each, most of it numpydoc and the list of parameters.
LONG_FILES = {"estimators/density.py": 684, "estimators/outlier.py": 570}
LONG_FUNCTIONS: dict[str, int] = {}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def floor_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return {"__init__.py": "skflow"}.get(first, first.removesuffix(".py"))


@cache
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


def functions_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, Function):
            yield node


def test_imports_run_downward() -> None:
    upward = {}
    for path in FILES:
        inside = {name.split(".")[1] for name in imports_of(tree_of(path)) if name[:7] == "skflow."}
        upward[name_of(path)] = inside - FLOORS[floor_of(path)]
    assert {name: found for name, found in upward.items() if found} == {}


def test_floors_keep_other_packages_out() -> None:
    foreign = {}
    for path in FILES:
        kept_out = FOREIGN.get(floor_of(path), set())
        if name_of(path) not in FRAME_FILES and floor_of(path) not in FRAME_FLOORS:
            kept_out = kept_out | FRAME_LIBRARIES
        packages = {name.split(".")[0] for name in imports_of(tree_of(path))}
        foreign[name_of(path)] = packages & kept_out
    assert {name: found for name, found in foreign.items() if found} == {}


def test_imports_stand_at_the_top() -> None:
    within = [
        f"{name_of(path)}:{function.lineno} {function.name}"
        for path in FILES
        for function in functions_of(path)
        if any(imports_of(function))
    ]
    assert within == []


def test_files_are_short() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: n for name, n in lines.items() if n > LONG_FILES.get(name, LONGEST_FILE)} == {}


def test_functions_are_short() -> None:
    assert longer_than(LONGEST_FUNCTION, LONG_FUNCTIONS, body_length) == {}


def longer_than(
    most: int,
    exceptions: dict[str, int],
    measure: Callable[[Function], int],
) -> dict[str, int]:
    """Functions of which there is more than is allowed, and how much."""
    found = {}
    for path in FILES:
        for function in functions_of(path):
            name, measured = f"{name_of(path)}:{function.name}", measure(function)
            if measured > exceptions.get(name, most):
                found[f"{name}, line {function.lineno}"] = measured
    return found


def body_length(function: Function) -> int:
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


# How a room, a list of parameters and a private name may look

MOST_FILES_PER_ROOM = 21
MOST_PARAMETERS = 8
# Those of an estimator are what a search may vary; the others wait for a type of their own.
MANY_PARAMETERS = {
    "estimators/density.py:__init__": 25,
    "flow/conditioner.py:__init__": 9,
    "flow/coupling.py:__init__": 10,
    "training/loop.py:train": 9,
}
MOST_PRIVATE_NAMES_USED_ONCE = 147


def test_rooms_are_small() -> None:
    rooms = Counter(path.parent for path in FILES if path.name != "__init__.py")
    assert {str(room): n for room, n in rooms.items() if n > MOST_FILES_PER_ROOM} == {}


def test_functions_take_few_parameters() -> None:
    assert longer_than(MOST_PARAMETERS, MANY_PARAMETERS, n_parameters) == {}


def n_parameters(function: Function) -> int:
    """Parameters of a function, ``self`` and ``cls`` left out."""
    parameters = function.args
    named = [*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs]
    return sum(parameter.arg not in ("self", "cls") for parameter in named)


def test_private_names_are_mostly_used_more_than_once() -> None:
    """A function that is called once and is short stands better where it is called."""
    once = private_names_used_once()
    assert len(once) <= MOST_PRIVATE_NAMES_USED_ONCE, "\n".join(once)


def private_names_used_once() -> list[str]:
    """Private functions, methods and classes that one place of the package names."""
    uses: Counter[str] = Counter()
    places: dict[str, str] = {}
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Name):
                uses[node.id] += 1
            elif isinstance(node, ast.Attribute):
                uses[node.attr] += 1
            elif isinstance(node, ast.FunctionDef | ast.ClassDef) and is_private(node.name):
                places[node.name] = f"{name_of(path)}:{node.lineno} {node.name}"
    return sorted(place for name, place in places.items() if uses[name] == 1)


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and not name.endswith("_")


# What differs between families and kinds of columns stands in their objects

KINDS = PACKAGE / "table" / "kinds"
TOLD_APART = {"family", "kind", "valued", "is_trivial"}
MOST_BRANCHES_ON_KINDS = 29


def test_few_branches_depend_on_the_kind_of_a_column() -> None:
    branches = [
        f"{name_of(path)}:{branch.lineno} {ast.unparse(branch)}"
        for path in FILES
        if path.parent != KINDS
        for branch in conditions_of(tree_of(path))
        if any(map(tells_kinds_apart, ast.walk(branch)))
    ]
    assert len(branches) <= MOST_BRANCHES_ON_KINDS, "\n".join(branches)


def conditions_of(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp | ast.While):
            yield node.test
        elif isinstance(node, ast.comprehension):
            yield from node.ifs
        elif isinstance(node, ast.Match):
            yield node.subject
        elif isinstance(node, ast.Assign | ast.Return | ast.keyword) and isinstance(
            node.value, ast.BoolOp | ast.Compare
        ):
            yield node.value


def tells_kinds_apart(node: ast.AST) -> bool:
    """Whether a family or a kind of columns is read; NumPy's dtypes have kinds, too."""
    if not isinstance(node, ast.Attribute) or node.attr not in TOLD_APART:
        return False
    return not any(word in ast.unparse(node.value) for word in ("dtype", "spelling"))


# The words of docstrings, comments and pages

ROOT = PACKAGE.parent
PROSE = sorted(
    path
    for folder, pattern in (("skflow", "*.py"), ("examples", "*.py"), ("docs", "*.rst"))
    for path in (ROOT / folder).rglob(pattern)
    if not {"_build", "auto_examples"} & set(path.parts)
)
NO_OPENING = re.compile(r'(?:"""|#) ?Of\b')  # of a docstring or a comment
NO_WORDS = re.compile(r"\b(?:told|lest|anew|by\s+and\s+by|what\s+becomes\s+of)\b", re.IGNORECASE)


def test_prose_is_in_plain_terms() -> None:
    found = {path.relative_to(ROOT).as_posix(): old_words(path) for path in PROSE}
    assert {name: words for name, words in found.items() if words} == {}


def old_words(path: Path) -> list[str]:
    text = path.read_text()
    found = list(NO_WORDS.finditer(text))
    if path.suffix == ".py":
        found += NO_OPENING.finditer(text)
    return [f"line {text[: m.start()].count(chr(10)) + 1}: {m.group().strip()}" for m in found]
