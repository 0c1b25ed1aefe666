"""Prediction with exported models, without torch: it needs numpy, Pillow and onnxruntime or openvino.

    >>> import maskrcnn.runtime
    >>> model = maskrcnn.runtime.load("model.onnx")
    >>> result = model.predict("photo.jpg", score=0.5)
    >>> result.save("objects.png")

`maskrcnn.load` takes the same files, and so do `maskrcnn predict`, `evaluate` and `benchmark`. On a machine without
torch there is `python -m maskrcnn.runtime MODEL SOURCE…`.
"""

from maskrcnn.runtime.artifact import Artifact, Session
from maskrcnn.runtime.runtime import SUFFIXES, Runtime, load

__all__ = ["SUFFIXES", "Artifact", "Runtime", "Session", "load"]
