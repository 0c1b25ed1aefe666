"""Copies of a picture are grouped, whatever was done to the file; different pictures are not."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.fingerprint import SIMILAR, Fingerprint, fingerprint, group_similar, perceptual_hash, similarity

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def photo(seed: int, width: int = 200, height: int = 150) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def of(image: Image.Image, digest: str) -> Fingerprint:
    return Fingerprint(digest, perceptual_hash(np.asarray(image)))


def test_equal_files_have_equal_fingerprints(tmp_path: Path) -> None:
    photo(0).save(tmp_path / "a b.png")
    (tmp_path / "ü.png").write_bytes((tmp_path / "a b.png").read_bytes())
    photo(0).save(tmp_path / "c.jpg", quality=40)
    first, second, third = (fingerprint(tmp_path / name) for name in ("a b.png", "ü.png", "c.jpg"))
    assert first == second
    assert first.digest != third.digest
    assert similarity(first, third) > 0.9


@pytest.mark.parametrize("turn", list(Image.Transpose))
def test_turned_and_mirrored_copies_are_similar(turn: Image.Transpose) -> None:
    image = photo(1)
    assert similarity(of(image, "a"), of(image.transpose(turn), "b")) > 0.85


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((90, 70)),
        lambda image: image.point(lambda value: value * 0.7 + 30),
        lambda image: image.convert("L"),
        lambda image: image.crop((3, 3, 197, 148)),
    ],
    ids=["scaled", "brightened", "grey", "cropped"],
)
def test_changed_copies_are_similar(change) -> None:  # type: ignore[no-untyped-def]
    image = photo(2)
    assert similarity(of(image, "a"), of(change(image), "b")) > SIMILAR


def test_different_pictures_are_apart() -> None:
    prints = [of(photo(seed), str(seed)) for seed in range(200)]
    assert group_similar(prints) == [[index] for index in range(200)]


def test_groups_are_a_sorted_partition() -> None:
    prints = [of(photo(seed), str(number)) for number, seed in enumerate((5, 6, 5, 7, 6, 5))]
    assert group_similar(prints) == [[0, 2, 5], [1, 4], [3]]
    assert group_similar([]) == []


def test_a_chain_is_one_group() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, 256)
    chain = []
    for number in range(4):
        chain.append(Fingerprint(str(number), np.packbits(bits).tobytes()))
        bits = bits.copy()
        bits[rng.choice(256, 40, replace=False)] ^= 1
    assert similarity(chain[0], chain[1]) > SIMILAR > similarity(chain[0], chain[3])
    assert group_similar(chain) == [[0, 1, 2, 3]]


def test_images_without_content_equal_only_themselves() -> None:
    black, white = (Image.new("RGB", (50, 40), colour) for colour in ("black", "white"))
    assert of(black, "a").signs == b""
    assert group_similar([of(black, "a"), of(white, "b"), of(black, "a")]) == [[0, 2], [1]]


def test_channels_and_bits_do_not_matter(tmp_path: Path) -> None:
    grey = np.asarray(photo(3).convert("L"))
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "b.png")
    np.save(tmp_path / "c.npy", np.repeat(grey[..., None], 12, axis=2))
    prints = [fingerprint(tmp_path / name) for name in ("a.png", "b.png", "c.npy")]
    assert group_similar(prints) == [[0, 1, 2]]


def test_what_is_no_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(MaskRCNNError, match="not an image"):
        fingerprint(tmp_path / "a.png")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), max_size=30))
def test_groups_equal_those_by_truth(seeds: list[int]) -> None:
    signs = [np.random.default_rng(seed).bytes(32) for seed in seeds]
    groups = group_similar([Fingerprint(str(number), part) for number, part in enumerate(signs)])
    assert sorted(index for group in groups for index in group) == list(range(len(seeds)))
    assert {frozenset(seeds[index] for index in group) for group in groups} == {frozenset([seed]) for seed in seeds}


def test_many_images_are_compared_quickly() -> None:
    rng = np.random.default_rng(0)
    prints = [Fingerprint(str(number), rng.bytes(32)) for number in range(4000)]
    prints += [Fingerprint("copy", prints[7].signs)]
    start = time.process_time()
    groups = group_similar(prints)
    assert time.process_time() - start < 20
    assert [7, 4000] in groups
    assert len(groups) == 4000


@pytest.mark.skipif(not (SHARED / "mushroom").is_dir(), reason="the real data are not here")
def test_augmented_copies_among_real_images_are_found() -> None:
    files = sorted((SHARED / "mushroom" / "train").glob("*.jpg"))
    groups = group_similar([fingerprint(file) for file in files])
    photos = [[file.name.split(".rf.")[0] for file in (files[index] for index in group)] for group in groups]
    assert len(photos) == len({name for names in photos for name in names}) == 26
