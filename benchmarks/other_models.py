"""How much faster optimize makes other people's models than eager PyTorch and other runtimes.

    python benchmarks/other_models.py
    python benchmarks/other_models.py --model topformer_base --size 512 --peer onnxruntime

The models are those of tests/python/zoo, in the layouts of the libraries that people take them
from, with weights as training could leave them. Each is timed to its logits, a segmenter also to
labels (resize and argmax), as optimize makes it, as one op where it can be one, and by each peer;
all of them in turns, on as many cores as threads. Before, each must give what plain PyTorch gives.
Writes other_models.json and other_models.md to --out.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels.bench import machine, rounds
from seaformer_kernels.bench.comparison import publish
from seaformer_kernels.bench.contenders import Converter, check, expected_output, load_peer
from seaformer_kernels.bench.models import ToLabels, image
from seaformer_kernels.bench.peers import PEERS
from seaformer_kernels.bench.tables import WHOLE_GRAPH, number, spread, table
from seaformer_kernels.ops._element import ELEMENTS, name_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/python"))

import zoo
from zoo.mmseg_layout import Labels

OP_BY_OP = "op by op"
MIN_ROUNDS = 5


@dataclass(frozen=True)
class Model:
    """A network.

    Attributes:
        source: its name in the zoo.
        wanted: by output, how many times faster than ONNX Runtime it is to be.
    """

    source: str
    wanted: dict[str, float]


MODELS = {
    "seaformer_tiny": Model("seaformer/segmentation_tiny", {"logits": 1.25, "labels": 8}),
    "topformer_base": Model("topformer/base", {"logits": 1.2, "labels": 5}),
    "mobilenet_v2": Model("mobilenet_v2/torchvision", {"logits": 1.15}),
    "mobilenet_v3_large": Model("mobilenet_v3/torchvision_large", {"logits": 1.1}),
    "efficientnet_b0": Model("efficientnet/timm_b0", {"logits": 1.1}),
    "efficientnet_lite0": Model("efficientnet/timm_lite0", {"logits": 1.1}),
    "mnasnet": Model("mnasnet/torchvision", {"logits": 1.1}),
}
WANTED_OF_EAGER = 2.5  # of all


@dataclass(frozen=True)
class Case:
    """One comparison."""

    model: str
    size: int
    output: str
    dtype: torch.dtype

    def __str__(self) -> str:
        return f"{self.model} {self.size}x{self.size} to {self.output} in {name_of(self.dtype)}"


def ours(model: nn.Module, x: Tensor, dtype: torch.dtype, whole: bool) -> tuple[nn.Module, dict]:
    """What optimize makes, and the seconds it took and the share of multiply-adds in fused ops."""
    start = time.perf_counter()
    with torch.inference_mode(False), warnings.catch_warnings():  # outside of it, as users do
        warnings.simplefilter("ignore")  # that nothing was fused, which the share tells too
        fast = sk.optimize(model, whole_graph=whole, dtype=dtype)
    seconds = time.perf_counter() - start
    share = fast.report(tuple(x.shape[2:])).fused_share
    return fast, {"optimize_s": seconds, "fused_share": share}


def run(case: Case, peers: Sequence[str], threads: int, seconds: float, plain: nn.Module) -> dict:
    """A case's record: rounds and facts by implementation, and why others have none."""
    x = image(case.size, case.size)
    labels = case.output == "labels"
    # The same twice: peers have argmax in a module of its own, of which ncnn has no layer.
    theirs, own = (ToLabels(plain), Labels(plain)) if labels else (plain, plain)
    expected = expected_output(theirs.eval(), x)
    calls: dict[str, Callable[[], Tensor]] = {}
    facts: dict[str, dict] = {}
    failed: dict[str, str] = {}
    converter = Converter()

    def load_ours(name: str) -> Callable[[], Tensor]:
        fast, facts[name] = ours(own.eval(), x, case.dtype, name == WHOLE_GRAPH)
        return lambda: fast(x)

    def load_other(name: str) -> Callable[[], Tensor]:
        reason = PEERS[name].only_float32
        if reason and case.dtype != torch.float32:
            raise ValueError(reason)
        converter.convert(name, "", theirs, x)
        return load_peer(name, converter.get(name, "", theirs), x, threads, case.dtype).call

    for name in (OP_BY_OP, WHOLE_GRAPH, *peers):
        try:
            call = (load_other if name in PEERS else load_ours)(name)
            check(name, call(), expected, case.dtype)
        except Exception as error:  # runtimes of others can fail in any way
            failed[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            facts.pop(name, None)
        else:
            calls[name] = call
    rest = rounds.REST if threads > 1 else 0.0
    timed, _ = rounds.interleave(calls, seconds, MIN_ROUNDS, rest=rest)
    return {
        "model": case.model,
        "size": case.size,
        "output": case.output,
        "dtype": name_of(case.dtype),
        "threads": threads,
        "seconds": timed,
        "facts": facts,
        "failed": failed,
    }


def times_faster(record: dict, name: str, peer: str) -> str:
    """How many times longer a peer took than one of ours: the median ratio and quartiles."""
    seconds = record["seconds"]
    if name not in seconds or peer not in seconds:
        return ""
    return spread(rounds.ratios(seconds[name], seconds[peer]))


def report(records: Sequence[dict], peers: Sequence[str]) -> str:
    """Tables of milliseconds and of ratios, and what is not in them."""
    times, faster = [], []
    for record in records:
        first = [record["model"], str(record["size"]), record["output"], record["dtype"]]
        names = (OP_BY_OP, WHOLE_GRAPH, *peers)
        own = record["facts"].get(OP_BY_OP)
        seconds = record["seconds"]
        times.append(
            [
                *first,
                *(spread([1e3 * s for s in seconds[n]]) if n in seconds else "" for n in names),
                f"{own['fused_share']:.1%}" if own else "",
                number(own["optimize_s"]) if own else "",
            ]
        )
        wanted = MODELS[record["model"]].wanted[record["output"]]
        for name in (OP_BY_OP, WHOLE_GRAPH):
            if name in seconds:
                ratios = [times_faster(record, name, peer) for peer in peers]
                faster.append([*first, name, *ratios, number(wanted)])
    case = ["model", "size", "to", "in"]
    ms = [f"{name}, ms" for name in (OP_BY_OP, WHOLE_GRAPH, *peers)]
    parts = [
        table([*case, *ms, "in fused ops", "optimize, s"], times),
        table(
            [*case, "ours", *(f"faster than {peer}" for peer in peers), "wanted of onnxruntime"],
            faster,
        ),
        "Median [quartiles] over the rounds; times faster are a peer's time over ours in the same "
        "round. In fused ops is the share of the multiply-adds. Of eager PyTorch, "
        f"{WANTED_OF_EAGER} is wanted of all.",
    ]
    reasons: dict[str, list[str]] = {}
    for record in records:
        title = f"{record['model']} {record['size']} to {record['output']} in {record['dtype']}"
        for name, reason in record["failed"].items():
            reasons.setdefault(f"{name}: {reason}", []).append(title)
    parts += [f"Not there: {reason} ({', '.join(where)})." for reason, where in reasons.items()]
    return "\n\n".join(parts) + "\n"


@click.command()
@click.option("--model", "names", multiple=True, type=click.Choice(list(MODELS)))
@click.option("--size", "sizes", multiple=True, type=int, help="Of square images.  [224, 512]")
@click.option("--peer", "peers", multiple=True, type=click.Choice(list(PEERS)))
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice([name_of(t) for t in ELEMENTS]))
@click.option("--threads", default=1, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of timing a case.")
@click.option("--out", type=Path, default=Path("bench-output"), show_default=True)
def main(
    names: Sequence[str],
    sizes: Sequence[int],
    peers: Sequence[str],
    dtypes: Sequence[str],
    threads: int,
    seconds: float,
    out: Path,
) -> None:
    """Times optimize on other people's models beside peers; all models if none is named."""
    wanted_peers = peers or ("eager", "eager_channels_last", "onnxruntime")
    present = [peer for peer in wanted_peers if not PEERS[peer].missing()]
    for peer in wanted_peers:
        if peer not in present:
            print(f"{peer} is absent: {', '.join(PEERS[peer].missing())} not installed")
    types = [t for t in ELEMENTS if name_of(t) in (dtypes or ("float32",))]
    facts = machine.describe() | machine.conditions()
    versions = machine.versions({p for peer in present for p in PEERS[peer].packages})
    records = []
    with machine.pinned(threads), torch.inference_mode():
        for name in names or MODELS:
            with torch.inference_mode(False):  # or conversions could not save the weights
                plain = zoo.create(MODELS[name].source).requires_grad_(False)
            for size in sizes or (224, 512):
                for output in MODELS[name].wanted:
                    for dtype in types:
                        case = Case(name, size, output, dtype)
                        print(case, flush=True)
                        records.append(run(case, present, threads, seconds, plain))
    publish(
        out / "other_models",
        report(records, present),
        records,
        threads=threads,
        facts=facts,
        versions=versions,
    )


if __name__ == "__main__":
    main()
