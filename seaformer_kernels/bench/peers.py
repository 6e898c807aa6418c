"""Other ways to run a plain model for images of one size, in float32.

Each converts the model, once and for all machines where it has such a form, and loads the result
here for a number of threads. Resize and argmax, where the model has them, are in the graph.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Infer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Peer:
    """A runtime.

    Attributes:
        load: of what `convert` made, an image and a number of threads.
        convert: of a model in eval mode and an image; None if `load` takes the model itself.
        packages: that it imports.
        programs: any one of which it calls.
        slow: it takes a minute or more until it runs.
    """

    load: Callable[[Any, Tensor, int], Infer]
    convert: Callable[[nn.Module, Tensor], Any] | None = None
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    slow: bool = False

    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if self.programs and not any(map(shutil.which, self.programs)):
            missing.append(" or ".join(self.programs))
        return missing


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Nothing is printed, by child processes neither: converters print their progress."""
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for stream, before in zip((1, 2), saved, strict=True):
            os.dup2(before, stream)
            os.close(before)
        os.close(nowhere)


def load_eager(model: nn.Module, image: Tensor, threads: int) -> Infer:
    """The model as it is."""
    return model


def load_channels_last(model: nn.Module, image: Tensor, threads: int) -> Infer:
    """Weights and image in channels_last."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    channels_last = image.contiguous(memory_format=torch.channels_last)
    return lambda x: model(channels_last if x is image else x)


def load_compiled(model: nn.Module, image: Tensor, threads: int) -> Infer:
    """torch.compile with its weights as constants; compiled code is for a number of threads."""
    torch.compiler.reset()
    compiled = torch.compile(model)
    with torch._inductor.config.patch(freezing=True):
        compiled(image)
    return compiled


def to_onnx(model: nn.Module, image: Tensor) -> bytes:
    """The model as ONNX, by the older exporter: it folds batch norms into convolutions."""
    file = io.BytesIO()
    with _silence():
        torch.onnx.export(model, (image,), file, dynamo=False, opset_version=17)
    return file.getvalue()


def load_onnxruntime(model: bytes, image: Tensor, threads: int) -> Infer:
    """ONNX Runtime on the CPU, with all its graph optimisations."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # a thread of its own would run beside what is timed
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def load_openvino(model: bytes, image: Tensor, threads: int) -> Infer:
    """OpenVINO on the CPU; without the hint it may compute in bfloat16."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()

    def infer(x: Tensor) -> Tensor:
        outputs = request.infer({0: x.numpy()}, share_inputs=True, share_outputs=True)
        return torch.from_numpy(outputs[0])

    return infer


@dataclass(frozen=True)
class NcnnFiles:
    """What pnnx writes, and whether argmax is left to its user: ncnn has no layer for it."""

    param: str
    weights: bytes
    argmax: bool


def to_ncnn(model: nn.Module, image: Tensor) -> NcnnFiles:
    """The model for ncnn, float32, converted by pnnx; up to the resized logits."""
    import pnnx

    argmax = hasattr(model, "resized")
    with tempfile.TemporaryDirectory() as folder:
        # It names its files after this one.
        exported = model.resized if argmax else model
        with _silence():
            pnnx.export(exported, str(Path(folder, "model.pt")), (image,), fp16=False)
        param, weights = Path(folder, "model.ncnn.param"), Path(folder, "model.ncnn.bin")
        return NcnnFiles(param.read_text(), weights.read_bytes(), argmax)


def load_ncnn(files: NcnnFiles, image: Tensor, threads: int) -> Infer:
    """ncnn with float32 storage and arithmetic."""
    import ncnn
    import numpy as np

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        param, weights = Path(folder, "param"), Path(folder, "bin")
        param.write_text(files.param)
        weights.write_bytes(files.weights)
        for load, path in (net.load_param, param), (net.load_model, weights):
            if load(str(path)) != 0:
                raise RuntimeError(f"ncnn could not load the model's {path.name} from pnnx")

    def infer(x: Tensor) -> Tensor:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0].numpy()))
        _, output = extractor.extract("out0")
        result = torch.from_numpy(np.asarray(output))[None]
        return result.argmax(1) if files.argmax else result

    return infer


def to_executorch(model: nn.Module, image: Tensor) -> bytes:
    """The model for ExecuTorch, with what XNNPACK can do given to it."""
    with _silence(), torch.inference_mode(False), torch.no_grad():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        # Inference tensors cannot be exported.
        exported = torch.export.export(model, (image.clone(),))
        lowered = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        return bytes(lowered.to_executorch().buffer)


def load_executorch(model: bytes, image: Tensor, threads: int) -> Infer:
    """ExecuTorch; its pool of threads is one for the whole process."""
    with _silence():
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

        portable_lib._unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(model)
    method = program.load_method("forward")

    def infer(x: Tensor, program: object = program) -> Tensor:  # which has to outlive its method
        return method.execute([x])[0]

    return infer


PEERS = {
    "eager": Peer(load_eager),
    "eager_channels_last": Peer(load_channels_last),
    "compiled_frozen": Peer(load_compiled, programs=("g++", "clang++"), slow=True),
    "onnxruntime": Peer(load_onnxruntime, to_onnx, ("onnx", "onnxruntime")),
    "openvino": Peer(load_openvino, to_onnx, ("onnx", "openvino")),
    "ncnn": Peer(load_ncnn, to_ncnn, ("ncnn", "pnnx")),
    "executorch": Peer(load_executorch, to_executorch, ("executorch", "torchao"), slow=True),
}
