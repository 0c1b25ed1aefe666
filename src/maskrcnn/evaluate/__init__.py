"""Measuring a model: COCO metrics, what goes wrong, and the report on it.

The package is itself callable, `maskrcnn.evaluate(model, data)`: Python puts a subpackage in the place of a function of
the same name as soon as any part of it is imported.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maskrcnn.evaluate.evaluator import Evaluation


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Evaluation:
        """See `maskrcnn.evaluate.evaluator.evaluate`."""
        from maskrcnn.evaluate.evaluator import evaluate

        return evaluate(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
