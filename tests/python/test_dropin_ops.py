"""The ops on plain tensors and weights: values, gradients, autocast, compile and export."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Callable

import pytest
import torch
from op_cases import Random
from torch import Tensor, nn
from torch.nn import functional as F

import seaformer_kernels as sk

ACTIVATIONS = {"none": nn.Identity(), "relu": nn.ReLU(), "relu6": nn.ReLU6()}


# What the ops are to compute, in layers of PyTorch.


def plain_mean(x: Tensor) -> tuple[Tensor, ...]:
    return x.mean(3), x.mean(2)


def plain_attention(q, k, v, rq, rk, cq, ck, num_heads, scale=None) -> tuple[Tensor, ...]:
    def place(x, learned):
        if learned is None:
            return x
        return x + F.interpolate(learned, size=x.shape[2], mode="linear", align_corners=False)

    def attend(q, k, v):
        q, k, v = (x.unflatten(1, (num_heads, -1)).transpose(2, 3) for x in (q, k, v))
        if scale is None:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, scale=scale)
        return y.transpose(2, 3).flatten(1, 2)

    row = attend(place(q.mean(3), rq), place(k.mean(3), rk), v.mean(3))
    column = attend(place(q.mean(2), cq), place(k.mean(2), ck), v.mean(2))
    return row[:, :, :, None], column[:, :, None]


def plain_detail(qkv, dw, dw_bias, pw, pw_bias, activation="relu6") -> tuple[Tensor, ...]:
    y = F.conv2d(qkv, dw, dw_bias, padding=1, groups=qkv.shape[1])
    return (F.conv2d(ACTIVATIONS[activation](y), pw, pw_bias),)


@dataclasses.dataclass
class Case:
    """One call, `op(*arguments)`, some of which are tensors or None."""

    op: str
    plain: Callable[..., tuple[Tensor, ...]]
    arguments: tuple

    def __call__(self, *arguments: object) -> tuple[Tensor, ...]:
        got = getattr(sk.ops, self.op)(*(arguments or self.arguments))
        return got if isinstance(got, tuple) else (got,)

    @property
    def overload(self) -> torch._ops.OpOverload:
        return getattr(torch.ops.seaformer, self.op).default

    def registered(self) -> tuple:
        """Arguments of the registered op."""
        if self.op != "squeeze_axial_attention" or len(self.arguments) == 9:
            return self.arguments
        return (*self.arguments, (self.arguments[0].shape[1] / self.arguments[7]) ** -0.5)

    def map(self, f: Callable[[Tensor], Tensor]) -> Case:
        """The same call with f applied to every tensor."""
        arguments = tuple(f(x) if isinstance(x, Tensor) else x for x in self.arguments)
        return dataclasses.replace(self, arguments=arguments)

    @property
    def tensors(self) -> list[Tensor]:
        return [x for x in self.arguments if isinstance(x, Tensor)]


def mean(*size: int) -> Case:
    return Case("axial_mean", plain_mean, (Random(0).tensor(*size),))


def attention(batch, heads, key, value, height, width, positions=(16, 16, 16, 16), scale=None):
    random = Random(1)
    maps = [random.tensor(batch, heads * width_, height, width) for width_ in (key, key, value)]
    learned = [random.tensor(1, heads * key, n) if n else None for n in positions]
    rest = (heads,) if scale is None else (heads, scale)
    return Case("squeeze_axial_attention", plain_attention, (*maps, *learned, *rest))


def detail(batch, channels, out, height, width, biases=True, activation="relu6"):
    random = Random(2)
    dw, dw_bias = random.weights(channels, 1, 3, 3)
    pw, pw_bias = random.weights(out, channels, 1, 1)
    weights = (dw, dw_bias, pw, pw_bias) if biases else (dw, None, pw, None)
    x = 3 * random.tensor(batch, channels, height, width)
    return Case("detail_enhancement", plain_detail, (x, *weights, activation))


SIMPLE = {
    "axial_mean": lambda: mean(2, 6, 3, 4),
    "squeeze_axial_attention": lambda: attention(2, 2, 2, 3, 3, 4, (2, 4, 7, 1)),
    "detail_enhancement": lambda: detail(2, 4, 3, 3, 4),
}
SHAPES = [
    mean(1, 1, 1, 1),
    mean(2, 17, 9, 30),
    mean(0, 3, 4, 5),
    attention(1, 4, 16, 32, 16, 16),
    attention(2, 3, 5, 9, 7, 40, (1, 33, 0, 16), 0.3),
    attention(1, 1, 1, 1, 1, 1, (0, 0, 0, 0)),
    attention(0, 2, 4, 8, 3, 5),
    detail(1, 256, 128, 16, 16),
    detail(2, 5, 17, 9, 1, False, "none"),
    detail(1, 33, 1, 1, 13, True, "relu"),
    detail(0, 4, 3, 3, 4),
]


@pytest.fixture(params=SIMPLE)
def simple(request) -> Case:
    return SIMPLE[request.param]()


def assert_near(got, expected, exact) -> None:
    """At most twice as far from float64 as plain float32 is, or 4 eps of the largest value."""
    for g, e, x in zip(got, expected, exact, strict=True):
        assert g.shape == x.shape and g.dtype == torch.float32
        if g.numel() == 0:
            continue
        allowed = 2 * (e - x).abs().max() + 4 * 2.0**-23 * x.abs().max()
        errors = (g - x).abs()
        worst = errors.argmax().item()
        assert errors.max() <= allowed, (
            f"element {worst}: got {g.flatten()[worst]}, expected {x.flatten()[worst]}, "
            f"allowed error {allowed:.3g}"
        )


@pytest.mark.parametrize("case", SHAPES, ids=lambda c: f"{c.op} {list(c.tensors[0].shape)}")
def test_equals_the_plain_layers(isa, case):
    exact = case.plain(*case.map(Tensor.double).arguments)
    assert_near(case(), case.plain(*case.arguments), exact)


VIEWS = {
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "slice of pixels": lambda x: torch.cat([x, x], 1).contiguous(memory_format=torch.channels_last)[
        :, x.shape[1] :
    ],
    "cropped": lambda x: torch.cat([x, x], 3).contiguous(memory_format=torch.channels_last)[
        ..., : x.shape[3]
    ],
    "expanded": lambda x: x[:, :, :1, :1].expand(x.shape),
}


@pytest.mark.parametrize("view", VIEWS)
def test_layout_does_not_matter(isa, simple, view):
    case = simple.map(lambda x: VIEWS[view](x) if x.shape[2:] == (3, 4) else x)
    torch.testing.assert_close(case(), case.plain(*case.arguments))


def test_strided_weights(isa):
    case = SIMPLE["squeeze_axial_attention"]()
    strided = case.map(lambda x: x if x.dim() == 4 else x.repeat_interleave(2, 2)[:, :, ::2])
    assert all(torch.equal(x, y) for x, y in zip(strided(), case(), strict=True))
    case = SIMPLE["detail_enhancement"]()
    strided = case.map(lambda x: x.repeat_interleave(2, 0)[::2])
    assert all(torch.equal(x, y) for x, y in zip(strided(), case(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes_run_in_plain_pytorch(simple, dtype):
    case = simple.map(lambda x: x.to(dtype))
    got = case()
    assert all(y.dtype == dtype for y in got)
    expected = case.map(Tensor.double)
    tolerance = 4 * torch.finfo(dtype).eps
    for y, e in zip(got, expected.plain(*expected.arguments), strict=True):
        torch.testing.assert_close(y.double(), e, rtol=tolerance, atol=8 * tolerance)


def test_no_positions_and_no_biases_still_differentiate(isa):
    for case in (attention(1, 2, 3, 4, 3, 4, (0, 0, 0, 0)), detail(1, 4, 3, 3, 4, False)):
        case = case.map(lambda x: x.clone().requires_grad_())
        got = torch.autograd.grad(sum(y.square().sum() for y in case()), case.tensors)
        plain = case.plain(*case.arguments)
        expected = torch.autograd.grad(sum(y.square().sum() for y in plain), case.tensors)
        torch.testing.assert_close(got, expected)


def test_gradcheck(simple):
    case = simple.map(lambda x: x.double().requires_grad_())
    assert torch.autograd.gradcheck(case, case.arguments)
    assert torch.autograd.gradgradcheck(case, case.arguments, fast_mode=True)


@pytest.mark.parametrize("number", range(7))
def test_one_input_at_a_time(number):
    for make in SIMPLE.values():
        case = make().map(Tensor.double)
        if number >= len(case.tensors):
            continue
        case.tensors[number].requires_grad_()
        assert torch.autograd.gradcheck(case, case.arguments, fast_mode=True)


def test_float32_gradients_are_those_of_the_plain_layers(isa, simple):
    case = simple.map(lambda x: x.clone().requires_grad_())
    results = case()
    weights = [Random(5).tensor(*y.shape) for y in results]
    got = torch.autograd.grad(results, case.tensors, weights)
    expected = torch.autograd.grad(case.plain(*case.arguments), case.tensors, weights)
    torch.testing.assert_close(got, expected)


def test_one_output_alone(isa):
    for name in ("axial_mean", "squeeze_axial_attention"):
        case = SIMPLE[name]().map(lambda x: x.clone().requires_grad_())
        for number in range(2):
            y = case()[number].square().sum()
            e = case.plain(*case.arguments)[number].square().sum()
            got = torch.autograd.grad(y, case.tensors[:3])
            torch.testing.assert_close(got, torch.autograd.grad(e, case.tensors[:3]))


def test_an_input_twice_and_an_input_of_an_input():
    _, _, v, *rest = SIMPLE["squeeze_axial_attention"]().map(Tensor.double).arguments
    x = Random(7).tensor(2, 4, 3, 4).double().requires_grad_()

    def twice(op):
        k = x.tanh()
        first = op(x, x, v, *rest)
        second = op(x, k, v * k.mean(), *rest)
        return sum((y * y).sum() for y in (*first, *second))

    got = torch.autograd.grad(twice(sk.ops.squeeze_axial_attention), x)
    torch.testing.assert_close(got, torch.autograd.grad(twice(plain_attention), x))


def test_backward_needs_no_more_than_the_inputs(simple):
    """Nothing as large as the maps in between is kept for the backward pass."""
    case = simple.map(lambda x: x.clone().requires_grad_())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        case()
    given = {x.data_ptr() for x in case.tensors}
    assert all(x.data_ptr() in given for x in kept)
    assert len(kept) == (0 if case.op == "axial_mean" else len(given))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_runs_in_its_type(simple, dtype):
    case = simple.map(lambda x: x.to(dtype).requires_grad_() if x.dim() == 4 else x.clone())
    wide = simple.map(lambda x: x.to(dtype).float().requires_grad_() if x.dim() == 4 else x)
    with torch.autocast("cpu", dtype=dtype):
        got = case()
        sum(y.square().sum() for y in got).backward()  # in here, as some people do
    expected = wide()
    sum(y.square().sum() for y in expected).backward()
    tolerance = 4 * torch.finfo(dtype).eps
    for y, e in zip(got, expected, strict=True):
        assert y.dtype == dtype
        torch.testing.assert_close(y, e.to(dtype), rtol=tolerance, atol=tolerance)
    for x, e in zip(case.tensors, wide.tensors, strict=True):
        if x.dim() == 4:
            assert x.grad.dtype == dtype
            scale = e.grad.abs().max().item()
            torch.testing.assert_close(x.grad.float(), e.grad, rtol=0, atol=tolerance * scale)


def test_python_threads_at_once(isa, simple):
    def work(_: int) -> tuple[list[Tensor], list[Tensor]]:
        case = simple.map(lambda x: x.clone().requires_grad_())
        outputs = case()
        return outputs, torch.autograd.grad(sum(y.square().sum() for y in outputs), case.tensors)

    expected = work(0)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for got in pool.map(work, range(16)):
            torch.testing.assert_close(got, expected)


def test_opcheck(simple):
    case = simple.map(lambda x: x.clone().requires_grad_())
    torch.library.opcheck(case.overload, case.registered())
    case = simple.map(lambda x: x.double())
    for utility in ("test_schema", "test_faketensor"):
        torch.library.opcheck(case.overload, case.registered(), test_utils=utility)


class Net(nn.Module):
    """A small attention network on the ops of `ops`."""

    def __init__(self, ops: Callable[[str], Callable]):
        super().__init__()
        self.squeeze, self.attend = ops("axial_mean"), ops("squeeze_axial_attention")
        self.enhance = ops("detail_enhancement")
        self.qkv = nn.Conv2d(3, 16, 1)
        self.positions = nn.ParameterList(torch.randn(1, 4, 16) * 0.1 for _ in range(4))
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 8, 1)
        self.project = nn.Conv2d(8, 8, 1)
        self.classify = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        q, k, v = qkv.split([4, 4, 8], 1)
        row, column = self.attend(q, k, v, *self.positions, 2)
        d, p = self.depthwise, self.pointwise
        details = self.enhance(qkv, d.weight, d.bias, p.weight, p.bias)
        y = torch.sigmoid(self.project(v + row + column)) * details
        rows, columns = self.squeeze(y)
        return self.classify(torch.cat([rows.amax(2), columns.amax(2)], 1))


PLAIN = {
    "axial_mean": plain_mean,
    "squeeze_axial_attention": plain_attention,
    "detail_enhancement": lambda *args: plain_detail(*args)[0],
}


def fused_net() -> Net:
    torch.manual_seed(0)
    return Net(lambda name: getattr(sk.ops, name))


def plain_net() -> Net:
    torch.manual_seed(0)
    return Net(PLAIN.__getitem__)


def losses(net: Net, step: Callable[[Tensor], Tensor] | None = None) -> list[float]:
    """Of 20 steps of training on images whose class lies in one of their rows."""
    step = net if step is None else step
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    random = Random(3)
    labels = torch.arange(20) % 5
    images = random.tensor(20, 3, 10, 8)
    images[torch.arange(20), 0, 2 * labels] += 2
    history = []
    for _ in range(20):
        loss = F.cross_entropy(step(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


def test_training_follows_the_curve_of_plain_pytorch(isa):
    fused, plain = losses(fused_net()), losses(plain_net())
    assert plain[-1] < 0.9 * plain[0]  # it learns
    torch.testing.assert_close(fused, plain, rtol=2e-3, atol=1e-4)


@pytest.mark.compile
def test_compiled_training_follows_it_too(backend):
    net = fused_net()
    compiled = losses(net, torch.compile(net, fullgraph=True, backend=backend))
    torch.testing.assert_close(compiled, losses(plain_net()), rtol=2e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.compile
def test_compile_with_dynamic_sizes(backend):
    net, plain = fused_net(), plain_net()
    compiled = torch.compile(net, fullgraph=True, dynamic=True, backend=backend)
    for size in [(2, 3, 6, 9), (3, 3, 12, 5)]:
        x, y = (Random(4).tensor(*size).requires_grad_() for _ in range(2))
        compiled(x).square().sum().backward()
        plain(y).square().sum().backward()
        torch.testing.assert_close(x.grad, y.grad)


def test_export_with_dynamic_sizes():
    net = fused_net()
    batch, height, width = (torch.export.Dim(name, min=1, max=64) for name in "bhw")
    program = torch.export.export(
        net, (torch.randn(2, 3, 6, 9),), dynamic_shapes=({0: batch, 2: height, 3: width},)
    )
    targets = {str(node.target) for node in program.graph.nodes}
    assert {f"seaformer.{name}.default" for name in SIMPLE} <= targets
    for size in [(1, 3, 1, 1), (3, 3, 17, 5)]:
        x = Random(4).tensor(*size)
        torch.testing.assert_close(program.module()(x), net(x))


def edit(case: Case, number: int, value: object) -> Case:
    arguments = list(case.arguments)
    arguments[number] = value(arguments[number]) if callable(value) else value
    return dataclasses.replace(case, arguments=tuple(arguments))


@pytest.mark.parametrize(
    ("op", "number", "value", "message"),
    [
        ("axial_mean", 0, lambda x: x[0], r"x of shape .*, got \[6, 3, 4\]"),
        ("axial_mean", 0, lambda x: x[:, :, :0], "at least one channel, row and column, got"),
        ("squeeze_axial_attention", 0, lambda x: x[0], "q of shape .*, got"),
        ("squeeze_axial_attention", 1, lambda x: x[:, :2], r"one shape.*got \[2, 4.*\[2, 2"),
        ("squeeze_axial_attention", 2, lambda x: x[..., 1:], "their batch and size, got"),
        ("squeeze_axial_attention", 2, lambda x: x[:1], "their batch and size, got"),
        ("squeeze_axial_attention", 3, lambda x: x[0], r"pos_row_q of shape \[1, 4, pos.*\], got"),
        ("squeeze_axial_attention", 4, lambda x: x[:, :3], "pos_row_k of shape"),
        ("squeeze_axial_attention", 5, lambda x: x[..., :0], "pos_col_q of shape"),
        ("squeeze_axial_attention", 6, lambda x: torch.cat([x, x]), "pos_col_k of shape"),
        ("squeeze_axial_attention", 7, 3, "num_heads to divide .*, got 3 heads, 4 and 6"),
        ("detail_enhancement", 0, lambda x: x[0], "qkv of shape .*, got"),
        ("detail_enhancement", 1, lambda x: x[1:], r"dw_weight of shape \[4, 1, 3, 3\], got \[3"),
        ("detail_enhancement", 2, lambda x: x[1:], r"dw_bias of shape \[4\], got \[3\]"),
        ("detail_enhancement", 3, lambda x: x[:, 1:], r"pw_weight of shape \[any, 4, 1, 1\], got"),
        ("detail_enhancement", 3, lambda x: x[:0], r"pw_weight of shape \[any, 4, 1, 1\], got"),
        ("detail_enhancement", 4, lambda x: x[None], r"pw_bias of shape \[3\], got \[1, 3\]"),
        ("detail_enhancement", 5, "gelu", "none, relu or relu6, got gelu"),
        ("squeeze_axial_attention", 1, Tensor.double, "one floating-point dtype, got"),
        ("detail_enhancement", 2, Tensor.half, "one floating-point dtype, got"),
    ],
)
def test_wrong_values_are_refused(op, number, value, message):
    case = edit(SIMPLE[op](), number, value)
    for device in ("cpu", "meta"):  # the kernel's checks, and the fake kernel's
        with pytest.raises(ValueError, match=f"^{op}: expected .*{message}"):
            case.map(lambda x, device=device: x.to(device))()


@pytest.mark.parametrize(
    ("op", "number", "value", "message"),
    [
        ("axial_mean", 0, [1.0], "x as a tensor, got list"),
        ("axial_mean", 0, Tensor.int, "a floating-point x, got torch.int32"),
        ("squeeze_axial_attention", 2, None, "v as a tensor, got NoneType"),
        ("squeeze_axial_attention", 3, 1, "pos_row_q as a tensor, got int"),
        ("squeeze_axial_attention", 5, Tensor.int, "a floating-point pos_col_q, got torch.int32"),
        ("squeeze_axial_attention", 7, 2.0, "num_heads as an integer, got float"),
        ("detail_enhancement", 3, None, "pw_weight as a tensor, got NoneType"),
        ("detail_enhancement", 5, 6, "activation as a string, got int"),
    ],
)
def test_wrong_types_are_refused(op, number, value, message):
    with pytest.raises(TypeError, match=f"^{op}: expected {message}"):
        edit(SIMPLE[op](), number, value)()


def test_wrong_numbers_of_attention_are_refused():
    case = SIMPLE["squeeze_axial_attention"]()
    with pytest.raises(ValueError, match="expected num_heads to be positive, got 0"):
        edit(case, 7, 0)()
    with pytest.raises(TypeError, match="expected scale as a number or None, got str"):
        case(*case.arguments, "1")


# Modules alone, in somebody else's model.

MODULES = {
    "SeaAttention": lambda: (sk.modules.SeaAttention(8, 4, 2), [(2, 8, 6, 7)]),
    "InvertedResidual": lambda: (sk.modules.InvertedResidual(8, 8), [(2, 8, 6, 7)]),
    "InvertedResidual, stride 2": lambda: (
        sk.modules.InvertedResidual(8, 6, kernel_size=5, expansion=1, stride=2),
        [(2, 8, 6, 7)],
    ),
    "Mlp": lambda: (sk.modules.Mlp(8, 16), [(2, 8, 6, 7)]),
    "FusionGate": lambda: (sk.modules.FusionGate(8, 4, 6), [(2, 8, 6, 7), (2, 4, 3, 4)]),
}


@pytest.mark.parametrize("name", MODULES)
def test_modules_train_alone_and_are_optimized_alone(name):
    torch.manual_seed(0)
    module, sizes = MODULES[name]()
    inputs = [Random(i).tensor(*size) for i, size in enumerate(sizes)]
    target = None
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    history = []
    for _ in range(10):
        y = module(*inputs)
        target = Random(9).tensor(*y.shape) if target is None else target
        loss = F.mse_loss(y, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert all(p.grad is not None for p in module.parameters())
    assert history[-1] < history[0]
    module.eval()
    fast = sk.optimize(nn.Sequential(module) if len(inputs) == 1 else Holder(module))
    with torch.no_grad():
        torch.testing.assert_close(fast(*inputs), module(*inputs), rtol=1e-4, atol=1e-5)
    assert "seaformer" not in str(torch.export.export(module, tuple(inputs)).graph)


class Holder(nn.Module):
    """Somebody's model that holds one module of ours."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.module(*inputs)
