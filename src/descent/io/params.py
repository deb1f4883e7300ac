"""Read `params.yaml`; report every mistake at once, with its line."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from descent.io.errors import ParamsError
from descent.io.schema import Params
from descent.io.yaml import one_line, position, read_yaml

_MOST_MISTAKES = 20


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
        node, names = _located(tree, mistake["loc"])
        message, given = mistake["msg"].removeprefix("Value error, "), mistake["input"]
        if mistake["type"] == "extra_forbidden":
            message = "no such parameter"
            siblings = [str(loc[-1]) for loc in missing if loc[:-1] == mistake["loc"][:-1]]
            if close := get_close_matches(str(mistake["loc"][-1]), siblings, n=1):
                message += f"; did you mean {close[0]}?"
        elif mistake["type"] == "missing":
            message = "this parameter is missing"
        elif mistake["type"] == "union_tag_not_found":
            message = "the key kind is missing"
        elif mistake["type"] in ("model_type", "model_attributes_type", "dict_type"):
            message = f"expected keys and values, found {type(given).__name__}"
        elif isinstance(given, str | int | float | None):
            message += f" (got {given!r})"
        # A mistake between two sections says in its message where it lies.
        place = f"{position(node.start_mark)}: {one_line('.'.join(names))}" if names else ""
        yield f"{path}{place}: {one_line(message)}"
    if len(mistakes) > _MOST_MISTAKES:
        yield f"{path}: and {len(mistakes) - _MOST_MISTAKES:,} mistakes more"


def _located(tree: Node, location: tuple[int | str, ...]) -> tuple[Node, list[str]]:
    """Walk down the YAML nodes along `location`; what the file does not have (a union's tag) is passed over."""
    if location[-1:] == ("[key]",):  # the key itself is meant
        location = location[:-1]
    node, names = tree, list[str]()
    for last, part in enumerate(location, start=1 - len(location)):
        children: dict[int | str, tuple[Node, Node]] = {}
        if isinstance(node, MappingNode):
            children = {key.value: (key, value) for key, value in node.value}
        elif isinstance(node, SequenceNode):
            children = {index: (item, item) for index, item in enumerate(node.value)}
        if part in children:
            key, value = children[part]
            node = key if last == 0 and isinstance(node, MappingNode) else value
            names.append(str(part))
        elif last == 0:
            names.append(str(part))
    return node, names
