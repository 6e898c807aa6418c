"""The backend "seaformer" of `torch.compile`: fused blocks found in what dynamo traced."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, fx, nn
from torch._dynamo import lookup_backend

from seaformer_kernels.graph import Untraceable
from seaformer_kernels.optimize.structure.regions import Regions
from seaformer_kernels.optimize.structure.rewrite import call_blocks

Compiled = Callable[..., Sequence[Tensor]]


def seaformer(
    graph_module: fx.GraphModule,
    example_inputs: Sequence[object],
    *,
    options: Mapping[str, str] | None = None,
) -> Compiled:
    """Runs what dynamo traced with fused blocks in it, as `optimize` finds them by structure.

    `torch.compile(model, backend="seaformer")` calls it; `options={"rest": "eager"}` leaves what is
    not fused to PyTorch. Weights are folded and packed when a model is compiled: where gradients
    are wanted, and after weights were replaced or changed in place, what was traced runs plain.
    Prefer `optimize`: it costs nothing in a call, where dynamo looks at its guards, and takes any
    size of image without compiling anew.

    Args:
        graph_module: in inference mode or without gradients, else it stays plain.
        example_inputs: of it; weights are real tensors.
        options: "rest" names the backend for what is not fused, "inductor" if there is none.

    Raises:
        ValueError: there is another option.
        torch._dynamo.exc.InvalidBackend: there is no backend of that name.
    """
    options = dict(options or {})
    compile_rest = lookup_backend(options.pop("rest", "inductor"))
    if options:
        raise ValueError(f"seaformer: expected no option but 'rest', got {sorted(options)}.")
    if torch.is_grad_enabled() and any(
        isinstance(x, Tensor) and x.requires_grad for x in example_inputs
    ):
        return compile_rest(graph_module, example_inputs)
    fused, weights = _with_constants(graph_module, example_inputs)
    with torch.no_grad():
        if not _fuse(fused):
            return compile_rest(graph_module, example_inputs)
    versions = {i: tensor._version for i, tensor in weights.items()}
    given = [x for i, x in enumerate(example_inputs) if i not in weights]
    run = compile_rest(fused, given)

    def call(*args: object) -> Sequence[Tensor]:
        for i, tensor in weights.items():
            if args[i] is not tensor or tensor._version != versions[i]:
                return graph_module(*args)
        return run(*[x for i, x in enumerate(args) if i not in weights])

    return call


def _with_constants(
    graph_module: fx.GraphModule, example_inputs: Sequence[object]
) -> tuple[fx.GraphModule, dict[int, Tensor]]:
    """A copy whose parameters and buffers are its own, and which inputs they were."""
    graph = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    output = graph.graph_copy(graph_module.graph, copied)
    graph.output(output)
    module = nn.Module()
    for name, child in graph_module.named_children():
        module.add_module(name, child)
    weights: dict[int, Tensor] = {}
    placeholders = [node for node in graph_module.graph.nodes if node.op == "placeholder"]
    for i, (node, value) in enumerate(zip(placeholders, example_inputs, strict=True)):
        if not isinstance(value, Tensor) or not _is_of_a_module(node):
            continue
        weights[i] = value
        name = f"weight_{i}"
        module.register_buffer(name, value.detach())
        placeholder = copied[node]
        with graph.inserting_before(placeholder):
            constant = graph.get_attr(name)
        placeholder.replace_all_uses_with(constant)
        graph.erase_node(placeholder)
    for node in list(graph.nodes):
        number = node.op == "call_method" and node.target == "item"
        if number and node.args[0].op == "get_attr":
            node.replace_all_uses_with(getattr(module, node.args[0].target).item())
            graph.erase_node(node)
    return fx.GraphModule(module, graph), weights


def _is_of_a_module(placeholder: fx.Node) -> bool:
    """Whether dynamo made an input of a parameter, a buffer or a number of a module."""
    source = getattr(placeholder, "_dynamo_source", None)
    while source is not None:
        if "NNModuleSource" in type(source).__name__:
            return True
        source = getattr(source, "base", None)
    return False


def _fuse(module: fx.GraphModule) -> bool:
    """Puts blocks into a module that nobody else has; returns whether there are any."""
    for node in module.graph.nodes:
        node.meta["calls"] = ("",)
    try:
        regions = Regions(module, module.graph)
    except Untraceable:
        return False
    replaced = []
    for region in regions.found:
        if region.match.agrees(functools.partial(regions.run, region)):
            replaced.append((region, region.match.make(torch.float32)))
    if replaced:
        call_blocks(module, module.graph, replaced)
        module.recompile()
    return bool(replaced)
