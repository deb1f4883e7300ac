"""The laboratory computes what torch computes, and is used by mouse, finger and keyboard."""

import re
from base64 import b64decode
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page
from torch import Tensor, nn

from descent.attacks.gradient_sign import fgsm, pgd
from descent.attacks.losses import cross_entropy, loss_gradient
from descent.report.lab import lab_page, network, offered, samples
from tests.browser import browsing, needs_chromium

CLASSES = ["Shoe", "Bag", "</script>"]


def classifiers() -> dict[str, nn.Sequential]:
    """Return classifiers of images of 9 × 11 pixels with every kind of layer, with random weights and statistics."""
    torch.manual_seed(3)
    convolutions = [nn.Conv2d(1, 4, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.ReLU()]
    pooled = [nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.ReLU()]
    found = {
        "mlp": nn.Sequential(nn.Flatten(), nn.Linear(99, 20), nn.ReLU(), nn.Linear(20, 3)),
        "strided": nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(5 * 4 * 5, 3)),
        "pooled": nn.Sequential(*pooled, nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 2 * 3, 3)),
    }
    for model in found.values():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.data = torch.rand_like(tensor) - (0.45 if tensor.requires_grad else -0.5)
        model.eval()
    return found


def images() -> tuple[Tensor, Tensor]:
    """Return 40 images and their classes."""
    torch.manual_seed(4)
    return torch.randint(256, (40, 1, 9, 11)) / 255, torch.arange(40) % 3


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page."""
    path = tmp_path_factory.mktemp("lab") / "lab.html"
    path.write_text(lab_page(classifiers(), *images(), CLASSES, "folder"), encoding="utf-8")
    return path


def shown(page: Page) -> list[str]:
    """Return the probabilities that the page shows."""
    return page.eval_on_selector_all(".bars td:last-child", "all => all.map(cell => cell.textContent)")  # type: ignore[no-any-return]


def as_shown(model: nn.Module, x: Tensor) -> list[str]:
    """Return the probabilities of an image, as the page formats them."""
    with torch.no_grad():
        return [f"{100 * share:.1f}\N{NO-BREAK SPACE}%" for share in model(x).softmax(dim=1)[0].tolist()]


def test_the_first_ten_images_of_each_class_are_offered() -> None:
    y = torch.tensor([1, 0] * 11 + [2])
    assert samples(y, 3) == [*range(1, 21, 2), *range(0, 20, 2), 22]


def test_weights_keep_sixteen_bits() -> None:
    layer = nn.Linear(99, 20)
    kept = b64decode(network(nn.Sequential(nn.Flatten(), layer), (1, 9, 11)).weights)
    decoded = np.frombuffer(b"".join(b"\0" + kept[start : start + 3] for start in range(0, len(kept), 3)), "<f4")
    exact = torch.cat([layer.weight.flatten(), layer.bias]).detach().numpy()
    np.testing.assert_allclose(decoded, exact, rtol=2**-16)
    assert np.abs(decoded / exact - 1).max() > 2**-18


def test_the_page_depends_on_its_arguments_alone_and_names_what_it_lacks() -> None:
    models = classifiers() | {"smooth": nn.Sequential(nn.Flatten(), nn.Linear(99, 3), nn.Tanh())}
    page = lab_page(models, *images(), CLASSES, "drawn")
    assert page == lab_page(models, *images(), CLASSES, "drawn")
    assert "because of their layers: smooth" in page
    assert "NOT FASHION-MNIST" in page.upper()
    assert page.count("</script>") == 2


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(1, 1, 3, padding_mode="reflect", padding=1),
        *(nn.Conv2d(1, 1, 3, padding="same"), nn.Conv2d(1, 1, (3, 1)), nn.Conv2d(1, 1, 3, dilation=2)),
        *(nn.Conv2d(2, 2, 3, groups=2), nn.MaxPool2d(2, stride=1), nn.MaxPool2d(2, ceil_mode=True)),
        *(nn.BatchNorm2d(1, affine=False), nn.BatchNorm2d(1, track_running_stats=False), nn.GELU()),
    ],
    ids=str,
)
def test_a_classifier_with_a_layer_that_the_script_lacks_is_not_offered(layer: nn.Module) -> None:
    assert offered(nn.Sequential(nn.Flatten(), nn.Linear(99, 3)))
    assert not offered(nn.Sequential(layer, nn.Flatten(), nn.Linear(99, 3)))


@needs_chromium
def test_probabilities_and_gradients_are_those_of_torch(lab: Path) -> None:
    x, y = images()
    chosen = samples(y, 3)
    x, y = x[chosen], y[chosen]
    with browsing(lab) as watched:
        for run, model in classifiers().items():
            found = watched.page.evaluate(
                """run => labels.map((label, index) => [
                     [...probabilitiesOf(classifier(run), sampleImage(index))],
                     [...gradientOf(classifier(run), sampleImage(index), label)]])""",
                run,
            )
            probabilities, gradients = (torch.tensor([image[part] for image in found]) for part in (0, 1))
            torch.testing.assert_close(probabilities, model(x).softmax(dim=1).detach(), rtol=0, atol=1e-4)
            expected = loss_gradient(model, x, y, cross_entropy).flatten(1)
            assert (gradients.sign() == expected.sign()).float().mean() >= 0.999
            torch.testing.assert_close(gradients, expected, rtol=1e-2, atol=1e-4)
        assert watched.errors == watched.outside == []


@needs_chromium
def test_attacks_are_those_of_the_library_step_by_step(lab: Path) -> None:
    x, y = images()
    index = samples(y, 3)[12]
    x, y = x[index : index + 1], y[index : index + 1]
    with browsing(lab) as watched:
        page = watched.page
        page.check("[name=sample][value='12']")
        for run, model in classifiers().items():
            page.check(f"[value={run}]")
            assert shown(page) == as_shown(model, x)
            page.check("[value=pgd]")
            for targeted, aim in ((False, ""), (True, "2")):
                page.select_option("[name=target]", aim)
                label = torch.tensor([2]) if targeted else y
                for count in (1, 2, 10):
                    page.click("#step") if count < 10 else page.click("#all")
                    moved = pgd(model, x, label, 0.1, step=0.025, steps=count, rng=None, targeted=targeted)
                    assert shown(page) == as_shown(model, moved), (run, targeted, count)
                assert page.is_disabled("#step")
                page.click("#reset")
                assert shown(page) == as_shown(model, x)
            page.check("[value=fgsm]")
            page.select_option("[name=target]", "")
            page.click("#step")
            assert shown(page) == as_shown(model, fgsm(model, x, y, 0.1))
        assert watched.errors == []


@needs_chromium
def test_a_drawing_is_classified_and_attacked_by_mouse(lab: Path) -> None:
    with browsing(lab) as watched:
        page = watched.page
        page.locator("#drawing").scroll_into_view_if_needed()
        box = page.locator("#drawing").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.5 * box["height"])
        page.mouse.up()
        lit = page.evaluate("[...state.clean].map((value, index) => value > 0.5 ? index : -1).filter(i => i >= 0)")
        assert {index // 11 for index in lit} == {3, 4, 5}
        assert {index % 11 for index in lit} >= set(range(2, 9))
        assert page.locator("[name=sample]:checked").count() == 0
        page.click("#all")
        assert page.inner_text("#status").startswith("After 10 of 10 steps: ")
        page.click("#clear")
        assert page.evaluate("Math.max(...state.clean)") == 0
        assert watched.errors == []


@needs_chromium
def test_everything_is_done_by_keyboard(lab: Path) -> None:
    with browsing(lab) as watched:
        page = watched.page
        page.focus("[name=sample]:checked")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("state.sample") == 11
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "drawing"
        for key in ("ArrowLeft", "ArrowLeft", "ArrowUp", "Space"):
            page.keyboard.press(key)
        assert page.evaluate("[state.sample, state.clean[3 * 11 + 3]]") == [None, 1]
        for expected in ("clear", "mlp", "pgd", "", "", "", "step"):
            page.keyboard.press("Tab")
            found = page.evaluate("[document.activeElement.id, document.activeElement.value]")
            assert expected in found
        page.keyboard.press("Enter")
        assert page.inner_text("#status").startswith("After 1 of 10 steps: ")
        assert watched.errors == []


@needs_chromium
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_the_laboratory_is_accessible(lab: Path, width: int, scheme: Literal["light", "dark"]) -> None:
    with browsing(lab, width=width, scheme=scheme) as watched:
        watched.page.click("#all")
        found: list[Any] = Axe().run(watched.page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found] == []
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    with browsing(lab, scripts=False) as watched:
        assert re.search("needs JavaScript", watched.page.inner_text("main"))
