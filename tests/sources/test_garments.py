"""The stand-in is ten classes that can be told apart, though not perfectly, and the same each time."""

import torch
from sklearn.linear_model import LogisticRegression

from descent.sources.garments import draw_garments


def test_the_seed_decides_every_pixel() -> None:
    one, same, other = (draw_garments(40, 20, seed) for seed in (0, 0, 1))
    for part in one:
        torch.testing.assert_close(one[part], same[part])
    assert not torch.equal(one["train_images"], other["train_images"])
    assert not torch.equal(one["train_images"][:20], one["test_images"])


def test_sizes_types_and_shares_are_those_of_fashion_mnist() -> None:
    drawn = draw_garments(200, 100, 0)
    assert {part: (tuple(t.shape), t.dtype) for part, t in drawn.items()} == {
        "train_images": ((200, 28, 28), torch.uint8),
        "train_labels": ((200,), torch.uint8),
        "test_images": ((100, 28, 28), torch.uint8),
        "test_labels": ((100,), torch.uint8),
    }
    assert drawn["train_labels"].bincount().tolist() == [20] * 10


def test_every_garment_is_seen_whole_on_black() -> None:
    images = draw_garments(500, 10, 0)["train_images"].float() / 255
    share = (images > 0.1).float().mean(dim=(1, 2))
    border = torch.cat([images[:, 0], images[:, -1]], dim=1)
    assert share.min() > 0.02
    assert share.max() < 0.8
    assert (border == 0).float().mean() > 0.9


def test_a_linear_classifier_tells_the_classes_apart() -> None:
    drawn = draw_garments(3000, 1000, 0)
    x, y, x_test, y_test = (
        drawn[part].flatten(1).numpy() / 255 if "images" in part else drawn[part].numpy()
        for part in ("train_images", "train_labels", "test_images", "test_labels")
    )

    predicted = LogisticRegression(C=0.02, max_iter=300).fit(x, y).predict(x_test)

    correct = torch.from_numpy(predicted == y_test)
    recall = [correct[torch.from_numpy(y_test == label)].float().mean().item() for label in range(10)]
    assert correct.float().mean() > 0.75
    assert min(recall) > 0.3  # by guessing, 0.1; the upper garments are meant to be confused
    # Something must be left that nobody can know, or nothing could overfit.
    assert correct.float().mean() < 0.98
