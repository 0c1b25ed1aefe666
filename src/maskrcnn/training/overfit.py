"""A test that data can be learned: train on a few images without augmentation until the model finds their masks.

A model that cannot memorise four images will not learn four thousand; likely reasons are listed.
"""

from __future__ import annotations

import math

from maskrcnn.config import Config
from maskrcnn.datasets.dataset import Dataset
from maskrcnn.datasets.survey.split import subset
from maskrcnn.datasets.survey.survey import FINEST_STRIDE, network_scale, survey_dataset
from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import plural
from maskrcnn.training.recipe import Recipe
from maskrcnn.training.training_result import TrainingResult

TARGET_AP = 90.0
STEPS = 600


def few_images(dataset: Dataset, count: int) -> Dataset:
    """The first ``count`` images that can be read and show an object. Raises `MaskRCNNError` when there is none."""
    chosen: list[int] = []
    for index in range(len(dataset)):
        if len(chosen) == count:
            break
        try:
            if not dataset.objects(index).crowd.all():
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
    """The recipe without augmentation, with whole images at the size of prediction and frequent evaluations.

    Args:
        given: fields that the user has set; they stay.
    """
    batch = min(len(dataset), 4)
    settings = {
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
    return recipe.model_copy(update={name: value for name, value in settings.items() if name not in given})


def verdict(run: TrainingResult, dataset: Dataset, config: Config) -> tuple[bool, list[str]]:
    """Whether the images were learned, and lines for the user: the score, and what to check if it is too low."""
    score = run.best.get("mask_AP", math.nan)
    few, steps = plural(len(dataset), "image"), plural(run.steps, "step")
    if score > TARGET_AP:
        return True, [f"{few} learned by heart in {steps}: mask AP {score:.1f}. The data can be learned."]
    line = f"{few} not learned in {steps}: mask AP {score:.1f}, expected above {TARGET_AP:.0f}"
    return False, [line, *_reasons(run, dataset, config)]


def _reasons(run: TrainingResult, dataset: Dataset, config: Config) -> list[str]:
    lines = []
    survey = survey_dataset(dataset)
    narrow = survey.sides.min(axis=1) * network_scale(survey.image_sizes, config.preprocess)[survey.image]
    most, total = int(survey.objects_an_image.max()), len(survey.label)
    tiny, maskless = int((narrow < 2 * FINEST_STRIDE).sum()), int((~survey.masked).sum())
    if most > config.max_detections:
        lines.append(
            f"an image has {most} objects, the model finds at most {config.max_detections}: "
            f"""use model={{"max_detections": {2 ** math.ceil(math.log2(most + 1))}}}"""
        )
    if tiny > 0.1 * total:
        lines.append(
            f"{tiny} of {total} objects are narrower than {2 * FINEST_STRIDE} pixels where the network sees them: "
            f"enlarge images, preprocess.short is {config.preprocess.short}"
        )
    if maskless:
        lines.append(f"{maskless} of {total} objects have no mask, so no masks can be learned from them")
    box, mask = run.best.get("box_AP", 0.0), run.best.get("mask_AP", 0.0)
    if box > mask + 20:
        lines.append(f"boxes are found (AP {box:.1f}), masks are not: look at them with `maskrcnn dataset view`")
    if run.evaluation is not None:
        poor = [name for name, scores in run.evaluation.per_class.items() if scores["mask_AP"] < 50]
        if poor and len(poor) < len(run.evaluation.per_class):
            lines.append(f"classes below AP 50: {', '.join(poor)}; can they be distinguished by their appearance?")
    if run.interrupted:
        lines.append("the run was stopped before its end")
    elif not lines:
        lines.append("give it more epochs or minutes; if that does not help, look at the labels: maskrcnn doctor")
    return lines
