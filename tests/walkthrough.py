"""Follow a page of the documentation to the letter."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.workspace import Workspace


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


class Command(NamedTuple):
    """What a page tells to type, and what it shows below."""

    typed: str
    shown: str


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in their order."""
    found = re.findall(r"^```(\w*).*?\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def commands(block: Block) -> Iterator[Command]:
    """Return what a console block tells to type, without what is said about it."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        typed, _, shown = part.partition("\n")
        yield Command(re.split(r"\s+# ", typed)[0].strip(), shown)


def follow(
    workspace: Workspace,
    page: Path,
    skip: Callable[[str], bool] = lambda typed: False,
    edit: Callable[[str], str] = lambda typed: typed,
    loose: Callable[[str], bool] = lambda typed: False,
    after: Callable[[str], object] = lambda typed: None,
) -> dict[str, str]:
    """Apply each patch of a page and type each command, and see that it shows what the page says.

    Args:
        workspace: Where.
        page: Read from top to bottom.
        skip: Says of a command that this test cannot type it.
        edit: Puts a place of this machine where the page has one of its reader's.
        loose: Says of a command that it shows other numbers here than on the page.
        after: Called with each command that was typed.

    Returns:
        What was printed by what was typed.
    """
    typed = dict[str, str]()
    for block in blocks(page):
        if block.language == "diff":
            patch = workspace.folder / ".patch.part"
            patch.write_text(block.text, encoding="utf-8")
            workspace.run("git", "apply", str(patch))
        elif block.language == "console":
            for command in commands(block):
                if command.typed.startswith("source ") or skip(command.typed):
                    continue
                words = shlex.split(edit(command.typed))
                typed[command.typed] = printed = "".join(
                    _run(workspace, list(part)) for last, part in groupby(words, lambda word: word == "&&") if not last
                )
                if command.shown.strip() and not loose(command.typed):
                    assert matches(command.shown, printed), f"{command.typed}\n{printed}\n---\n{command.shown}"
                after(command.typed)
    return typed


def _run(workspace: Workspace, words: list[str]) -> str:
    """Run a command; make is given the environment that runs this test instead of one of its own."""
    environment = dict[str, str]()
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    if words[0] == "make":
        words[1:1] = ["--no-print-directory", "PYTHON=true", f"BIN={Path(sys.executable).parent}"]
    return workspace.run("env", *(f"{name}={value}" for name, value in environment.items()), *words)


def matches(shown: str, printed: str) -> bool:
    """Whether a command printed what a page shows, where … on a line of its own or within one is anything."""
    lines = [" ".join(line.split()) for line in shown.strip().splitlines()]
    pattern = r"\n".join(
        ".*?" if line in ("…", "...") else r"[^\n]*?".join(map(re.escape, line.split("…"))) for line in lines
    )
    text = "\n".join(" ".join(line.split()) for line in printed.strip().splitlines())
    return re.fullmatch(pattern.replace(r".*?\n", r"(?:.*?\n)??"), text, re.DOTALL) is not None
