"""The house keeps its order: length of lines and files, which way imports run, one owner of the streams' names."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import conftest
import pytest

from affectgpt.models.streams import MEDIA_STREAMS, STREAMS, TOKEN_STREAMS, VISUAL_STREAMS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("affectgpt", "train", "eval", "configs", "studies", "tests")
LONGEST_LINE, LONGEST_TEST = 120, 400
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
NOT_AT_THE_TOP = {"deepspeed", "flash_attn", "decord", "vllm", "gradio", "librosa", "matplotlib", "torchvision"}


def module_of(path: Path) -> str:
    """Name under which a file is imported: train/sft.py is affectgpt.train.sft."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts if parts[0] == "affectgpt" else ("affectgpt", *parts))
    return name.removesuffix(".__init__")


PACKAGES = {module_of(path) for path in SOURCES if path.name == "__init__.py"}
TREES = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES if path.parts[-2] != "tests"}


def imported(module: str, node: ast.AST) -> list[str]:
    """What one statement imports, submodules by their whole names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    package = module if module in PACKAGES else module.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    source = ".".join(filter(None, (package if node.level else "", node.module)))
    whole = [f"{source}.{alias.name}" for alias in node.names]
    return [name if name in TREES else source for name in whole]


def imports(module: str) -> set[str]:
    """All that a module imports, also inside functions."""
    return set(chain.from_iterable(imported(module, node) for node in ast.walk(TREES[module])))


def imports_at_top(module: str) -> set[str]:
    """What a module imports when it is imported itself: everything outside functions."""
    found, nodes = set(), list(TREES[module].body)
    while nodes:
        node = nodes.pop()
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.update(imported(module, node))
            nodes.extend(ast.iter_child_nodes(node))
    return found


def lies_in(name: str, *places: str) -> bool:
    """Whether a module is one of these places of affectgpt, or below one."""
    return any(name == f"affectgpt.{place}" or name.startswith(f"affectgpt.{place}.") for place in places)


def modules_in(*places: str) -> list[str]:
    return [module for module in TREES if lies_in(module, *places)]


def others(module: str, *places: str, packages: tuple[str, ...] | None = None) -> list[str]:
    """Imports of a module outside these places of affectgpt, and outside these packages where they are given."""
    found = []
    for name in imports(module):
        top = name.split(".")[0]
        if top == "affectgpt":
            found += [name] * (name != "affectgpt" and not lies_in(name, *places))
        elif packages is not None and top not in sys.stdlib_module_names:
            found += [name] * (top not in packages)
    return found


def test_the_longest_test_files_begin_first():
    tests = {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    assert set(conftest.LONGEST_FIRST) <= tests and len(set(conftest.LONGEST_FIRST)) == len(conftest.LONGEST_FIRST)
    items = [SimpleNamespace(path=Path(f"{name}.py")) for name in ("test_a", "test_engines", "test_b", "test_scale")]
    conftest.pytest_collection_modifyitems(items)
    assert [item.path.stem for item in items] == ["test_scale", "test_engines", "test_a", "test_b"]


def test_no_line_of_code_is_long():
    files = [*SOURCES, *ROOT.glob("*.py"), *ROOT.glob("*.toml"), *chain.from_iterable(
        (ROOT / folder).rglob(pattern) for folder in FOLDERS for pattern in ("*.yaml", "*.sh", "*.sbatch", "*.html"))]
    long = [f"{path.relative_to(ROOT)}:{number}" for path in files
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1) if len(line) > LONGEST_LINE]
    assert len(files) > 100 and not long


def test_no_line_of_prose_is_long():
    """Rows of tables and single words, such as addresses, cannot be broken."""
    long = []
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        in_block = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            in_block ^= line.startswith("```")
            breakable = not in_block and not line.startswith("|") and len(line.split()) > 2
            long += [f"{path.name}:{number}"] * (breakable and len(line) > LONGEST_LINE)
    assert not long


def test_no_file_of_tests_is_long():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (ROOT / "tests").glob("*.py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST_TEST} == {}


def test_the_model_stands_alone():
    """So that a released model can carry its code with it."""
    packages = ("torch", "transformers", "numpy", "safetensors")
    for module in modules_in("models"):
        # Pillow resizes pictures, where they need it and it is there.
        more = {"affectgpt.models.lora": ("peft",), "affectgpt.models.raw_inputs": ("PIL",)}
        allowed = (*packages, *more.get(module, ()))
        assert not others(module, "models", packages=allowed), module


@pytest.mark.parametrize("place, beside, packages", [
    ("words", (), ("simplemma", "snowballstemmer", "jieba", "opencc")),
    ("media", ("models.streams", "hub", "starter.reading", "files"), None),
    ("metrics", ("words", "npz", "files"), ("numpy", "scipy", "simplemma")),
    ("synthetic", ("words", "files"), None),
    ("npz", (), ("numpy",)), ("files", ("devices",), ()), ("devices", (), ()), ("terminal", (), ()),
    ("errors", ("terminal",), None), ("hub", ("files", "remote", "starter"), None),
])
def test_low_floors_know_nothing_of_those_above(place, beside, packages):
    assert modules_in(place)
    for module in modules_in(place):
        assert not others(module, place, *beside, packages=packages), module


def test_imports_run_one_way():
    above = {"data": ("features", "loading", "inference", "train", "eval", "cli"),
             "features": ("inference", "train", "eval", "cli"),
             "extractors": ("inference", "train", "eval", "cli"),
             "inference": ("train", "eval", "cli"), "loading": ("inference", "train", "eval", "cli"),
             "eval": ("caption", "cli"), "train": ("caption", "cli"), "caption": ("cli",)}
    for place, forbidden in above.items():
        for module in modules_in(place):
            assert not [name for name in imports(module) if lies_in(name, *forbidden)], module
    for module in TREES:
        jobs = [name for name in imports(module) if lies_in(name, "train", "eval")]
        assert not jobs or lies_in(module, "train", "eval", "studies", "caption", "prepare", "cli"), module
    # A comparison trains what it judges; nothing else that judges does.
    training = [module for module in modules_in("eval") if any(lies_in(name, "train") for name in imports(module))]
    assert training == ["affectgpt.eval.compare.own", "affectgpt.eval.compare.systems"]
    # The main job trains and judges: no other job of train/ needs eval/.
    judging = [module for module in modules_in("train") if any(lies_in(name, "eval") for name in imports(module))]
    assert judging == ["affectgpt.train.starter"]


def test_no_module_imports_itself_by_way_of_others():
    edges = {module: imports_at_top(module) & TREES.keys() - {module} for module in TREES}
    while ends := {module for module, needed in edges.items() if not needed}:
        edges = {module: needed - ends for module, needed in edges.items() if module not in ends}
    assert edges == {}


def test_heavy_packages_are_imported_where_they_are_used():
    heavy = {module: sorted({name.split(".")[0] for name in imports_at_top(module)} & NOT_AT_THE_TOP)
             for module in TREES}
    assert {module: names for module, names in heavy.items() if names} == {}


def test_the_package_itself_imports_nothing_slow():
    code = "import sys, affectgpt; sys.exit(', '.join({'torch', 'numpy', 'transformers'} & sys.modules.keys()) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_names_of_streams_have_one_owner():
    """No other module writes these collections out; types, which take no names of values, may."""
    found, owned = [], (STREAMS, MEDIA_STREAMS, TOKEN_STREAMS, VISUAL_STREAMS)
    for module, tree in TREES.items():
        types = {id(node.slice) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Tuple | ast.List | ast.Set) and id(node) not in types:
                values = tuple(getattr(item, "value", None) for item in node.elts)
                if values in owned or isinstance(node, ast.Set) and set(values) in map(set, owned):
                    found.append(f"{module}:{node.lineno}")
    assert [place for place in found if not place.startswith("affectgpt.models.streams:")] == []
