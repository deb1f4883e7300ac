"""Follow the commands of a documentation page."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

from tests.workspace import Workspace


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the language and the text of each fenced block of a page."""
    return re.findall(r"^```(\w*).*?\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[tuple[str, str]]:
    """Return each command of a console block, without its comment, and the output that the block shows for it."""
    parts = (part.partition("\n") for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:])
    return [(re.split(r"\s+# ", typed)[0].strip(), shown) for typed, _, shown in parts]


def follow(
    workspace: Workspace,
    page: Path,
    skip: Callable[[str], bool] = lambda typed: False,
    edit: Callable[[str], str] = lambda typed: typed,
    loose: Callable[[str], bool] = lambda typed: False,
    after: Callable[[str], object] = lambda typed: None,
) -> dict[str, str]:
    """Apply each patch of a page and run each command; each must print what the page shows.

    Args:
        workspace: Where they run; `make` takes the environment of this test.
        page: Read from top to bottom.
        skip: Tells which commands this test cannot run.
        edit: Replaces the reader's folders and addresses by those of this machine.
        loose: Tells which commands print other numbers here than on the page.
        after: Called after each command.

    Returns:
        The output of each command.
    """
    printed = dict[str, str]()
    flags = f"--no-print-directory PYTHON=true BIN={Path(sys.executable).parent}"
    for language, text in blocks(page):
        if language == "diff":
            (workspace.folder / ".patch.part").write_text(text, encoding="utf-8")
            workspace.run("git", "apply", ".patch.part")
        for typed, shown in commands(text) if language == "console" else ():
            if typed.startswith("source ") or skip(typed):
                continue
            printed[typed] = workspace.run("sh", "-c", edit(typed), MAKEFLAGS=flags)
            if shown.strip() and not loose(typed):
                assert matches(shown, printed[typed]), f"{typed}\n{printed[typed]}\n---\n{shown}"
            after(typed)
    return printed


def matches(shown: str, printed: str) -> bool:
    """Return whether a command printed what a page shows, where … on a line of its own or within one is anything."""
    expected, text = ([" ".join(line.split()) for line in each.strip().splitlines()] for each in (shown, printed))
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line in ("…", "...") else r"[^\n]*?".join(map(re.escape, line.split("…"))) + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in text)) is not None
