"""Hash the code that a result depends on: a module and its imports from the same package."""

import ast
import hashlib
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path


def source_files(module: str, without: Collection[str] = ()) -> list[Path]:
    """Return the source files of the same package that importing `module` can run, sorted by name.

    Imports inside functions and the parent packages count too; not the modules `without`, nor what only they import.
    """
    package = module.partition(".")[0]
    left, files = {module}, dict[str, Path]()
    while left:
        name = left.pop()
        if (
            name in files
            or name in without
            or name.partition(".")[0] != package
            or (spec := find_spec(name)) is None
            or not spec.origin
        ):
            continue
        files[name] = Path(spec.origin)
        left |= {name.rpartition(".")[0]} - {""}
        for node in ast.walk(ast.parse(files[name].read_bytes())):
            if isinstance(node, ast.Import):
                left |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                left.add(node.module)
    return sorted(files.values())


def source_digest(module: str, without: Collection[str] = ()) -> str:
    """Return the SHA-256 of the code of these files, without comments and docstrings."""
    digest = hashlib.sha256()
    for path in source_files(module, without):
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                ast.get_docstring(node, clean=False) is not None
            ):
                node.body[0] = ast.Pass()
        code = ast.unparse(tree)
        digest.update(f"{path.name} {len(code)}\n".encode() + code.encode())
    return digest.hexdigest()
