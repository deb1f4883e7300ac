"""The documentation builds without a warning, reads without a network, and every link in it leads somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import networkx as nx
import pytest
from dvc.repo import Repo

from tests.browser import browsing, needs_chromium
from tests.imports import ROOT
from tests.workspace import Workspace
from tools.graph import picture, stages


@pytest.fixture(scope="module")
def site(committed: Workspace) -> Path:
    committed.run("mkdocs", "build", "--strict", NO_MKDOCS_2_WARNING="1")
    return committed.folder / "site"


def test_every_link_leads_somewhere_and_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        html = page.read_text(encoding="utf-8")
        for tag, address in re.findall(r'<(\w+)[^>]*?\b(?:href|src)="([^"#]+)', html):
            if re.match("https?:", address):
                assert tag == "a", f"{page}: {address}"
            elif page.name != "404.html":
                assert (page.parent / unquote(address)).exists(), f"{page}: {address}"


@needs_chromium
def test_a_page_opens_from_the_disk(site: Path) -> None:
    with browsing(width=1280) as watched:
        watched.page.goto((site / "library" / "training.html").as_uri())
        assert "descent_step" in watched.page.inner_text("main")
        assert (watched.outside, watched.errors) == ([], [])


def test_every_module_of_the_library_has_its_place() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "library").glob("*.md"))
    described = re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE)
    modules = [path.relative_to(ROOT / "src").with_suffix("") for path in (ROOT / "src" / "descent").rglob("*.py")]
    assert sorted(described) == sorted(".".join(path.parts) for path in modules if path.stem != "__init__")


def test_the_stages_are_those_that_dvc_lists(committed: Workspace) -> None:
    listed = "".join(f"{line.rstrip()}\n" for line in committed.run("dvc", "stage", "list", "dvc.yaml").splitlines())
    assert (ROOT / "docs" / "stages.txt").read_text(encoding="utf-8") == listed


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what DVC calls
def test_the_graph_is_that_of_dvc_without_what_follows(committed: Workspace) -> None:
    told = committed.run("dvc", "dag", "--mermaid", "dvc.yaml")
    names = {node: name.partition("@")[0] for node, name in re.findall(r'(node\d+)\["(.*?)"\]', told)}
    graph = nx.DiGraph((names[before], names[after]) for before, after in re.findall(r"(node\d+)-->(node\d+)", told))
    drawn = stages(Repo(str(committed.folder)))
    assert set(drawn.edges) == set(graph.edges)
    assert (drawn.nodes["train"]["runs"], drawn.nodes["attack"]["runs"]) == (6, 4)
    assert (ROOT / "docs" / "graph.svg").read_text(encoding="utf-8") == picture(drawn), "run `make graph` and commit"
