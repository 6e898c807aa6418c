"""Buffers that say what they are for, and refuse to be replaced by those of another block."""

from collections.abc import Callable

from torch import Tensor, nn

from seaformer_kernels.ops._facts import Facts, disagreement, packed_facts


class SelfDescribing(nn.Module):
    """A module whose buffers tell more than their shape; `load_state_dict` compares all of it."""

    _facts_of: Callable[[Tensor], Facts] = staticmethod(packed_facts)

    def __init__(self, **buffers: Tensor):
        super().__init__()
        # Kept apart from the buffers, which may be moved to the meta device before they are loaded.
        self._facts = {name: self._facts_of(buffer) for name, buffer in buffers.items()}
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Tensor],
        prefix: str,
        local_metadata: dict,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name, expected in self._facts.items():
            given = state_dict.get(f"{prefix}{name}")
            if not isinstance(given, Tensor) or given.is_meta:
                continue
            try:
                fault = disagreement(expected, self._facts_of(given.detach().cpu().contiguous()))
            except ValueError as error:
                fault = str(error).removeprefix("state_dict: ")
            if fault:
                error_msgs.append(
                    f"{prefix}{name}: {fault}; load it into a model optimised as the one it is "
                    "from, or optimise the plain model again."
                )
                state_dict[f"{prefix}{name}"] = self._buffers[name]  # as it was
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
