"""The stages of a backbone, from its stem to its coarsest map, for freezing and for learning rates per stage.

Stage 0 is the stem; stages 1 to 4 end with the maps that the pyramid takes (strides 4, 8, 16, 32).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch.nn.modules.batchnorm import _BatchNorm

from maskrcnn.errors import MaskRCNNError
from maskrcnn.model.mask_rcnn import MaskRCNN

STAGES = 5
NORMS = "norms"  # stands for all batch norms of the backbone


def stages(model: MaskRCNN) -> dict[str, int]:
    """Each backbone module's stage by its name within the backbone, without modules that contain several stages."""
    body = model.get_submodule(_prefix(model).rstrip("."))
    modules = [name for name, _ in body.named_modules() if name]
    # timm writes "stages.0" of a network that it has flattened to "stages_0".
    ends = [name if name in modules else name.replace(".", "_") for name in model.backbone.stage_ends]
    last = [max(place for place, name in enumerate(modules) if _within(name, end)) for end in ends]
    stage_of = {}
    for place, name in enumerate(modules):
        if not any(end.startswith(f"{name}.") for end in ends):
            stage = 1 + sum(place > end for end in last)
            stage_of[name] = 0 if stage == 1 and not _within(name, ends[0]) else min(stage, STAGES - 1)
    return stage_of


def stage_of_parameters(model: MaskRCNN) -> dict[str, int]:
    """The stage of each of the backbone's parameters, by its name within the model."""
    known, prefix = stages(model), _prefix(model)
    names = (name for name, _ in model.named_parameters() if name.startswith(prefix))
    return {name: known.get(name.removeprefix(prefix).rpartition(".")[0], 0) for name in names}


def freeze(model: MaskRCNN, chosen: Sequence[int | str]) -> None:
    """Freeze parts of the backbone: no gradients, and batch norms that keep their running statistics.

    Call it after ``model.train()``, which would unfreeze the norms.

    Args:
        chosen: stages 0 to 4, "norms" for all batch norms of the backbone (which may have none), or names of modules
            within it, such as ``blocks.0``.

    Raises:
        MaskRCNNError: there is no such stage or module.
    """
    known, prefix = stages(model), _prefix(model)
    body = model.get_submodule(prefix.rstrip("."))
    for choice in chosen:
        text = str(choice)
        if text == NORMS:
            names = [name for name in known if isinstance(body.get_submodule(name), _BatchNorm)]
        else:
            names = [name for name, stage in known.items() if _within(name, text) or text == str(stage)]
        if not names and text != NORMS:
            roots = list(dict.fromkeys(name.split(".")[0] for name in known))
            raise MaskRCNNError(
                f"freeze: the backbone {model.config.backbone!r} has no stage or module {choice!r}",
                fix=f"use 0 (the stem) to {STAGES - 1}, {NORMS}, or a name such as {', '.join(roots)}",
            )
        for name in names:
            module = body.get_submodule(name).requires_grad_(False)
            if isinstance(module, _BatchNorm):
                module.eval()


def _within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


def _prefix(model: MaskRCNN) -> str:
    return "backbone.body." if hasattr(model.backbone, "body") else "backbone."
