"""Between pixels and detections, and between pixels and gradients, the host never waits for the device.

Without a device that is shown twice. On the CPU, told that reading values costs, no operation may read one or take its
shape from one, forward and backward. On tensors without values that claim to be on CUDA, nothing may be copied there
from the host either. With a device torch itself watches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from maskrcnn.config import Config
from maskrcnn.inference.cuda_graph import ReplayedDetect
from maskrcnn.inference.fused_model import for_inference
from maskrcnn.model import detections, rpn
from maskrcnn.model.batch import Batch
from maskrcnn.model.mask_rcnn import MaskRCNN
from maskrcnn.ops import fused_conv, host, kernel_choice, nms
from maskrcnn.ops.boxes import iou
from maskrcnn.ops.linear import linear_form
from tests.networks import batch_of, quick, trained

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
imitates_cuda = pytest.mark.skipif(
    not torch.cuda.is_available() and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10),
    reason="torch 2.9 imitates CUDA only where there is a driver",
)

# Operators that read values on the host, or whose result's shape follows from values.
READS = {
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "allclose",
    "nonzero",
    "nonzero_numpy",
    "masked_select",
    "unique_dim",
    "unique_consecutive",
    "_unique",
    "_unique2",
    "bincount",
    "combinations",
}
CONSTANTS = {"lift", "lift_fresh", "lift_fresh_copy"}  # what makes a tensor of a list or a number of Python's


class WaitError(Exception):
    """An operation for which the host would wait."""


class Watch(TorchDispatchMode):
    """Fails on every operation for which CUDA would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        self.seen.add(name)
        given: dict[str, Any] = kwargs or {}
        waits = name in READS | CONSTANTS
        if name.startswith("repeat_interleave") and any(isinstance(value, Tensor) for value in args[:2]):
            # Its length is the sum of the repeats, unless that is said.
            waits = given.get("output_size") is None
        if name in ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"):
            waits = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
        if name == "_to_copy":
            waits = _crosses(args[0].device, given.get("device") or args[0].device) and not given.get("non_blocking")
        if name == "copy_":
            waits = _crosses(args[1].device, args[0].device) and not (args[2:] or [given.get("non_blocking")])[0]
        if waits:
            raise WaitError(f"{func} with {given}")
        return func(*args, **given)


def _crosses(source: torch.device, goal: torch.device) -> bool:
    return "cpu" in (source.type, goal.type) and source.type != goal.type


def settled(boxes: Tensor, valid: Tensor, threshold: float, group: Tensor | None = None) -> Tensor:
    """A stand-in for the kernel of `nms`: the same rule a fixed number of times."""
    suppresses = (iou(boxes, boxes) > threshold).triu(diagonal=1) & valid[..., None]
    if group is not None:
        suppresses = suppresses & (group[..., :, None] == group[..., None, :])
    keep = valid
    for _ in range(12):
        keep = valid & ~(suppresses & keep[..., None]).any(-2)
    return keep


@pytest.fixture
def as_on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading values counts as costly, and the kernel of `nms` has its stand-in."""

    def read(tensor: Tensor, *_: Any) -> None:
        raise WaitError("a tensor as a list or an array")  # of which torch's dispatcher sees nothing on a CPU

    for name in ("tolist", "numpy", "__array__"):
        monkeypatch.setattr(Tensor, name, read)
    monkeypatch.setattr(host, "on_host", lambda tensor: False)
    for module in (rpn, detections):
        monkeypatch.setattr(module, "nms", settled)


# Mask targets with a fixed number of sample points and with one that adapts; both ways to align.
NETWORKS = (
    ("resnet50_fpn", {}),
    ("lite", {}),
    (
        "lite",
        {
            "mask_sampling": 0,
            "fpn_extra": "conv",
            "box_beta": 0.0,
            "rpn_beta": 0.0,
            "backbone": "timm:mobilenetv3_small_050",
        },
    ),
)


@pytest.fixture(params=NETWORKS, ids=lambda pair: "-".join([pair[0], *pair[1]]))
def config(request: pytest.FixtureRequest) -> Config:
    name, changes = request.param
    return quick(name, **changes)


def wide_patches(batch: Batch) -> Batch:
    """Patches so large that a mask target's cell holds several points."""
    shape = (*batch.patches.shape[:2], 112, 112)
    return batch._replace(
        patches=torch.full(shape, 255, dtype=torch.uint8, device=batch.patches.device),
        patch_sizes=torch.full_like(batch.patch_sizes, 112),
    )


@imitates_cuda
def test_the_watch_sees_what_would_wait() -> None:
    x, mask = torch.arange(4.0), torch.tensor([True, False, True, True])
    waiting: list[Callable[[], Any]] = [
        lambda: x.sum().item(),
        lambda: float(x[0]),
        lambda: bool(mask.any()),
        lambda: x[mask],
        lambda: x.clone().index_put_((mask,), torch.zeros(3)),
        lambda: mask.nonzero(),
        lambda: torch.where(mask),
        lambda: x.masked_select(mask),
        lambda: x.unique(),
        lambda: x.repeat_interleave(mask.long()),
        lambda: torch.tensor([1.0, 2.0]),
        lambda: x.new_tensor([1.0, 2.0]),
        lambda: torch.as_tensor(3.0),
        lambda: x.bincount() if not x.is_floating_point() else x.long().bincount(),
    ]
    for step in waiting:
        with Watch(), pytest.raises(WaitError):
            step()
    with Watch():
        torch.where(mask, x, 0.0)
        x[mask.long()], x.new_full((), 2.0), x.topk(2), x.repeat_interleave(2), x.clamp(max=2), x.clone().zero_()
    with FakeTensorMode():
        here, there = torch.zeros(3), torch.zeros(3, device="cuda")
        for step in (
            lambda: here.to("cuda"),
            lambda: there.copy_(here),
            lambda: there.cpu(),
            lambda: there.tolist(),
            lambda: there.max().item(),
        ):
            with Watch(), pytest.raises(WaitError):
                step()


@pytest.mark.usefixtures("as_on_a_device")
def test_detecting_reads_no_value(
    config: Config,
) -> None:
    model, (images, sizes) = trained(config), batch_of([3, 2])[:2]
    score = torch.full((), 0.1)
    with torch.no_grad(), Watch() as watch:
        found = model.detect(images, sizes, score)
    assert {"convolution", "topk"} <= watch.seen
    assert found.valid.any(1).all()
    fast = for_inference(model, torch.device("cpu"), torch.float32)
    for form in (fused_conv.fused_form, linear_form):  # an operator is tried out once, which reads values
        form(torch.device("cpu"), torch.float32)
    with torch.no_grad(), Watch():
        again = fast.detect(images, sizes, score)
    assert torch.equal(found.valid, again.valid)


@pytest.mark.usefixtures("as_on_a_device")
@pytest.mark.parametrize("counts", [[3, 1], [2, 0], [0, 0]])
def test_learning_reads_no_value(
    config: Config,
    counts: list[int],
) -> None:
    model, batch = trained(config).train(), wide_patches(batch_of(counts))
    with Watch() as watch:
        terms = model.loss_terms(batch)
        terms.mean.sum().backward()
    assert "convolution_backward" in watch.seen
    assert terms.total.isfinite().all()
    assert (terms.total[3] > 0) == (terms.total[4] > 0) == (sum(counts) > 0)
    assert all(value.grad is not None for value in model.parameters() if value.requires_grad)


@pytest.mark.usefixtures("as_on_a_device")
def test_places_without_reading_give_the_same_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a device computes for all places is what the CPU computes for the wanted ones."""
    model, batch = trained(quick("lite")), batch_of([3, 2])
    with torch.no_grad():
        everywhere = model.detect(*batch[:2])
        losses = model.loss_terms(batch)
        monkeypatch.setattr(host, "on_host", lambda tensor: True)
        wanted = model.detect(*batch[:2])
        torch.testing.assert_close(model.loss_terms(batch), losses)
    torch.testing.assert_close(everywhere.masks[wanted.valid], wanted.masks[wanted.valid])
    assert wanted.valid.any()


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> FakeTensorMode:
    """In this mode tensors without values may be on a device that is not here; what only a true one can say is said."""
    for module in (rpn, detections):
        monkeypatch.setattr(module, "nms", settled)
    monkeypatch.setattr(kernel_choice, "why_plain", lambda name, device: "no values")
    monkeypatch.setattr(fused_conv, "_form", lambda device, dtype: "")
    return FakeTensorMode(allow_non_fake_inputs=True)


def on_cuda(batch: Batch) -> Batch:
    return Batch(*(torch.zeros(part.shape, dtype=part.dtype, device="cuda") for part in batch))


def moved(model: MaskRCNN) -> MaskRCNN:
    """The model with tensors on CUDA for its own."""
    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                module._parameters[name] = nn.Parameter(torch.empty_like(value, device="cuda"), value.requires_grad)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = torch.empty_like(value, device="cuda")
    return model


@imitates_cuda
@pytest.mark.parametrize("counts", [[3, 1], [0, 0]])
def test_nothing_comes_from_the_host(config: Config, counts: list[int], fake_cuda: FakeTensorMode) -> None:
    model, batch = MaskRCNN(config, ["cat", "dog"]), batch_of(counts)
    with fake_cuda:
        model, batch = moved(model), on_cuda(batch)
        with Watch() as watch:
            terms = model.train().loss_terms(batch)
            with torch.no_grad():
                found = model.eval().detect(batch.images, batch.sizes, torch.full((), 0.5, device="cuda"))
    assert {part.device.type for part in (*found, *terms)} == {"cuda"}
    assert "convolution" in watch.seen


@imitates_cuda
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_nothing_comes_from_the_host_in_the_copy_for_inference(
    config: Config, dtype: torch.dtype, fake_cuda: FakeTensorMode
) -> None:
    fast, batch = for_inference(MaskRCNN(config, ["cat", "dog"]), torch.device("cpu"), dtype), batch_of([1, 1])
    with fake_cuda, torch.no_grad():
        fast, batch = moved(fast), on_cuda(batch)
        with Watch():
            found = fast.detect(batch.images, batch.sizes, torch.full((), 0.5, device="cuda"))
    assert {part.device.type for part in found} == {"cuda"}


# On a device.


@pytest.fixture
def watched() -> Iterator[Callable[[], None]]:
    """From the call on torch raises where the host would wait."""
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("default")


@needs_cuda
def test_detecting_does_not_wait(
    config: Config,
    watched: Callable[[], None],
) -> None:
    images, sizes = (part.cuda() for part in batch_of([3, 2])[:2])
    score = torch.full((), 0.1, device="cuda")
    fast = for_inference(trained(config), torch.device("cuda"), torch.bfloat16)
    with torch.no_grad():
        fast.detect(images, sizes, score)
        torch.cuda.synchronize()
        watched()
        found = fast.detect(images, sizes, score)
    torch.cuda.set_sync_debug_mode("default")
    assert found.valid.any(1).all()


@needs_cuda
@pytest.mark.parametrize("counts", [[3, 1], [0, 0]])
def test_learning_does_not_wait(
    config: Config,
    counts: list[int],
    watched: Callable[[], None],
) -> None:
    model, batch = trained(config).train().cuda(), wide_patches(batch_of(counts)).to("cuda")
    model.loss_terms(batch).mean.sum().backward()
    torch.cuda.synchronize()
    watched()
    terms = model.loss_terms(batch)
    terms.mean.sum().backward()
    torch.cuda.set_sync_debug_mode("default")
    assert terms.total.isfinite().all()


@needs_cuda
@torch.inference_mode()
def test_a_recording_gives_what_detect_gives(
    config: Config,
) -> None:
    fast = for_inference(trained(config), torch.device("cuda"), torch.float32)
    replayed = ReplayedDetect(fast)
    large = [part.cuda() for part in batch_of([3, 2])[:2]]
    small = [large[0][:1, :, :96, :64].contiguous(), torch.tensor([[90, 64]], device="cuda")]
    for turn in range(4):
        for images, sizes in (large, small):
            images = images.float().roll(9 * turn, -1)
            score = torch.full((), 0.05 + 0.05 * turn, device="cuda")
            found = [part.clone() for part in replayed(images, sizes, score)]
            wanted = fast.detect(images, sizes, score)
            # Recorded, cuDNN chooses other algorithms, whose last bits differ.
            close = found[1] - wanted.scores
            assert close.abs().max() < 1e-3
            same = wanted.valid & found[3] & (found[2] == wanted.labels)
            assert same.sum() >= 0.8 * wanted.valid.sum()
            assert (found[0] - wanted.boxes)[same].abs().median() < 0.05 if same.any() else True
    assert not replayed.trouble
    assert len(replayed._replays) == 2


@needs_cuda
def test_kernels_give_what_the_plain_forms_give(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = trained(dataclasses.replace(config, max_detections=40)).cuda()
    batch = batch_of([3, 2]).to("cuda")
    monkeypatch.delenv("MASKRCNN_KERNELS", raising=False)
    with torch.no_grad():
        fast, fast_terms = model.detect(*batch[:2]), model.loss_terms(batch)
        monkeypatch.setenv("MASKRCNN_KERNELS", "plain")
        plain, plain_terms = model.detect(*batch[:2]), model.loss_terms(batch)
    assert plain.valid.any()
    torch.testing.assert_close(fast.scores, plain.scores, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(fast_terms.mean, plain_terms.mean, atol=1e-3, rtol=1e-3)
    boxes = torch.rand(1, 500, 4, device="cuda") * 50
    boxes[..., 2:] += boxes[..., :2]
    valid = torch.ones(1, 500, dtype=torch.bool, device="cuda")
    wanted = nms.nms_plain(boxes, valid, 0.5)
    monkeypatch.delenv("MASKRCNN_KERNELS")
    assert torch.equal(nms.nms(boxes, valid, 0.5), wanted)
