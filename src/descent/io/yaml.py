"""Read a YAML file as people write it, plain and small, and keep the place of every value for what is said of it."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.nodes import MappingNode, Node
from ruamel.yaml.reader import ReaderError

from descent.io.errors import ParamsError

# The project's own file has a tenth of this; so much takes ruamel.yaml a second.
_MOST_BYTES = 2**16
_MOST_LEVELS = 16
_MOST_CHARACTERS = 1000


class _Composer(Composer):
    """Composes plain trees: what makes a small file cost hours, or names Python's own types, has no use here."""

    _level = 0

    def compose_document(self) -> Any:  # noqa: ANN401 - ruamel.yaml gives its nodes no type
        event = self.parser.peek_event()
        if event.version or event.tags:
            raise MarkedYAMLError(problem="no directive (%) is taken here; remove it", problem_mark=event.start_mark)
        return super().compose_document()

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401
        event, problem = self.parser.peek_event(), ""
        if event.anchor is not None:
            problem = "no anchor (&) or alias (*) is taken here; write the value out"
        elif event.tag is not None:
            problem = "no tag (!) is taken here; write the value alone"
        elif len(getattr(event, "value", "")) > _MOST_CHARACTERS:
            problem = f"a value of more than {_MOST_CHARACTERS:,} characters; shorten it"
        elif self._level == _MOST_LEVELS:
            problem = f"more than {_MOST_LEVELS} levels, one in the other; no parameter lies so deep"
        if problem:
            raise MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        for key, _ in node.value if isinstance(node, MappingNode) else ():
            if key.tag != "tag:yaml.org,2002:str":
                raise MarkedYAMLError(problem="expected a name as key; put it in quotes", problem_mark=key.start_mark)
        return node


class _Constructor(SafeConstructor):
    """Says where a value stands that YAML takes for a number or a date, and Python does not."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            raise MarkedYAMLError(problem=f"{node.value}: {error}", problem_mark=node.start_mark) from error


def read_yaml(path: Path) -> tuple[Node, dict[str, Any]]:
    """Return the tree with its positions, and the values that DVC reads too: PyYAML takes 1e-3 for a string.

    Raises:
        ParamsError: The file cannot be read, is no YAML, or uses more of YAML than names and values.
    """
    text = _text(path)
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer, yaml.Constructor = _Composer, _Constructor
    try:
        tree = yaml.compose(text)
        values = None if tree is None else yaml.constructor.construct_document(tree)
    except MarkedYAMLError as error:
        problem = str(error.problem or error.context)
        if problem.startswith("but ") and error.context:
            problem = f"{error.context}, {problem}"
        raise ParamsError(f"{path}{position(error.problem_mark or error.context_mark)}: {one_line(problem)}") from error
    except ReaderError as error:
        before = text[: error.position]
        place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        raise ParamsError(f"{path}:{place}: no character that a text file may hold; remove it") from error
    except (YAMLError, ValueError, OverflowError) as error:
        # ruamel.yaml hands what stands in an escape or after %YAML to Python as it is.
        raise ParamsError(f"{path}: not valid YAML: no such character or version ({one_line(str(error))})") from error
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: expected keys and values, found {type(values).__name__}")
    return tree, values


def _text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            raise ParamsError(f"{path}: not a file; move it away, and put the file with the parameters there")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ParamsError(f"{path}: more than {_MOST_BYTES:,} bytes; no parameters are so long")
        return content.decode()
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: no such file; run this in the folder that holds it") from error
    except OSError as error:
        raise ParamsError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error


def position(mark: StringMark | None) -> str:
    """Write a place as `:LINE:COLUMN`."""
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def one_line(text: str) -> str:
    """Keep what a file holds on one line, short, and from commanding the terminal."""
    shown = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"
