"""Fuzzes the arguments of the torch ops: each call is refused, or answers as plain PyTorch does.

    python tests/fuzz/fuzz_ops.py [--seconds 60] [--seed N] [--first N]

Each call starts from one that works and changes some arguments: shapes, strides, dtypes, devices,
special values, integers, bytes of packed weights. fuzz.sh runs it on an extension with sanitizers,
which end the process at the first bad access; the number of the call is then the last that was
written to standard error. `--seed` and `--first` repeat it. Exits with 1 at the first call that the
op and its plain form do not both refuse or answer alike.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import seaformer_kernels as sk
from seaformer_kernels import _extension
from seaformer_kernels.ops._element import ELEMENTS, name_of

TESTS = Path(__file__).resolve().parents[1] / "python"
sys.path.insert(0, str(TESTS))
import op_cases  # noqa: E402
import test_dropin_ops  # noqa: E402

# What Python callers are told of a wrong argument.
REFUSALS = (TypeError, ValueError, RuntimeError, NotImplementedError)
INTEGERS = (0, 1, 2, 3, 5, 7, 8, 16, 31, 255, 256, 257)
EXTREMES = (-1, -(2**31), 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
CALLS_A_LINE = 100  # written to standard error

LABELS = ("upsample_argmax", "segmentation_labels")

Arguments = list[object]


def starts() -> dict[str, Callable[[], Arguments]]:
    """By op, and behind it the type of its maps, the arguments of a call that works."""
    found: dict[str, Callable[[], Arguments]] = {}
    model = sk.create_model("seaformer_tiny", num_classes=5)
    for dtype in ELEMENTS:
        calls = starts_of(dtype, sk.optimize(model, whole_graph=True, dtype=dtype).plan)
        found |= {f"{name} {name_of(dtype)}": call for name, call in calls.items()}
    return found


def starts_of(dtype: torch.dtype, plan: Tensor) -> dict[str, Callable[[], Arguments]]:
    """Those of a type of maps."""
    found: dict[str, Callable[[], Arguments]] = {}
    for name, make in op_cases.SIMPLE.items():
        case = make(dtype=dtype)
        found[name] = lambda c=case: [*c.all_arguments()]
    for name, make in test_dropin_ops.SIMPLE.items():
        call = make().map(lambda x: x.to(dtype))
        found[name] = lambda c=call: list(c.registered())
    head = op_cases.segmentation_head(dtype=dtype)
    found["segmentation_labels"] = lambda: [*head.inputs, head.packed, *head.arguments, [30, 33]]
    found["upsample_argmax"] = lambda: [torch.randn(2, 19, 5, 6).to(dtype), [17, 23], False]
    found["network_logits"] = lambda: [torch.randn(1, 3, 40, 33), plan, 5, 8, 1, dtype]
    found["network_labels"] = lambda: [torch.randn(1, 3, 40, 33), plan, 5, [50, 20]]
    return found


def changed_tensor(r: random.Random, x: Tensor) -> Tensor:
    """A tensor that is no longer what the op wants, or wants in another layout."""
    if x.dtype == torch.uint8 and x.dim() == 1 and r.random() < 0.8:
        return changed_bytes(r, x)
    sizes = list(x.shape)
    choice = r.randrange(11)
    if choice == 0 and sizes:
        sizes[r.randrange(len(sizes))] = r.choice((0, 1, 2, 3, 4, 9, 17))
        return torch.randn(sizes).to(x.dtype)
    if choice == 1:
        return x.unsqueeze(r.randint(0, x.dim())) if r.random() < 0.5 else x.flatten()
    if choice == 2:
        return x.to(r.choice((torch.float64, torch.float16, torch.uint8, torch.int64, torch.bool)))
    if choice == 3 and x.dim() > 1:
        a, b = r.sample(range(x.dim()), 2)
        return x.transpose(a, b)
    if choice == 4:
        return x.to("meta")
    if choice == 5 and x.is_floating_point() and x.numel():
        x = x.detach().contiguous().clone()
        for _ in range(r.randint(1, 4)):
            value = r.choice((float("nan"), float("inf"), -float("inf"), 1e38, -0.0, 1e-45))
            x.view(-1)[r.randrange(x.numel())] = value
        return x
    if choice == 6 and x.dim() == 4:
        return x.contiguous(memory_format=torch.channels_last)
    if choice == 7 and sizes:
        at = r.randrange(len(sizes))
        doubled = torch.cat([x, x], at)
        return doubled.narrow(at, r.randint(0, sizes[at]), sizes[at])
    if choice == 8 and sizes:
        at = r.randrange(len(sizes))
        return x.narrow(at, 0, min(1, sizes[at])).expand(sizes) if sizes[at] else x
    if choice == 9:
        return x.clone().requires_grad_() if x.is_floating_point() else x.to_sparse()
    return x[..., ::2] if sizes else x


def changed_bytes(r: random.Random, x: Tensor) -> Tensor:
    """Packed weights that are cut, too long, elsewhere in memory, or hold something else."""
    choice = r.randrange(5)
    if choice == 0:
        return x[: r.choice((0, 1, 7, 63, 64, x.numel() // 2, x.numel() - 1))].clone()
    if choice == 1:
        return torch.cat([x, torch.zeros(r.choice((1, 64)), dtype=x.dtype)])
    if choice == 2:
        shifted = torch.cat([x.new_zeros(1), x])[1:]  # not aligned
        return shifted
    x = x.clone()
    header = min(x.numel(), 128)  # where sizes are; behind it are floats, and any will do
    for _ in range(r.randint(1, 3)):
        if header and choice == 3:
            x[r.randrange(header)] = r.randrange(256)
        elif header >= 8:
            at = r.randrange(header // 8) * 8
            value = r.choice(INTEGERS + EXTREMES).to_bytes(8, "little", signed=True)
            x[at : at + 8] = torch.tensor(list(value), dtype=torch.uint8)
    return x


def changed(r: random.Random, value: object) -> object:
    """Another argument of the same kind."""
    if isinstance(value, Tensor):
        return value if value.is_sparse or value.is_meta else changed_tensor(r, value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return r.choice(EXTREMES if r.random() < 0.3 else INTEGERS)
    if isinstance(value, float):
        return r.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    if isinstance(value, torch.dtype):
        return r.choice((torch.float32, torch.float16, torch.float64, torch.uint8, None))
    if isinstance(value, str):
        return r.choice(("none", "relu", "relu6", "hardsigmoid", "", "\0", "x" * 1000))
    if isinstance(value, list):
        return [changed(r, n) if r.random() < 0.5 else n for n in value][: r.choice((1, 2, 2, 2))]
    return value  # None: an argument that was left out


def outcome(call: Callable[..., object], arguments: Arguments) -> tuple[str, object]:
    """ "refused" with the message, or "answered" with a tuple of tensors."""
    try:
        result = call(*arguments)
    except REFUSALS as error:
        return "refused", f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "answered", result if isinstance(result, tuple) else (result,)


def affordable(arguments: Arguments) -> bool:
    """Whether the call, if it is a good one, takes neither seconds nor gigabytes."""
    sizes = [abs(n) for value in arguments if isinstance(value, list) for n in value]
    return all(n <= 4096 or n >= 2**40 for n in sizes)


def logits_of(name: str, arguments: Arguments) -> Tensor:
    """What the labels of a call are chosen from, at the labels' size."""
    if name == "upsample_argmax":
        logits, size, align_corners = arguments
    else:
        *inputs, size = arguments
        logits, align_corners = op_cases.plain_form("segmentation_head")(*inputs), False
    return F.interpolate(logits.double(), size=size, mode="bilinear", align_corners=align_corners)


def chosen_well(labels: Tensor, logits: Tensor) -> bool:
    """Whether no class has a much larger logit than the label's."""
    best = logits.max(1).values
    own = logits.gather(1, labels.long()[:, None])[:, 0]
    allowed = 1e-4 * logits.abs().amax(1)
    return bool((own >= best - allowed)[best.isfinite() & allowed.isfinite()].all())


def alike(got: Tensor, expected: Tensor) -> bool:
    """Whether the results are the same but for rounding; of labels, whether they may be so."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if not got.numel() or not got.is_floating_point():
        return True
    # Sums of huge values overflow in one order and not in another.
    both = got.isfinite() & expected.isfinite() & (expected.abs() < 1e15)
    largest = expected[both].abs().max().item() if both.any() else 0.0
    allowed = max(1e-3, 16 * torch.finfo(expected.dtype).eps) * largest + 1e-5
    return bool(((got.double() - expected)[both].abs() <= allowed).all())


def disagreement(name: str, arguments: Arguments) -> str | None:
    """What is wrong with the op's answer to these arguments."""
    overload = getattr(torch.ops.seaformer, name).default
    did, got = outcome(overload, arguments)
    plain = None if name.startswith("network") else op_cases.plain_form(name)
    tensors = [x for x in arguments if isinstance(x, Tensor)]
    # Without values there is nothing to compare, and only the plain form serves training.
    if plain is None or any(x.is_meta or x.requires_grad for x in tensors):
        return None
    should, expected = outcome(plain, arguments)
    if did != should:
        return f"the op {did}, plain PyTorch {should}: {got if did == 'refused' else expected}"
    if did == "answered" and not all(map(alike, got, expected)):
        return "the op and plain PyTorch gave different results"
    if did == "refused" or name not in LABELS or not got[0].numel():
        return None
    right = chosen_well(got[0], logits_of(name, arguments))
    return None if right else "a class has a larger logit than that of the label"


def describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)} strides {value.stride()} on {value.device}"
    return repr(value)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the call to begin with")
    options = parser.parse_args()
    if _extension.module is None:
        print(f"fuzz_ops.py: there is nothing to fuzz: {_extension.reason}", file=sys.stderr)
        return 2
    torch.set_num_threads(2)
    calls = starts()
    names = list(calls)
    end = time.monotonic() + options.seconds
    number = options.first
    while time.monotonic() < end:
        r = random.Random(f"{options.seed} {number}")
        torch.manual_seed(number)
        start = r.choice(names)
        name, arguments = start.split()[0], calls[start]()
        for _ in range(r.choice((0, 1, 1, 1, 2, 3))):
            at = r.randrange(len(arguments))
            arguments[at] = changed(r, arguments[at])
        if number % CALLS_A_LINE == 0 or options.first:
            print(f"call {number} (seed {options.seed}): {start}", file=sys.stderr, flush=True)
        if affordable(arguments):
            with sk.cpu.force_isa(r.choice(sk.cpu.supported_isas())):
                if wrong := disagreement(name, arguments):
                    print(f"call {number} (seed {options.seed}): {start}: {wrong}")
                    print(*(f"    {describe(value)}" for value in arguments), sep="\n")
                    return 1
                outcome(getattr(sk.ops, name), arguments)
        number += 1
    print(f"fuzz_ops.py: {number - options.first} calls, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
