"""The structure: imports point down, folders and files stay small, every package is installed.

python tests/test_tree.py    # prints the arrows between the parts of each package
"""

import ast
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The parts of each package from the lowest to the highest: a part imports its own line and those above it here.
LAYERS = {
    "schemas": ["support", "keypoints blendshapes manifest cache read_cache face_shards", "html"],
    "data_manifest": [
        "labels problems reader text_files csv_parquet official_splits votes",
        "disk",
        "layouts",
        "datasets inputs counts published_results",
    ],
    "pipeline": [
        "config records",
        "setup",
        "video",
        "face",
        "cache",
        "clip",
        "run",
        "live",
        "report",
        "doctor one_clip options cli __main__",
    ],
    "train": [
        "models",
        "config",
        "data",
        "results",
        "engine",
        "commands",
        "several",
        "report",
        "model_command",
        "use",
        "options",
        "cost_commands several_commands use_commands live_commands cli __main__",
    ],
}
MAY_IMPORT = {
    "schemas": set(),
    "data_manifest": {"schemas"},
    "pipeline": {"schemas", "data_manifest"},
    "train": {"schemas", "data_manifest"},
}
MODULES = {
    ".".join(("dfer", *path.relative_to(ROOT).with_suffix("").parts)): path
    for package in LAYERS
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__init__.py"
}


def imports(path: Path) -> Iterator[str]:
    """The modules of this project that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dfer"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("dfer"))


GRAPH = {name: sorted({*imports(path)} & MODULES.keys() - {name}) for name, path in MODULES.items()}


MAY_EXTRACT = "dfer.train.use."  # the one part of `train` that calls the pipeline


def part(module: str) -> tuple[str, str]:
    """The package and the part of it: "dfer.train.data.caches" → ("train", "data")."""
    _, package, name, *_ = module.split(".")
    return package, name


def height(package: str, name: str) -> int:
    return next(k for k, layer in enumerate(LAYERS[package]) if name in layer.split())


def test_every_module_is_in_a_layer():
    for module in MODULES:
        package, name = part(module)
        assert any(name in layer.split() for layer in LAYERS[package]), module


def test_no_import_points_up():
    for module, targets in GRAPH.items():
        package, name = part(module)
        for target in targets:
            other, below = part(target)
            if other == package:
                assert height(package, below) <= height(package, name), f"{module} imports {target}"
            elif other != "pipeline" or not module.startswith(MAY_EXTRACT):
                assert other in MAY_IMPORT[package], f"{module} imports {target}"


def test_no_import_cycle():
    TopologicalSorter(GRAPH).prepare()  # raises CycleError


@pytest.mark.parametrize("package", LAYERS)
def test_folders_files_and_functions_stay_small(package):
    folders: dict[Path, int] = {}
    for path in (ROOT / package).rglob("*.py"):
        text = path.read_text()
        assert text.count("\n") <= 300, path
        if path.name != "__init__.py":
            folders[path.parent] = folders.get(path.parent, 0) + 1
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"
    assert max(folders.values()) <= 14, folders


def test_every_folder_is_installed_and_shown_to_editors():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    folders = {path.parent for package in LAYERS for path in (ROOT / package).rglob("*.py")}
    names = {".".join(("dfer", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert set(settings["setuptools"]["packages"]) == names
    (links,) = settings["pyright"]["extraPaths"]
    for package in LAYERS:
        assert (ROOT / links / "dfer" / package).resolve() == ROOT / package


def test_every_data_file_is_installed():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for package, names in patterns.items()
        for name in names
        for path in ROOT.joinpath(*package.split(".")[1:]).glob(name)
    }
    not_data = (".py", ".pyc", ".md", ".jpg")  # Python, and pages with the picture that one of them shows
    files = {path for package in LAYERS for path in (ROOT / package).rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in not_data} == installed


if __name__ == "__main__":
    arrows = {(*part(a), *part(b)) for a, targets in GRAPH.items() for b in targets}
    for package, name, other, below in sorted(arrows):
        if (package, name) != (other, below):
            print(f"{package}/{name} -> {other}/{below}")
