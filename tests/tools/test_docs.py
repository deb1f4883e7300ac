"""The documentation builds without a warning, reads without a network, and every link in it leads somewhere."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from ruamel.yaml import YAML

from tests.browser import browsing, needs_chromium
from tests.imports import ROOT
from tests.workspace import Workspace


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
    described = [
        (page.stem, module)
        for page in (ROOT / "docs" / "library").glob("*.md")
        for module in re.findall(r"^::: descent\.(.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    modules = [path for path in (ROOT / "src" / "descent").glob("*/*.py") if path.stem != "__init__"]
    assert sorted(described) == sorted((path.parent.name, f"{path.parent.name}.{path.stem}") for path in modules)


def test_the_page_on_the_pipeline_lists_the_stages_of_each_package() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(src/\w+/\w+)` \| (.*) \|$", page, re.MULTILINE))
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    listed = {name: stage.get("do", stage)["deps"] for name, stage in pipeline.items()}
    packages = {dep for deps in listed.values() for dep in deps if dep.startswith("src/")}
    readers = {package: [f"`{name}`" for name, deps in listed.items() if package in deps] for package in packages}
    assert told == {name: "all" if len(on) == len(listed) else ", ".join(on) for name, on in readers.items()}


def test_the_page_on_the_pipeline_ends_with_the_graph_of_dvc(committed: Workspace) -> None:
    graph = committed.run("dvc", "dag", "--md", "--collapse-foreach-matrix", "dvc.yaml")
    assert (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8").endswith(graph), "run `make graph` and commit"
