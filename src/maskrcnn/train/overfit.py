"""A test that data can be learned: a few images, no augmentation, until the model finds their masks.

A model that cannot learn four images by heart will not learn four thousand; the reasons are looked for and listed.
"""

from __future__ import annotations

import math

from maskrcnn.config import Config
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.split import subset
from maskrcnn.datasets.survey.survey import FINEST_STRIDE, network_scale, survey_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import plural
from maskrcnn.train.recipe import Recipe
from maskrcnn.train.trainer import TrainingResult

TARGET_AP = 90.0
STEPS = 600


def few_images(dataset: Dataset, count: int) -> Dataset:
    """The first ``count`` images that can be read and show an object. Raises `MaskRCNNError` when there is none."""
    chosen: list[int] = []
    for index in range(len(dataset)):
        if len(chosen) == count:
            break
        try:
            if any(not crowd for crowd in dataset.objects(index).crowd):
                dataset.picture(index)
                chosen.append(index)
        except MaskRCNNError:
            continue
    if not chosen:
        raise MaskRCNNError(
            f"none of the {plural(len(dataset), 'image')} can be read and shows an object",
            fix="`maskrcnn doctor DATA` says what is wrong with them",
        )
    return subset(dataset, chosen)


def overfit_recipe(recipe: Recipe, dataset: Dataset, given: set[str]) -> Recipe:
    """The recipe without augmentation: whole images at the size of prediction; evaluated often.

    Args:
        given: fields that the user has set; they stay.
    """
    batch = min(len(dataset), 4)
    changes = {
        "flip": False,
        "turns": False,
        "stains": False,
        "colour": 0.0,
        "scale_jitter": (1.0, 1.0),
        "copy_paste": 0.0,
        "canvas": "own",
        "batch_size": batch,
        "accumulate": 1,
        "lr_batch": batch,
        "ema": min(recipe.ema, 0.9),
        "weight_decay": 0.0,
        "warmup_steps": min(recipe.warmup_steps, 20),
        "patience": 0,
        "target_ap": TARGET_AP,
        "evaluations": 12,
        "epochs": STEPS * batch / len(dataset),
    }
    return recipe.model_copy(update={name: value for name, value in changes.items() if name not in given})


def verdict(run: TrainingResult, dataset: Dataset, config: Config) -> tuple[bool, list[str]]:
    """Whether the images were learned, as lines for the user, with what to look at if not."""
    score = run.best.get("mask_AP", math.nan)
    few = plural(len(dataset), "image")
    if score > TARGET_AP:
        return True, [
            f"{few} learned by heart in {plural(run.steps, 'step')}: mask AP {score:.1f}. The data can be learned."
        ]
    lines = [f"{few} not learned in {plural(run.steps, 'step')}: mask AP {score:.1f}, expected above {TARGET_AP:.0f}"]
    return False, lines + _reasons(run, dataset, config)


def _reasons(run: TrainingResult, dataset: Dataset, config: Config) -> list[str]:
    lines = []
    survey = survey_dataset(dataset)
    narrow = survey.sides.min(axis=1) * network_scale(survey.image_sizes, config.preprocess)[survey.image]
    most, total = int(survey.objects_an_image.max()), len(survey.label)
    tiny, maskless = int((narrow < 2 * FINEST_STRIDE).sum()), int((~survey.masked).sum())
    if most > config.max_detections:
        lines.append(
            f"an image has {most} objects, the model finds at most {config.max_detections}: "
            f"""--set 'model={{"max_detections": {2 ** math.ceil(math.log2(most + 1))}}}'"""
        )
    if tiny > 0.1 * total:
        lines.append(
            f"{tiny} of {total} objects are narrower than {2 * FINEST_STRIDE} pixels where the network sees them: "
            f"enlarge images, preprocess.short is {config.preprocess.short}"
        )
    if maskless:
        lines.append(f"{maskless} of {total} objects have no mask, so that none can be learned for them")
    box, mask = run.best.get("box_AP", 0.0), run.best.get("mask_AP", 0.0)
    if box > mask + 20:
        lines.append(f"boxes are found (AP {box:.1f}), masks are not: look at them with `maskrcnn dataset view`")
    if run.evaluation is not None:
        poor = [name for name, scores in run.evaluation.per_class.items() if scores["mask_AP"] < 50]
        if poor and len(poor) < len(run.evaluation.per_class):
            lines.append(f"classes below AP 50: {', '.join(poor)}; are they told apart by how they look?")
    if run.interrupted:
        lines.append("it was stopped before its time")
    elif not lines:
        lines.append("give it more --epochs or --minutes; if that does not help, look at the labels: maskrcnn doctor")
    return lines
