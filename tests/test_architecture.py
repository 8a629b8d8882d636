"""The house rules, checked on the source: floors, budgets, names, what may not be called.

Every guard takes a tree (module name -> source text) and gives a list of complaints. It is shown
the packages, which must be clean, and an offender, which it must catch.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).resolve().parents[1]
Tree = dict[str, str]

TORCH = {"data", "models", "decode", "training", "analysis", "recognition", "zoo", "live"}
TORCH |= {"diagnosis"}  # says which device there is
CALIBRATED = {"multiview", "synthetic"}

LINES, FUNCTION_LINES, PARAMETERS, POSITIONAL = 600, 60, 7, 2
# Three positional parameters by the contract of public names.
SETTLED = {
    "mapose.io.formats.write",
    "mapose.results.result.write",
    "mapose.analysis.pipeline.analyze",
    "mapose.skeleton.Skeleton.__init__",
}
# As many parameters as the command has options of its own.
MANY = {"mapose.training.training.train": 8}
BAD_NAMES = {"utils", "util", "core", "common", "helpers", "helper", "manager", "misc", "v2"}


def read_floors(text: str) -> dict[str, int]:
    """Read from CONTRIBUTING which part of mapose is on which floor."""
    rows = re.findall(r"^\| (\d) \| (.*?) \|", text, re.MULTILINE)
    return {part: int(floor) for floor, parts in rows for part in re.findall(r"`(\w+)`", parts)}


FLOOR = read_floors((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def house() -> Tree:
    """Both packages as they are; the list of what a package loads lazily belongs to it."""
    tree = {}
    for path in [*ROOT.glob("mapose/**/*.py*"), *ROOT.glob("calibration/**/*.py*")]:
        if path.suffix in (".py", ".pyi"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            tree[name] = tree.get(name, "") + path.read_text(encoding="utf-8")
    assert len(tree) > 20
    return tree


@cache
def parse(source: str) -> ast.Module:
    """Parse a file once for all guards; nobody changes what comes."""
    return ast.parse(source)


def clean(module: str) -> str:
    return module.removesuffix(".__init__")


def find_part(module: str) -> str:
    """Name the part of mapose that a module belongs to; '' for mapose itself and others."""
    names = clean(module).split(".")
    return names[1] if names[0] == "mapose" and len(names) > 1 else ""


def find_imports(tree: Tree, module: str) -> Iterator[tuple[int, str]]:
    """List what a module imports, at any depth and under TYPE_CHECKING: (line, module)."""
    for node in ast.walk(parse(tree[module])):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                yield node.lineno, resolve(tree, source, name.name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            fixed = [a.value for a in node.args[:1] if isinstance(a, ast.Constant)]
            yield from ((node.lineno, str(name)) for name in fixed)


def resolve(tree: Tree, source: str, name: str) -> str:
    """Find the module behind ``from source import name``; through what a package hands on."""
    package = f"{source}.__init__"
    for node in parse(tree.get(package, "")).body:
        if isinstance(node, ast.ImportFrom) and any(n.name == name for n in node.names):
            above = source.split(".")[: len(source.split(".")) - node.level + 1]
            inner = ".".join([*(above if node.level else []), *([node.module or ""])]).strip(".")
            return inner if inner != source else f"{source}.{name}"
    if f"{source}.{name}" in tree or f"{source}.{name}.__init__" in tree:
        return f"{source}.{name}"
    return f"mapose.{name}".rstrip("_") if source == "mapose" else source


def check_floors(tree: Tree) -> list[str]:
    """Imports go down only, and siblings on floor 1 do not know each other."""
    faults = []
    for module in tree:
        mine = find_part(module)
        if mine == "__main__":
            continue
        if mine and mine not in FLOOR:
            faults.append(
                f"{module}: give the part {mine!r} a floor in this test and in the design"
            )
            continue
        for line, target in find_imports(tree, module):
            its = find_part(target)
            if target == "mapose" and mine:
                faults.append(f"{module}:{line} imports all of mapose: import what is needed")
            if not mine or its == mine or its not in FLOOR:
                continue
            if FLOOR[its] > FLOOR[mine]:
                faults.append(f"{module}:{line} (floor {FLOOR[mine]}) reaches up to {its}")
            elif FLOOR[its] == FLOOR[mine] == 1:
                faults.append(f"{module}:{line} imports its sibling {its}: move it to floor 0")
    return faults


def check_doors(tree: Tree) -> list[str]:
    """calibration stands alone and has few visitors; torch lives in few parts."""
    faults = []
    for module in tree:
        part, lines = find_part(module), tree[module].splitlines()
        for line, target in find_imports(tree, module):
            house, guest = target.split(".")[0], f"{module}:{line}"
            if module.startswith("calibration") and house == "mapose":
                faults.append(f"{guest} calibration may not import mapose")
            if (
                part
                and house == "calibration"
                and FLOOR.get(part, 9) < 2
                and part not in CALIBRATED
            ):
                faults.append(f"{guest} imports calibration: that is for {sorted(CALIBRATED)}")
            if module.startswith("mapose") and re.match(
                r"(from|import) calibration\.", lines[line - 1].strip()
            ):
                faults.append(f"{guest} opens a room of calibration: import its public names")
            if house in ("torch", "torchvision", "transformers") and part not in TORCH:
                faults.append(f"{guest} imports {house}: that is for {sorted(TORCH)}")
    return faults


def check_circles(tree: Tree) -> list[str]:
    """No module needs, over whatever others, itself; imports inside functions count as well."""
    graph = nx.DiGraph()
    for module in tree:
        for _, target in find_imports(tree, module):
            inner = target if target in tree else f"{target}.__init__"
            if inner in tree and inner != module:
                graph.add_edge(clean(module), clean(inner))
    return [" <-> ".join(sorted(c)) for c in nx.strongly_connected_components(graph) if len(c) > 1]


def find_functions(tree: Tree, module: str) -> Iterator[tuple[str, ast.FunctionDef, bool, bool]]:
    """List functions at any depth: (full name, node, is a method, is nested in a function)."""

    def walk(node, name, in_class, in_function):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}.{child.name}", child, in_class, in_function
                yield from walk(child, f"{name}.{child.name}", False, True)
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{name}.{child.name}", True, in_function)
            else:
                yield from walk(child, name, in_class, in_function)

    yield from walk(parse(tree[module]), clean(module), False, False)


def check_lengths(tree: Tree) -> list[str]:
    """600 lines a file and 60 a function; docstrings of functions are not counted."""
    faults = []
    for module, source in tree.items():
        if (count := len(source.splitlines())) > LINES:
            faults.append(f"{module}: {count} lines, at most {LINES}: split it")
        for name, node, _, _ in find_functions(tree, module):
            first = node.body[0]
            text = ast.get_docstring(node, clean=False) is not None
            said = first.end_lineno - first.lineno + 1 if text else 0
            if (count := node.end_lineno - node.lineno + 1 - said) > FUNCTION_LINES:
                faults.append(f"{name}: {count} lines, at most {FUNCTION_LINES}: split it")
    return faults


def check_parameters(tree: Tree) -> list[str]:
    """Seven parameters; what has a default is keyword-only after the second."""
    faults = []
    for module in tree:
        if find_part(module) == "cli":  # there, parameters are the options of a command
            continue
        for name, node, method, nested in find_functions(tree, module):
            static = any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
            placed = [*node.args.posonlyargs, *node.args.args][int(method and not static) :]
            most = MANY.get(name, PARAMETERS)
            if (count := len(placed) + len(node.args.kwonlyargs)) > most:
                faults.append(f"{name}: {count} parameters, at most {most}")
            hidden = [n for n in name.split(".") if n.startswith("_") and not n.endswith("__")]
            public = not nested and not hidden and node.name in (node.name.strip("_"), "__init__")
            optional = len(placed) - max(POSITIONAL, len(placed) - len(node.args.defaults))
            if public and optional > 0 and name not in SETTLED:
                faults.append(f"{name}: options after the second parameter: put a * before them")
    return faults


def check_package_files(tree: Tree) -> list[str]:
    """An __init__ re-exports: imports, tables of names, lazy loading."""
    faults = []
    for module, source in tree.items():
        if not module.endswith("__init__"):
            continue
        for node in parse(source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            if isinstance(node, ast.Assign | ast.AnnAssign) and is_table(node):
                continue
            faults.append(f"{module}:{node.lineno} holds more than re-exports: move it to a module")
    return faults


def is_table(node: ast.Assign | ast.AnnAssign) -> bool:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    tables = ("__all__", "__version__", "(__getattr__, __dir__, __all__)")
    return ast.unparse(target) in tables and not any(
        isinstance(n, ast.Lambda) for n in ast.walk(node)
    )


def check_calls(tree: Tree) -> list[str]:
    """No talking, exiting or changing folder below the commands; nothing is unpickled, ever."""
    faults = []
    for module, source in tree.items():
        cli = find_part(module) in ("cli", "__main__")
        for line, target in find_imports(tree, module):
            if target.split(".")[0] in (
                "pickle",
                "cPickle",
                "dill",
                "cloudpickle",
                "shelve",
                "joblib",
            ):
                faults.append(f"{module}:{line} imports {target}: nothing is pickled here")
        for node in ast.walk(parse(source)):
            if not isinstance(node, ast.Call):
                continue
            name, where = ast.unparse(node.func), f"{module}:{node.lineno}"
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if not cli and name in ("print", "input", "exit", "quit", "breakpoint", "sys.exit"):
                faults.append(f"{where} calls {name}(): raise or log instead")
            if name in ("os.chdir", "chdir", "os._exit", "os.system", "eval", "exec"):
                faults.append(f"{where} calls {name}()")
            if name == "torch.load" and options.get("weights_only") != "True":
                faults.append(f"{where} torch.load() without weights_only=True unpickles")
            if options.get("allow_pickle", "False") != "False" or name.endswith("read_pickle"):
                faults.append(f"{where} unpickles what a file holds")
            if name == "yaml.load":
                faults.append(f"{where} yaml.load() can run code: yaml.safe_load()")
    return faults


def check_names(tree: Tree) -> list[str]:
    """No drawer for things without a place."""
    return [
        f"{module}: a module is named for what is in it"
        for module in tree
        if BAD_NAMES & {word for name in module.split(".") for word in name.split("_")}
    ]


GUARDS = [
    check_floors,
    check_doors,
    check_circles,
    check_lengths,
    check_parameters,
    check_package_files,
    check_calls,
    check_names,
]


@pytest.mark.parametrize("guard", GUARDS)
def test_house_is_in_order(house, guard):
    assert not (faults := guard(house)), "\n".join(faults)


PUBLIC = "from .training.training import train\nfrom .poses import Poses\nfrom .io import load"


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("mapose.poses", "from mapose.io import load", "reaches up to io"),
        ("mapose.io.store", "from mapose.decode import assemble", "sibling decode"),
        ("mapose.io.store", "import mapose.decode.peaks", "sibling decode"),
        ("mapose.io.store", "from ..decode import peaks", "sibling decode"),
        ("mapose.io.store", "from mapose import decode", "sibling decode"),
        ("mapose.io.store", "from mapose import train", "reaches up to training"),
        (
            "mapose.io.store",
            "def f():\n    from mapose.analysis.pipeline import analyze",
            "up to analysis",
        ),
        ("mapose.io.store", "if TYPE_CHECKING:\n    from mapose.plots import x", "sibling plots"),
        ("mapose.io.store", "importlib.import_module('mapose.plots')", "sibling plots"),
        ("mapose.decode.peaks", "import mapose", "imports all of mapose"),
        ("mapose.analysis.pipeline", "from mapose.cli import main", "reaches up to cli"),
        ("mapose.novelty", "", "give the part 'novelty' a floor"),
    ],
)
def test_floors_guard_catches(module, source, complaint):
    faults = check_floors({"mapose.__init__": PUBLIC, module: source})
    assert len(faults) == 1 and complaint in faults[0], faults


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "mapose.io.store",
            "from mapose.poses import Poses\nfrom mapose import Poses, __version__",
        ),
        ("mapose.io.store", "from mapose.io.video import Video\nfrom . import video\nimport h5py"),
        (
            "mapose.analysis.pipeline",
            "from mapose.analysis.prediction import predict\nfrom mapose import load",
        ),
        ("mapose.cli.training", "from mapose import train"),
    ],
)
def test_floors_guard_lets_pass(module, source):
    assert check_floors({"mapose.__init__": PUBLIC, module: source}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("calibration.camera", "from mapose.poses import Poses"),
        ("calibration.camera", "def f():\n    import mapose"),
        ("mapose.tracking.motion", "from calibration import Camera"),
        ("mapose.poses", "import calibration"),
        ("mapose.tracking.motion", "import torch"),
        ("mapose.io.video", "from torch.nn import functional"),
        ("mapose.__init__", "import torch"),
        ("calibration.camera", "import torch"),
        ("mapose.multiview.views", "from calibration.group import CameraGroup"),
    ],
)
def test_doors_guard_catches(module, source):
    assert len(check_doors({module: source})) == 1
    assert check_doors({"mapose.synthetic.scene": "from calibration import Camera"}) == []
    assert check_doors({"mapose.decode.peaks": "import torch"}) == []


def test_circles_guard_catches():
    one = {"mapose.a": "from mapose.b import x", "mapose.b": "import mapose.c", "mapose.c": ""}
    assert check_circles(one) == []
    inside = {**one, "mapose.c": "def f():\n    from mapose.a import y"}
    assert check_circles(inside) == ["mapose.a <-> mapose.b <-> mapose.c"]
    handed_on = {"mapose.io.__init__": "from .a import x", "mapose.io.a": "from mapose.b import y"}
    assert check_circles({**handed_on, "mapose.b": "from mapose.io import x"}) != []


def test_the_floors_are_those_of_the_paper():
    assert read_floors("| 3 | `cli` |\n| 0 | `a` `b` |") == {"cli": 3, "a": 0, "b": 0}
    parts = {p.stem for p in (ROOT / "mapose").iterdir() if p.suffix in ("", ".py")}
    assert set(FLOOR) == {p for p in parts if not p.startswith("_") and p != "py"}


def test_lengths_guard_catches():
    said = '    """' + "word\n" * 80 + '    """\n'
    body = "    x = 1\n" * 59
    assert check_lengths({"mapose.a": "x = 1\n" * 600, "mapose.b": f"def f():\n{said}{body}"}) == []
    assert len(check_lengths({"mapose.a": "x = 1\n" * 601})) == 1
    assert len(check_lengths({"mapose.a": f"def f():\n{said}{body}    x = 2\n"})) == 1
    method = "class A:\n    async def f(self):\n" + "        1\n" * 61
    assert len(check_lengths({"mapose.a": method})) == 1


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("def f(a, b, *, c, d, e, f, g): ...", 0),
        ("def f(a, b, *, c, d, e, f, g, h): ...", 1),
        ("class A:\n    def f(self, a, b, *, c, d, e, f, g): ...", 0),
        ("class A:\n    def f(self, a, b, *, c, d, e, f, g, h): ...", 1),
        ("class A:\n    @staticmethod\n    def f(a, b, *, c, d, e, f, g, h): ...", 1),
        ("def f():\n    def g(a, b, *, c, d, e, f, g, h): ...", 1),
        ("def f(a, b, c): ...", 0),
        ("def f(a, b=1): ...", 0),
        ("def f(a, b=1, c=2): ...", 1),
        ("def f(a, b, c=2): ...", 1),
        ("class A:\n    def __init__(self, a, b, c=2): ...", 1),
        ("def _f(a, b, c=2): ...", 0),
        ("class _A:\n    def f(self, a, b, c=2): ...", 0),
        ("@dataclass\nclass A:\n" + "".join(f"    a{i}: int = 0\n" for i in range(12)), 0),
    ],
)
def test_parameters_guard_catches(source, count):
    assert len(check_parameters({"mapose.a": source})) == count
    assert check_parameters({"mapose.cli": source}) == []


@pytest.mark.parametrize(
    "source", ["def f(): ...", "class A: ...", "x = 1", "if x:\n    y()", "f()"]
)
def test_package_files_guard_catches(source):
    fine = '"""Words."""\nfrom a import b\n__all__ = ["b"]\n'
    fine += "__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)\n"
    assert check_package_files({"mapose.io.__init__": fine}) == []
    assert len(check_package_files({"mapose.io.__init__": fine + source})) == 1
    assert check_package_files({"mapose.io.store": source}) == []


@pytest.mark.parametrize(
    "source",
    [
        "print('hello')",
        "def f():\n    input()",
        "exit(1)",
        "sys.exit(1)",
        "os.chdir('/')",
        "import pickle",
        "from pickle import load",
        "import joblib",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "eval(text)",
    ],
)
def test_calls_guard_catches(source):
    assert len(check_calls({"mapose.io.store": source})) == 1
    assert len(check_calls({"calibration.camera": source})) == 1


def test_calls_guard_lets_pass():
    source = "torch.load(p, weights_only=True)\nnp.load(p, allow_pickle=False)\nlogger.info('x')"
    assert check_calls({"mapose.models.checkpoint": source, "mapose.cli": "print('hello')"}) == []


@pytest.mark.parametrize(
    "module", ["mapose.utils", "mapose.core.poses", "mapose.io.video_utils", "mapose.tracker_v2"]
)
def test_names_guard_catches(module):
    assert len(check_names({module: ""})) == 1
    assert check_names({"mapose.decode.scores": "", "mapose.io.common_names": ""}) == [
        "mapose.io.common_names: a module is named for what is in it"
    ]


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )


LIGHT = """
import sys
import {package}
heavy = "torch cv2 matplotlib pandas scipy av h5py xarray numpy".split()
print(*[name for name in heavy if name in sys.modules])
"""


def test_import_is_light_and_silent(tmp_path):
    done = run_python(LIGHT.format(package="mapose"))
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
    (tmp_path / "loud.py").write_text("import numpy", encoding="utf-8")  # the offender
    done = run_python(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})" + LIGHT.format(package="loud")
    )
    assert done.stdout.strip() == "numpy"


BLOCKED = """
import importlib, pkgutil, sys
sys.modules["mapose"] = None
{extra}
import calibration
for found in pkgutil.walk_packages(calibration.__path__, "calibration."):
    importlib.import_module(found.name)
"""


def test_calibration_stands_without_mapose():
    done = run_python(BLOCKED.format(extra=""))
    assert done.returncode == 0, done.stderr
    assert run_python(BLOCKED.format(extra="from mapose import poses")).returncode != 0
