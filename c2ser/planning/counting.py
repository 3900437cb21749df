"""Counts what a computation costs without doing it: operations, bytes, kernels, reads by the host, memory.

Tensors of floating-point numbers are fake: they have a shape and no values. Whole numbers and truth values that come
from nothing but such are computed, because lengths and masks decide shapes, and code reads them.
"""

import weakref
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.functional import dropout, rms_norm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten

READS = {Tensor.tolist, Tensor.item, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.cpu}
"""What makes the host wait for a card."""

IS_CUDA = vars(torch._C.TensorBase)["is_cuda"].__get__
"""What reads the attribute `is_cuda` of a tensor."""

FLOAT32_ON_A_CARD = {
    torch.nn.functional.layer_norm, torch.nn.functional.group_norm, torch.nn.functional.softmax,
    torch.nn.functional.log_softmax, torch.nn.functional.cross_entropy, torch.softmax, Tensor.softmax,
    torch.rsqrt, Tensor.rsqrt, torch.pow, Tensor.pow, Tensor.__pow__, torch.exp, Tensor.exp, torch.log, Tensor.log,
}  # fmt: skip
"""What CUDA's autocast computes in float32, and a processor's does not."""

INDEXING = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}

TENSORS_A_KERNEL = 48
"""About so many tensors are worked on by one kernel of an operation on lists of tensors."""


class Kernel(NamedTuple):
    """What a kernel does.

    Attributes:
        kind: "matrices", "convolutions", "attention" or "the rest".
        operations: floating-point operations of products.
        moved: bytes read and written.
        float32: whether it computes in float32.
    """

    kind: str
    operations: int
    moved: int
    float32: bool


class Fused:
    """A kernel that a compiler makes of operations that follow each other; it reads once and writes what is kept."""

    def __init__(self) -> None:
        self.read: dict[int, int] = {}
        self.written: list[tuple[int, weakref.ref[torch.UntypedStorage]]] = []
        self.float32 = False

    def add(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor], float32: bool) -> None:
        """Add an operation."""
        made = {storage._cdata for _, reference in self.written if (storage := reference()) is not None}
        for tensor in inputs:
            if (storage := tensor.untyped_storage())._cdata not in made:
                self.read[storage._cdata] = min(tensor.numel() * tensor.element_size(), storage.nbytes())
        self.written += [(t.numel() * t.element_size(), weakref.ref(t.untyped_storage())) for t in outputs]
        self.float32 |= float32

    def take(self) -> Kernel | None:
        """Return the kernel, or None if there is none, and begin another."""
        if not self.written:
            return None
        kept = sum(size for size, reference in self.written if reference() is not None)
        kernel = Kernel("the rest", 0, sum(self.read.values()) + kept, self.float32)
        self.read, self.written, self.float32 = {}, [], False
        return kernel


class CostCounter(TorchDispatchMode):
    """Counts all that is computed in its context.

    Attributes:
        phase: under what name kernels are counted now.
        kernels: how many there are of each, by phase.
        reads: how often the host waits for a value of the card, by phase; at most, as tensors of the host count too.
        live: bytes that tensors hold now.
        peak: the most that they have held, and in which phase.
    """

    def __init__(self) -> None:
        super().__init__()
        self.phase = ""
        self.kernels: dict[str, Counter[Kernel]] = defaultdict(Counter)
        self.reads: Counter[str] = Counter()
        self.live, self.peak = 0, (0, "")
        self._storages: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._compiled, self._open = False, Fused()

    def restart(self) -> None:
        """Forget what was counted; tensors that live go on to count."""
        self.kernels.clear()
        self.reads.clear()
        self.peak = (self.live, self.phase)

    def compile(self, layers: Iterable[nn.Module]) -> None:
        """Count layers as a compiler leaves them: what lies between two products of one is a kernel; an estimate."""

        def enter(*_: Any) -> None:
            """Begin to count so."""
            self._compiled = True

        def leave(*_: Any) -> None:
            """Count as usual."""
            self._close()
            self._compiled = False

        for layer in layers:
            layer.register_forward_pre_hook(enter)
            layer.register_forward_hook(leave)
            layer.register_full_backward_pre_hook(enter)
            layer.register_full_backward_hook(leave)

    def _close(self) -> None:
        """Count what lies between two products as one kernel."""
        if kernel := self._open.take():
            self.kernels[self.phase][kernel] += 1

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Count under the name of a phase."""
        self.phase = phase
        yield

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Compute shapes, and values where they are whole numbers."""
        kwargs = kwargs or {}
        if func in INDEXING:
            args = self._without_masks(args)
        inputs = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        if func is aten._local_scalar_dense.default and isinstance(inputs[0], FakeTensor):
            return 1.0  # as that of a random number that decides whether a layer is dropped
        if _whole(func, args, kwargs, inputs):
            with _disable_current_modes():
                result = func(*args, **kwargs)
        else:
            result = func(*args, **kwargs)
        outputs = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        self._count(func, args, kwargs, inputs, result, outputs)
        for output in outputs:
            self._hold(output.untyped_storage())
        return result

    def _without_masks(self, args: Sequence[Any]) -> tuple[Any, ...]:
        """Replace masks in an index by the places where they are true; on a card the host waits for their number."""
        indices: list[Any] = []
        for index in args[1]:
            if index is None or index.dtype != torch.bool:
                indices.append(index)
                continue
            self.reads[self.phase] += 1
            with _disable_current_modes():
                indices += index.nonzero().unbind(1)
        return (args[0], indices, *args[2:])

    def _count(
        self, func: Any, args: Any, kwargs: Any, inputs: list[Tensor], result: Any, outputs: list[Tensor]
    ) -> None:
        name = func._overloadpacket.__name__
        known = {tensor.untyped_storage()._cdata for tensor in inputs}
        view = not func._schema.is_mutable and all(o.untyped_storage()._cdata in known for o in outputs)
        if view or "empty" in name or name in ("_local_scalar_dense", "set_"):
            return
        formula = flop_registry.get(aten.addmm if func is aten.addmm_.default else func._overloadpacket)
        operations = formula(*args, **kwargs, out_val=result) if formula else 0
        moved = sum(min(t.numel() * t.element_size(), t.untyped_storage().nbytes()) for t in [*inputs, *outputs])
        float32 = any(t.dtype == torch.float32 for t in inputs if t.dim() > 1)
        number = ceil(len(args[0]) / TENSORS_A_KERNEL) if name.startswith(("_foreach", "_fused")) else 1
        kernel = Kernel(_kind(name, operations), int(operations / number), int(moved / number), float32)
        if self._compiled and kernel.kind == "the rest" and not name.startswith(("_foreach", "sum")):
            self._open.add(inputs, outputs, float32)
            return
        self._close()
        self.kernels[self.phase][kernel] += number

    def _hold(self, storage: torch.UntypedStorage) -> None:
        """Count memory until it is given back."""
        if storage in self._storages:
            return
        self._storages.add(storage)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, (self.live, self.phase))
        weakref.finalize(storage, self._release, size).atexit = False

    def _release(self, size: int) -> None:
        self.live -= size


class _AsOnACard(TorchFunctionMode):
    """Counts reads by the host, and computes in float32 what a card does under autocast.

    Args:
        counter: where they are counted.
        card: whether the computation is that of a card.
    """

    def __init__(self, counter: CostCounter, card: bool) -> None:
        super().__init__()
        self.counter, self.card = counter, card

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Pass a function on."""
        kwargs = kwargs or {}
        if func in READS:
            self.counter.reads[self.counter.phase] += 1
        if not self.card:
            return func(*args, **kwargs)
        if func == IS_CUDA:
            return True
        if func is dropout:
            return _dropout(*args, **kwargs)
        if func is rms_norm:  # one kernel there, as that of the other norm
            states, shape = args
            return torch.native_layer_norm(states, shape, kwargs["weight"], None, kwargs["eps"])[0]
        if func in FLOAT32_ON_A_CARD and torch.is_autocast_enabled("cpu"):
            args = [a.float() if isinstance(a, Tensor) and a.dtype == torch.bfloat16 else a for a in args]
        return func(*args, **kwargs)


def _dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop values as a card does, which keeps a mask of one byte for each; a processor keeps factors."""
    return torch.native_dropout(values, p, True)[0] if training and p else values


@contextmanager
def pretended(card: bool) -> Iterator[CostCounter]:
    """Make tensors fake in a block, and count what is computed.

    Args:
        card: whether to count as on a card, whose autocast keeps more in float32.
    """
    counter = CostCounter()
    with ExitStack() as stack:
        for mode in (FakeTensorMode(allow_non_fake_inputs=True), counter, _AsOnACard(counter, card)):
            stack.enter_context(mode)
        yield counter


def backward(loss: Tensor) -> None:
    """Compute gradients; `loss.backward()` would hide recomputed functions from what counts them as on a card."""
    engine, one = torch.autograd.Variable._execution_engine, torch.ones_like(loss)
    engine.run_backward((loss,), (one,), False, False, (), allow_unreachable=True, accumulate_grad=True)


def _whole(func: Any, args: Sequence[Any], kwargs: dict[str, Any], inputs: list[Tensor]) -> bool:
    """Return whether an operation makes whole numbers or truth values from nothing but such."""
    dtype = kwargs.get("dtype")
    if dtype is not None:
        whole = not (dtype.is_floating_point or dtype.is_complex)
        fillers = func._overloadpacket in (aten.new_ones, aten.new_zeros, aten.new_full, aten.new_empty)
        return whole and (not inputs or all(map(_is_whole, inputs)) or fillers)
    if inputs:
        return all(map(_is_whole, inputs)) and not _makes_floats(func, args)
    return func._overloadpacket in (aten.arange, aten.full, aten.scalar_tensor) and all(
        isinstance(value, int | list | tuple) for value in args
    )


def _is_whole(tensor: Tensor) -> bool:
    return not isinstance(tensor, FakeTensor) and not (tensor.is_floating_point() or tensor.is_complex())


def _makes_floats(func: Any, args: Sequence[Any]) -> bool:
    """Return whether an operation on whole numbers gives others, as a division or a product with a fraction does."""
    if func in (aten.div.Tensor, aten.mean.default, aten.mean.dim, aten.reciprocal.default, aten.embedding.default):
        return True
    return any(isinstance(value, float) for value in args)


def _kind(name: str, operations: float) -> str:
    if any(word in name for word in ("attention", "_sdpa")):
        return "attention"
    if not operations:
        return "the rest"
    return "convolutions" if "conv" in name else "matrices"
