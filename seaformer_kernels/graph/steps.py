"""A list of steps: which modules run, and which maps each of them reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class Step:
    """One call of a submodule.

    Attributes:
        path: its name in the module that holds the list.
        inputs: numbers of the maps it is called with. Those given to the list come first, from 0
            on, then what each step writes. A step may write a list of maps; it has one number.
    """

    path: str
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """What a module does, as steps in the order in which they run.

    Attributes:
        steps: each reads maps that were given or written before.
        outputs: numbers of the maps that come out.
        given: how many maps go in.
    """

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    given: int = 1
    _done: tuple[tuple[int, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        last = {map_: number for number, step in enumerate(self.steps) for map_ in step.inputs}
        # After each step: the maps that nobody reads any more, so that their memory is free.
        done = tuple(
            tuple(map_ for map_, reader in last.items() if reader == n and map_ not in self.outputs)
            for n in range(len(self.steps))
        )
        object.__setattr__(self, "_done", done)

    def then(self, path: str) -> Graph:
        """The same with one more step, which reads the last output and makes the only one."""
        step = Step(path, self.outputs[-1:])
        return Graph((*self.steps, step), (self.given + len(self.steps),), self.given)

    def before_last(self) -> Graph:
        """The same without the last step, giving what that reads."""
        *steps, last = self.steps
        return Graph(tuple(steps), last.inputs, self.given)

    def run(self, module: nn.Module, *given: Tensor) -> list[Tensor]:
        """Calls the submodules of a module; returns the outputs.

        Raises:
            ValueError: there are more or fewer maps than go in.
        """
        if len(given) != self.given:
            raise ValueError(f"Expected {self.given} maps, got {len(given)}.")
        maps = list(given)
        for step, done in zip(self.steps, self._done, strict=True):
            maps.append(module.get_submodule(step.path)(*[maps[i] for i in step.inputs]))
            for i in done:
                maps[i] = None
        return [maps[i] for i in self.outputs]


def chain(paths: Sequence[str]) -> Graph:
    """Submodules that run one after another."""
    steps = tuple(Step(path, (number,)) for number, path in enumerate(paths))
    return Graph(steps, (len(steps),))
