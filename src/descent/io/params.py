"""Read `params.yaml`; report every mistake at once, with its line."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from descent.io.errors import ParamsError
from descent.io.schema import Params
from descent.io.yaml import one_line, position, read_yaml

_MOST_MISTAKES = 20
# Messages by the type of pydantic's error, where its own message would be about Python.
_NO_SECTION = "expected keys and values, found {found}"
_MESSAGES = {
    "extra_forbidden": "no such parameter",
    "missing": "this parameter is missing",
    "union_tag_not_found": "the key kind is missing",
    "model_type": _NO_SECTION,
    "model_attributes_type": _NO_SECTION,
    "dict_type": _NO_SECTION,
}


def load_params(path: Path) -> Params:
    """Read and check the parameters.

    Raises:
        ParamsError: The file cannot be read or any key of it is wrong; the message has a line for each
            mistake, `FILE:LINE:COLUMN: KEY: what was expected`.
    """
    tree, values = read_yaml(path)
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError("\n".join(explained(path, tree, error))) from error


def explained(path: Path, tree: Node, error: ValidationError) -> Iterable[str]:
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
        yield f"{path}{_place(tree, place)}: {one_line(message)}"
    if len(mistakes) > _MOST_MISTAKES:
        yield f"{path}: and {len(mistakes) - _MOST_MISTAKES:,} mistakes more"


def _place(tree: Node, location: tuple[int | str, ...]) -> str:
    """Return `:LINE:COLUMN: KEY` of a location of pydantic's; of a missing key, the position of its section."""
    if not location:  # a mistake between two sections: its message names them
        return ""
    *parents, last = location[:-1] if location[-1] == "[key]" else location
    node, names = tree, list[str]()
    for part in map(str, parents):
        children = _children(node)
        if part in children:  # the tag of a union is in no file
            _, node = children[part]
            names.append(part)
    key, _ = _children(node).get(str(last), (node, node))
    return f"{position(key.start_mark)}: {one_line('.'.join([*names, str(last)]))}"


def _children(node: Node) -> Mapping[str, tuple[Node, Node]]:
    """Return the nodes of the key and of the value of each child; an item of a list is both."""
    if isinstance(node, MappingNode):
        return {str(key.value): (key, value) for key, value in node.value}
    return {str(index): (item, item) for index, item in enumerate(node.value if isinstance(node, SequenceNode) else ())}
