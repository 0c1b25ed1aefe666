"""`maskrcnn.convert`: a checkpoint of another library as one of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskrcnn.errors import MaskRCNNError
from maskrcnn.text import comma_separated
from maskrcnn.verbs.claimed_output import own_file
from maskrcnn.verbs.display import VerbDisplay, shown_on

if TYPE_CHECKING:
    from maskrcnn.weights.converted_checkpoint import ConvertedCheckpoint


def convert(
    source: str | Path,
    target: str | Path,
    names: str | Sequence[str] | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    display: bool | VerbDisplay | None = None,
) -> ConvertedCheckpoint:
    """Convert a checkpoint of another library to maskrcnn's format; as `maskrcnn convert`.

        print(maskrcnn.convert("model_final.pth", "mine.safetensors", names=["cat", "dog"]))

    Args:
        source: a name, or a checkpoint of detectron2, mmdetection, torchvision.
        target: the .safetensors to write.
        names: class names in the order of the outputs, or "cat,dog"; no background.
        config: detectron2's yaml of the run, or a yaml of model settings that the file lacks.
        display: where notes on the file are shown, as of `maskrcnn.predict`.

    Returns:
        Which parameters matched, which did not, and what was assumed.

    Raises:
        MaskRCNNError: the source is no such checkpoint, the names do not fit, or the file cannot be written.
    """
    target = Path(target)
    if target.suffix != ".safetensors":
        raise MaskRCNNError(f"expected a file ending in .safetensors, found {target.name!r}", where=target)
    from maskrcnn.weights.checkpoint import save_checkpoint
    from maskrcnn.weights.converted_checkpoint import ConvertedCheckpoint
    from maskrcnn.weights.load import load_model

    given = comma_separated([names]) if isinstance(names, str) else names
    with shown_on(display) as shown, own_file(target, shown):
        model, report = load_model(source, given, config)
        keys = [key for key in model.state_dict() if not key.endswith("num_batches_tracked")]
        save_checkpoint(model, target, report.provenance)
    return ConvertedCheckpoint(target, model.names, keys, report)
