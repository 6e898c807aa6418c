"""Checkpoint files: what they are, reading them without running anything, filling a model.

file_kind      what a file is by its content; a sentence for each kind that is no checkpoint
pickle_reader  a pickle as plain data; it imports and calls nothing
tensors        what torch's pickles say of a tensor, and reading its numbers from the file
torch_file     the files of torch.save, in its three formats
reader         the state dict of any checkpoint file
matching       which tensor of a file goes to which of a model
load           load_checkpoint and its report
"""

from seaformer_kernels.models.checkpoint.error import CheckpointError
from seaformer_kernels.models.checkpoint.load import CheckpointReport, load_checkpoint

__all__ = ["CheckpointError", "CheckpointReport", "load_checkpoint"]
