"""Which of our own modules a module runs, read from its source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOTS = {"descent": ROOT / "src", "stages": ROOT}


def source_of(module: str) -> Path | None:
    """Return the file of one of our modules; None for everybody else's."""
    folder = ROOTS.get(module.partition(".")[0])
    if folder is None:
        return None
    path = folder / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def imports(path: Path) -> set[str]:
    """Return every module that a file imports, wherever in it the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            found.add(node.module)
    return found


def closure(module: str) -> set[str]:
    """Return the paths, relative to the repository, of all our files that importing `module` can run."""
    left, files = {module}, dict[str, Path]()
    while left:
        name = left.pop()
        path = source_of(name)
        if path is None or name in files:
            continue
        files[name] = path
        # Importing a.b runs a/__init__.py too.
        left |= imports(path) | ({name.rpartition(".")[0]} - {""})
    return {path.relative_to(ROOT).as_posix() for path in files.values()}
