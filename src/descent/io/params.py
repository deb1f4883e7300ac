"""Read `params.yaml`, or another YAML file, into checked types; report every mistake at once, with its line."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from descent.io.errors import ParamsError
from descent.io.schema import Params

Checked = TypeVar("Checked", bound=BaseModel)
# Ten times what is usual.
_MOST_BYTES, _MOST_LEVELS = 2**16, 16
_MOST_MISTAKES = 20
# Messages by the type of pydantic's error, where its own message would be about Python.
_MESSAGES = {
    "extra_forbidden": "no such parameter",
    "missing": "this parameter is missing",
    "union_tag_not_found": "the key kind is missing",
    **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "expected keys and values, found {found}"),
}


def load_params(path: Path) -> Params:
    """Read and check the parameters; raises as `load_yaml` does."""
    return load_yaml(path, Params)


def load_yaml(path: Path, schema: type[Checked]) -> Checked:
    """Read a file as DVC's own parser does, and check it.

    Raises:
        ParamsError: The file cannot be read or any key of it is wrong; the message has a line for each
            mistake, `FILE:LINE:COLUMN: KEY: what was expected`.
    """
    try:
        content = path.read_bytes()
        if len(content) > _MOST_BYTES:
            raise ParamsError(f"{path}: more than {_MOST_BYTES:,} bytes; no parameters are so long")
        tree, values = _read(content.decode())
        return schema.model_validate(values)
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: no such file; run this in the folder that has it") from error
    except ValidationError as error:
        raise ParamsError("\n".join(f"{path}{mistake}" for mistake in _explained(tree, error))) from error
    except MarkedYAMLError as error:
        place, words = _position(error.problem_mark or error.context_mark), filter(None, (error.context, error.problem))
        raise ParamsError(f"{path}{place}: {one_line(', '.join(words))}") from error
    except (YAMLError, ValueError, OverflowError) as error:  # a character or a number that Python does not accept
        raise ParamsError(f"{path}: not valid YAML in UTF-8: {one_line(str(error))}") from error


def one_line(text: str) -> str:
    """Return text of a file as one line of at most 200 characters, without control characters."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in " ".join(text.split()))
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _read(text: str) -> tuple[Node | None, Any]:
    """Return the tree of nodes with their positions, and the values."""
    yaml, anchors = YAML(typ="safe"), list[str | None]()
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
    return tree, None if tree is None else yaml.constructor.construct_document(tree)


def _explained(tree: Node | None, error: ValidationError) -> Iterable[str]:
    """Turn pydantic's errors into lines with the position and the dotted name of the key."""
    mistakes = error.errors(include_url=False)
    missing = [mistake["loc"] for mistake in mistakes if mistake["type"] == "missing"]
    for mistake in mistakes[:_MOST_MISTAKES]:
        kind, place, given = mistake["type"], mistake["loc"], mistake["input"]
        if kind in _MESSAGES:
            message = _MESSAGES[kind].format(found=type(given).__name__)
        else:
            message = mistake["msg"].removeprefix("Value error, ")
            message += f" (got {given!r})" if isinstance(given, str | int | float | None) else ""
        if kind == "extra_forbidden":
            siblings = [str(name) for *section, name in missing if section == list(place[:-1])]
            message += "".join(f"; did you mean {name}?" for name in get_close_matches(str(place[-1]), siblings, n=1))
        yield f"{_place(tree, place)}: {one_line(message)}"
    if len(mistakes) > _MOST_MISTAKES:
        yield f": and {len(mistakes) - _MOST_MISTAKES:,} mistakes more"


def _place(tree: Node | None, location: tuple[int | str, ...]) -> str:
    """Return `:LINE:COLUMN: KEY` of a location of pydantic's; of a missing key, the position of its section."""
    if not location:  # a mistake between two sections, whose message names them; or no keys and values at all
        return ""
    *parents, last = location[:-1] if location[-1] == "[key]" else location
    node, names = tree, list[str]()
    for part in map(str, parents):
        children = _children(node)
        if part in children:  # the tag of a union is in no file
            _, node = children[part]
            names.append(part)
    key, _ = _children(node).get(str(last), (node, node))
    return f"{_position(key and key.start_mark)}: {one_line('.'.join([*names, str(last)]))}"


def _children(node: Node | None) -> Mapping[str, tuple[Node, Node]]:
    """Return the nodes of the key and of the value of each child; an item of a list is both."""
    if isinstance(node, MappingNode):
        return {str(key.value): (key, value) for key, value in node.value}
    return {str(index): (item, item) for index, item in enumerate(node.value if isinstance(node, SequenceNode) else ())}


def _position(mark: Any) -> str:  # noqa: ANN401 - each parser of ruamel.yaml has a class of its own
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""
