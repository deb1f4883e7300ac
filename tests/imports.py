"""The modules that a module imports, read from its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The attacked runs of params.yaml.
CLASSIFIERS = ("mlp", "mlp-weight-decay", "convnet", "convnet-adversarial", "convnet-certified")
ROOTS = {"descent": ROOT / "src", "stages": ROOT}


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, also within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: a relative import"  # noqa: PT018
            found.add(node.module)
    return found


def closure(module: str) -> set[str]:
    """Return the paths, relative to the repository, of all our files that importing `module` can run."""
    left, files = {module}, dict[str, Path]()
    while left:
        name = left.pop()
        folder = ROOTS.get(name.partition(".")[0])
        if folder and name not in files:
            path = folder / name.replace(".", "/")
            files[name] = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            # Importing a.b runs a/__init__.py too.
            left |= imports(files[name]) | ({name.rpartition(".")[0]} - {""})
    return {path.relative_to(ROOT).as_posix() for path in files.values()}
