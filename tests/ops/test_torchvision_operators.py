"""torchvision's operators are there without torchvision; where its libraries are not found, it is imported."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import importlib, sys
import torch
from maskrcnn.ops import torchvision_operators as operators

imported = []
libraries, operators._LIBRARIES = operators._LIBRARIES, ()
importlib.import_module, import_module = imported.append, importlib.import_module
operators.load_torchvision_operators()
assert imported == ["torchvision"], "nothing takes the place of libraries that are not found"

operators._LIBRARIES = libraries
operators.load_torchvision_operators()
assert imported == ["torchvision"], "the libraries were not found where torchvision is installed"
assert "torchvision" not in sys.modules
boxes = torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) * 50
boxes[:, 2:] += boxes[:, :2]
scores = torch.arange(300, 0, -1).float()
found = torch.ops.torchvision.nms(boxes, scores, 0.5)

importlib.import_module = import_module
import torchvision
assert 10 < len(found) < 300
assert torch.equal(torchvision.ops.nms(boxes, scores, 0.5), found)
assert torchvision.ops.roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 4, 4]]), 2).sum() == 4
"""


def test_the_libraries_load_without_the_package_and_before_it() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
