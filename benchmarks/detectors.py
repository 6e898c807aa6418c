"""How much faster than ONNX Runtime a detector of ours goes from an image to boxes.

    python benchmarks/detectors.py
    python benchmarks/detectors.py --model seaformer_tiny --head retina --size 512

Ours is `predict` of what `optimize(model, mean, std, whole_graph=True)` makes, on raw uint8 pixels.
The peer's graph is all of that too: normalisation, network, the best logits of each level, boxes,
NonMaxSuppression, the best 100; see `ToBoxes`. Both find the same boxes, or nothing is timed. Their
weights are random, scaled such that logits spread as trained ones do; of `--candidates` logits the
score passes, or of none, as a new head's. On one thread its own time counts, not that of others
which share the core. Writes detectors.json and detectors.md to --out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from torch import Tensor, nn

import seaformer_kernels as sk
from seaformer_kernels.bench import machine, rounds
from seaformer_kernels.bench.comparison import publish
from seaformer_kernels.bench.models import image
from seaformer_kernels.bench.peers import load_session, to_onnx
from seaformer_kernels.bench.tables import WHOLE_GRAPH, number, spread, table
from seaformer_kernels.modules.anchors import ANCHORS_PER_CELL, anchor_boxes, decode_boxes
from seaformer_kernels.modules.retina_head import HEADS

MIN_ROUNDS = 5
PEER = "onnxruntime"
WANTED = 1.3  # times faster than the peer
SCORE_THRESHOLD, IOU_THRESHOLD, TOP_K, MOST = 0.05, 0.5, 1000, 100  # those of `predict`

Found = tuple[Tensor, Tensor, Tensor]  # boxes [N, 4], scores [N] and classes [N]


class NonMaxSuppression(torch.autograd.Function):
    """ONNX's operator, for an exporter; on its own it computes nothing."""

    @staticmethod
    def forward(ctx: object, boxes: Tensor, scores: Tensor, most: Tensor) -> Tensor:
        return torch.zeros(min(len(boxes[0]), MOST), 3, dtype=torch.int64)

    @staticmethod
    def symbolic(g, boxes, scores, most):
        limits = [
            g.op("Constant", value_t=torch.tensor(x)) for x in (IOU_THRESHOLD, SCORE_THRESHOLD)
        ]
        return g.op("NonMaxSuppression", boxes, scores, most, *limits)


def normalised(pixels: Tensor) -> Tensor:
    """What a plain model takes of raw pixels [..., 3, H, W]."""
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD)
    )
    return (pixels.float() - mean) * (1 / std)


class ToBoxes(nn.Module):
    """From raw pixels uint8 [1, 3, H, W] to boxes, scores and classes, in operators of ONNX.

    It does as little as it can: TopK takes logits where they lie, sigmoid only those that it took,
    and boxes of each class are moved apart, so that one NonMaxSuppression of all classes ends at
    the hundredth box.

    Args:
        model: a plain detector in eval mode.
        size: height and width of images.
    """

    def __init__(self, model: nn.Module, size: int):
        super().__init__()
        self.model, self.size = model, size
        sides = [(-(-size // stride),) * 2 for stride in model.strides]
        for level, anchors in enumerate(anchor_boxes(model.strides, sides)):
            self.register_buffer(f"anchors{level}", anchors)

    def forward(self, pixels: Tensor) -> Found:
        maps = self.model(normalised(pixels))
        levels = [
            self._best(getattr(self, f"anchors{level}"), *both)
            for level, both in enumerate(zip(*maps, strict=True))
        ]
        boxes, scores, classes = (torch.cat(parts) for parts in zip(*levels, strict=True))
        apart = boxes + (classes * (self.size + 1)).float()[:, None]
        kept = NonMaxSuppression.apply(apart[None], scores[None, None], torch.tensor([MOST]))[:, 2]
        return boxes[kept], scores[kept], classes[kept]

    def _best(self, anchors: Tensor, logits: Tensor, deltas: Tensor) -> Found:
        cells = logits.shape[2] * logits.shape[3]
        best, place = logits.flatten().topk(min(TOP_K, logits.numel()), sorted=False)
        channel, cell = place // cells, place % cells
        anchor = cell * ANCHORS_PER_CELL + channel // self.model.num_classes
        delta = deltas.permute(0, 2, 3, 1).reshape(-1, 4)[anchor]
        boxes = decode_boxes(delta, anchors[anchor]).clamp(0, self.size)
        return boxes, best.sigmoid(), channel % self.model.num_classes


@dataclass(frozen=True)
class Case:
    """One comparison."""

    model: str
    head: str
    size: int
    candidates: int

    def __str__(self) -> str:
        return f"{self.model} {self.head} {self.size}x{self.size}, {self.candidates} candidates"


def detector(case: Case, pixels: Tensor) -> nn.Module:
    """A plain detector whose logits spread by 1, of which so many pass the threshold."""
    torch.manual_seed(0)
    model = sk.create_model(case.model, task="detection", head=case.head).eval()
    x = normalised(pixels)
    with torch.no_grad():
        for out, maps, deviation in zip(
            (model.head.class_out, model.head.box_out), model(x), (1.0, 0.2), strict=True
        ):
            values = torch.cat([x.flatten() for x in maps])
            out.weight *= deviation / values.std()
        if case.candidates:
            logits = torch.cat([x.flatten() for x in model(x)[0]])
            least = logits.topk(case.candidates).values[-1]
            model.head.class_out.bias += torch.tensor(SCORE_THRESHOLD).logit() - least
        else:
            model.head.class_out.bias -= 5
    return model


def load_peer(model: nn.Module, pixels: Tensor, threads: int) -> Callable[[], Found]:
    """ONNX Runtime on the CPU, with all its graph optimisations."""
    graph = to_onnx(ToBoxes(model, pixels.shape[-1]).eval(), pixels)
    session, given = load_session(graph, threads), {"image": pixels.numpy()}
    return lambda: tuple(map(torch.from_numpy, session.run(None, given)))


def load_ours(model: nn.Module, pixels: Tensor) -> Callable[[], Found]:
    """The network as one op with all that is behind it."""
    fast = sk.optimize(model, sk.data.IMAGENET_MEAN, sk.data.IMAGENET_STD, whole_graph=True)

    def call() -> Found:
        (found,) = fast.predict(pixels)
        return found.boxes, found.scores, found.classes

    return call


def check_same(ours: Found, theirs: Found) -> None:
    """Raises RuntimeError unless nearly all boxes are the same: scores that are near change place.

    Two boxes are the same if class and score are, to 1e-3, and no side lies a pixel apart.
    """
    (boxes, scores, classes), (other_boxes, other_scores, other_classes) = ours, theirs
    near = (boxes[:, None] - other_boxes).abs().amax(-1) < 1
    near &= (scores[:, None] - other_scores).abs() < 1e-3
    near &= classes[:, None] == other_classes
    same = int(near.any(1).sum())
    if same < 0.97 * max(len(scores), len(other_scores)):
        raise RuntimeError(
            f"of {len(scores)} boxes of ours, {same} are among {len(other_scores)} of {PEER}"
        )


def run(case: Case, threads: int, seconds: float) -> dict:
    """A case's record: the rounds of both, and how many boxes there are."""
    pixels = (255 * image(case.size, case.size).sigmoid()).to(torch.uint8)
    model = detector(case, pixels)
    calls = {WHOLE_GRAPH: load_ours(model, pixels), PEER: load_peer(model, pixels, threads)}
    found = {name: call() for name, call in calls.items()}
    check_same(found[WHOLE_GRAPH], found[PEER])
    rest = rounds.REST if threads > 1 else 0.0
    clock = time.thread_time if threads == 1 else time.perf_counter
    timed, _ = rounds.interleave(calls, seconds, MIN_ROUNDS, clock, rest)
    return asdict(case) | {
        "threads": threads,
        "boxes": len(found[WHOLE_GRAPH][1]),
        "seconds": timed,
    }


def report(records: Sequence[dict]) -> str:
    """The table."""
    rows = []
    for record in records:
        own, other = (record["seconds"][name] for name in (WHOLE_GRAPH, PEER))
        rows.append(
            [
                *(str(record[key]) for key in ("model", "head", "size", "candidates", "boxes")),
                *(spread([1e3 * s for s in seconds]) for seconds in (own, other)),
                spread(rounds.ratios(own, other)),
                number(min(other) / min(own)),
            ]
        )
    columns = ["model", "head", "size", "candidates", "boxes", "ours, ms", f"{PEER}, ms"]
    words = (
        "Median [quartiles] over the rounds; times faster is the peer's time over ours in the same "
        f"round, and of the least times. Wanted are {WANTED}."
    )
    return f"{table([*columns, 'times faster', 'of the least'], rows)}\n\n{words}\n"


@click.command()
@click.option("--model", "names", multiple=True, default=("seaformer_tiny", "seaformer_small"))
@click.option("--head", "heads", multiple=True, type=click.Choice(list(HEADS)), default=list(HEADS))
@click.option("--size", "sizes", multiple=True, type=int, default=(320, 512), show_default=True)
@click.option(
    "--candidates", "counts", multiple=True, type=int, default=(0, 500), show_default=True
)
@click.option("--threads", default=1, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of timing a case.")
@click.option("--out", type=Path, default=Path("bench-output"), show_default=True)
def main(
    names: Sequence[str],
    heads: Sequence[str],
    sizes: Sequence[int],
    counts: Sequence[int],
    threads: int,
    seconds: float,
    out: Path,
) -> None:
    """Times detectors from image to boxes beside ONNX Runtime."""
    facts = machine.describe() | machine.conditions()
    versions = machine.versions({"onnx", "onnxruntime"})
    records = []
    with machine.pinned(threads):
        for case in itertools.starmap(Case, itertools.product(names, heads, sizes, counts)):
            print(case, flush=True)
            records.append(run(case, threads, seconds))
    publish(
        out / "detectors", report(records), records, threads=threads, facts=facts, versions=versions
    )


if __name__ == "__main__":
    main()
