"""Read a YAML file with the position of every value."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import Node

from descent.io.errors import ParamsError

# Ten times what is usual.
_MOST_BYTES = 2**16
_MOST_LEVELS = 16


def read_yaml(path: Path) -> tuple[Node, dict[str, Any]]:
    """Return the tree of nodes with their positions, and the values, as DVC's own parser reads them.

    Raises:
        ParamsError: The file cannot be read, is not valid YAML, or has no keys and values.
    """
    yaml = YAML(typ="safe")
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise ParamsError(f"{path}: more than {_MOST_BYTES:,} bytes; no parameters are so long")
        text, anchors = content.decode(), list[str | None]()
        for event in yaml.parse(text):
            if isinstance(event, CollectionStartEvent):
                anchors.append(event.anchor)
            elif isinstance(event, CollectionEndEvent):
                anchors.pop()
            if len(anchors) > _MOST_LEVELS:  # some thousand would end the process
                raise MarkedYAMLError(problem=f"more than {_MOST_LEVELS} levels", problem_mark=event.start_mark)
            if isinstance(event, AliasEvent) and any(anchors):  # aliases of aliases grow without limit
                raise MarkedYAMLError(problem="an alias in a value with an anchor", problem_mark=event.start_mark)
        tree = yaml.compose(text)
        values = None if tree is None else yaml.constructor.construct_document(tree)
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: no such file; run this in the folder that has it") from error
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except MarkedYAMLError as error:
        place, words = position(error.problem_mark or error.context_mark), filter(None, (error.context, error.problem))
        raise ParamsError(f"{path}{place}: {one_line(', '.join(words))}") from error
    except (YAMLError, ValueError, OverflowError) as error:  # a character or a number that Python does not accept
        raise ParamsError(f"{path}: not valid YAML: {one_line(str(error))}") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: expected keys and values, found {type(values).__name__}")
    return tree, values


def position(mark: Any) -> str:  # noqa: ANN401 - each parser of ruamel.yaml has a class of its own
    """Format a mark of ruamel.yaml as `:LINE:COLUMN`."""
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def one_line(text: str) -> str:
    """Return text of a file as one line of at most 200 characters, without control characters."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in " ".join(text.split()))
    return shown if len(shown) <= 200 else f"{shown[:200]}…"
