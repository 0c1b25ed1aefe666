"""Reproducible splits: images that show the same picture stay together, classes and sizes are spread evenly.

Groups of images are assigned by iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML 2011): rare tags
first, each group to the part where it lowers chi-square, summed over the group's tags, most. Tags are the classes in an
image, how many objects it has and how large they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.sparse import csr_array, hstack

from maskrcnn.annotations.annotation import Annotation
from maskrcnn.annotations.labels import ImageRecord, Labels
from maskrcnn.annotations.problem import Problem, unreadable
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.survey import Survey, survey_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.images.fingerprint import SIMILAR, Fingerprint, fingerprint, group_similar
from maskrcnn.text import plural


@dataclass(frozen=True)
class SplitPlan:
    """Which image belongs to which part.

    Attributes:
        names: C class names.
        parts: name → indices of its images in the data set, sorted.
        groups: indices of images that show the same picture; most groups have one member.
        counts: sparse int64 [N, C], objects of each class in each image, crowds left out.
        problems: images in no part, because they cannot be read, and objects that are left out.
    """

    names: tuple[str, ...]
    parts: dict[str, list[int]]
    groups: list[list[int]]
    counts: csr_array
    problems: list[Problem]

    def table(self) -> list[tuple[str, ...]]:
        """A head, then images and objects of each part; with several classes also each class, most frequent first."""
        counts = [self.counts[indices].sum(axis=0) for indices in self.parts.values()]
        rows: list[tuple[str, ...]] = [("", *self.parts)]
        rows.append(("images", *(f"{len(indices):,}" for indices in self.parts.values())))
        rows.append(("objects", *(f"{count.sum():,}" for count in counts)))
        order = self.counts.sum(axis=0).argsort(kind="stable")[::-1] if len(self.names) > 1 else []
        return rows + [(self.names[k], *(f"{count[k]:,}" for count in counts)) for k in order]

    def missing_classes(self) -> Iterator[str]:
        """A line for each part without any object of some classes that the data has."""
        for part, indices in self.parts.items():
            missing = (self.counts.sum(axis=0) > 0) & (self.counts[indices].sum(axis=0) == 0)
            if missing.any():
                classes = ", ".join(name for name, gone in zip(self.names, missing, strict=True) if gone)
                yield f"{part} has no object of {classes}: too few images, or all of them near-duplicates"


def split_shares(val: float, test: float) -> dict[str, float]:
    """Name → share of train, val and test, those above 0. Raises `MaskRCNNError` unless there are two at least."""
    shares = {"train": round(1 - val - test, 9), "val": val, "test": test}
    shares = {name: share for name, share in shares.items() if share}
    if len(shares) < 2:
        raise MaskRCNNError("expected shares for two parts at least", fix="for instance val 0.2")
    return shares


def plan_split(
    dataset: Dataset,
    shares: Mapping[str, float],
    seed: int = 0,
    threshold: float = SIMILAR,
    advance: Callable[[], object] = lambda: None,
) -> SplitPlan:
    """Divide a data set into parts; equal data and seed give equal parts.

    Args:
        shares: name → share of the images, above 0; they add up to 1. The only image of a class goes to the largest.
        threshold: similarity from which images form a group, see `group_similar`; 1 for equal ones only.
        advance: called after each image.

    Raises:
        MaskRCNNError: the shares are invalid, or there are fewer groups than parts.
    """
    if not shares or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        found = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        what = f"expected shares above 0 that add up to 1, found {found}"
        raise MaskRCNNError(what, fix="choose smaller ones for val and test")
    surveyed = survey_dataset(dataset)
    problems, prints = list(surveyed.problems), dict[int, Fingerprint]()
    readable = np.flatnonzero(surveyed.read).tolist()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = {index: pool.submit(fingerprint, dataset.records[index].path) for index in readable}
        for index, result in results.items():
            try:
                prints[index] = result.result()
            except MaskRCNNError as error:
                problems.append(unreadable(error, "unreadable-image"))
            advance()
    usable = list(prints)
    groups = [[usable[i] for i in group] for group in group_similar(list(prints.values()), threshold)]
    if len(groups) < len(shares):
        copies = f", copies of {plural(len(groups), 'picture')}" if len(groups) < len(usable) else ""
        raise MaskRCNNError(
            f"expected at least {len(shares)} different images for {' and '.join(shares)}, found {len(usable)}{copies}",
            where=next((problem.where for problem in problems if problem.images_lost), None),
            fix="add images, or raise the similarity from which images count as copies",
        )
    assigned = stratify(groups, _tags(surveyed), list(shares.values()), seed, classes=len(dataset.names))
    parts = {
        name: sorted(i for group, part in zip(groups, assigned, strict=True) if part == place for i in group)
        for place, name in enumerate(shares)
    }
    return SplitPlan(dataset.names, parts, groups, surveyed.counts, problems)


def stratify(
    groups: Sequence[Sequence[int]], tags: csr_array, shares: Sequence[float], seed: int, classes: int = 0
) -> list[int]:
    """The part 0..P-1 of each of G groups.

    Args:
        groups: indices of images.
        tags: [images, T], how much of each tag an image has; all but the last say what it is, the last is 1.
        shares: of the P parts; they add up to 1.
        classes: a tag below this number is put into every part if as many groups have it, unless such tags contradict
            each other.
    """
    member, image = np.repeat(np.arange(len(groups)), [len(group) for group in groups]), np.concatenate(groups)
    belongs = csr_array((np.ones(len(image)), (member, image)), shape=(len(groups), tags.shape[0]))
    of_group = csr_array(belongs @ tags)
    groups_left = np.bincount(of_group.indices, minlength=tags.shape[1])
    # A tag of one group cannot be divided. The weights of the others put them into comparable units.
    spread = np.asarray(of_group.power(2).sum(axis=0)).ravel()
    weight = np.where(groups_left > 1, 1 / np.maximum(spread, 1e-9), 0)
    everywhere = (np.arange(len(weight)) < classes) & (groups_left > 1)
    everywhere[-1] = True
    need = np.outer(shares, np.asarray(of_group.sum(axis=0)).ravel())
    lacking = np.ones(need.shape, dtype=bool)
    part = np.zeros(len(groups), dtype=np.int64)
    for group in _rare_first(of_group, [len(group) for group in groups], np.random.default_rng(seed)):
        place = slice(of_group.indptr[group], of_group.indptr[group + 1])
        held, amount = of_group.indices[place], of_group.data[place]
        urgent = everywhere[held] & (groups_left[held] <= lacking[:, held].sum(axis=0))
        gain = (2 * need[:, held] - amount) @ (amount * weight[held]) / np.asarray(shares)
        # Rounded, so that machines that add in another order agree on what is a tie.
        chosen = int(np.argmax(np.round(gain + lacking[:, held] @ (urgent * 1e3), 9)))
        part[group] = chosen
        need[chosen, held] -= amount
        lacking[chosen, held] = False
        groups_left[held] -= 1
    _fill_missing_tags(part, csr_array(of_group[:, np.flatnonzero(everywhere)]), len(shares))
    return part.tolist()


def _fill_missing_tags(part: np.ndarray, of_group: csr_array, parts: int) -> None:
    """Move single groups while this gives more missing tags to a part than it takes from another.

    Groups are assigned one at a time, so two rare tags can pull one group into different parts.
    """
    has = (of_group > 0).toarray()
    while True:
        held = np.array([has[part == place].sum(axis=0) for place in range(parts)])
        best, change = 0, None
        for place, tag in np.argwhere(held == 0):
            for group in np.flatnonzero(has[:, tag] & (part != place)):
                gained = (held[place, has[group]] == 0).sum()
                lost = (held[part[group], has[group]] == 1).sum()
                if gained - lost > best:
                    best, change = gained - lost, (group, place)
        if change is None:
            return
        part[change[0]] = change[1]


def _rare_first(of_group: csr_array, members: Sequence[int], rng: np.random.Generator) -> Iterator[int]:
    """The groups in order: always those with the tag that fewest of the remaining groups have.

    Large groups come first among these, as small ones can balance the parts later; the rest is shuffled.
    """
    count = of_group.shape[0]
    order = rng.permutation(count)
    rank = np.empty(count, dtype=np.int64)
    rank[order[np.argsort(-np.array(members)[order], kind="stable")]] = np.arange(count)
    holders, waiting = of_group.tocsc(), np.ones(count, dtype=bool)
    left = np.diff(holders.indptr)
    while waiting.any():
        tag = int(np.argmin(np.where(left > 0, left, np.iinfo(np.int64).max)))
        found = holders.indices[holders.indptr[tag] : holders.indptr[tag + 1]]
        found = found[waiting[found]]
        waiting[found] = False
        left -= np.bincount(of_group[found].indices, minlength=len(left))
        yield from found[np.argsort(rank[found])].tolist()


def subset(dataset: Dataset, indices: Sequence[int]) -> Dataset:
    """Some images of a data set, in the order of `indices`, with their ids and all classes."""
    reader = partial(_read_subset, dataset, list(indices))
    return Dataset(Labels(dataset.names, [dataset.records[i] for i in indices], reader))


def _read_subset(
    dataset: Dataset, indices: Sequence[int], index: int, record: ImageRecord
) -> tuple[Sequence[Annotation], Sequence[Problem]]:
    return dataset.annotations(indices[index])


def _tags(survey: Survey) -> csr_array:
    """[N, T]: presence of each class, octave of the number of objects and of their size, that number, and 1."""
    objects = np.bincount(survey.image, minlength=len(survey.image_sizes))
    log_size = np.bincount(survey.image, np.log2(survey.size + 1), minlength=len(objects)) / np.maximum(objects, 1)
    octaves = np.floor(np.log2(objects + 1)).astype(int), np.floor(log_size).astype(int)
    bins = [np.eye(octave.max(initial=0) + 1)[octave] for octave in octaves]
    numbers = np.column_stack((objects, np.ones(len(objects))))
    return csr_array(hstack([survey.counts > 0, *map(csr_array, bins), csr_array(numbers)]))
