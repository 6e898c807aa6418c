"""Other runtimes that run a plain model for images of one size: float32, one thread.

Each converts the model once and then maps an image to the output. They work on NumPy arrays, which
share memory with tensors.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

Infer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Peer:
    """A runtime.

    Attributes:
        convert: of a model in eval mode and an image; imports the runtime.
        packages: that it imports.
        programs: any one of which it calls.
    """

    convert: Callable[[nn.Module, Tensor], Infer]
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if self.programs and not any(map(shutil.which, self.programs)):
            missing.append(" or ".join(self.programs))
        return missing


def to_onnx(model: nn.Module, image: Tensor) -> bytes:
    """The model as ONNX, by the older exporter: it folds batch norms into convolutions."""
    file = io.BytesIO()
    torch.onnx.export(model, (image,), file, dynamo=False, opset_version=17)
    return file.getvalue()


def compile_frozen(model: nn.Module, image: Tensor) -> Infer:
    """torch.compile with its weights as constants."""
    torch.compiler.reset()
    compiled = torch.compile(model)
    with torch._inductor.config.patch(freezing=True):
        compiled(image)
    return compiled


def onnxruntime(model: nn.Module, image: Tensor) -> Infer:
    """ONNX Runtime on the CPU, with all its graph optimisations."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        to_onnx(model, image), options, providers=["CPUExecutionProvider"]
    )
    (name,) = (entry.name for entry in session.get_inputs())
    return lambda x: torch.from_numpy(session.run(None, {name: x.numpy()})[0])


def openvino(model: nn.Module, image: Tensor) -> Infer:
    """OpenVINO on the CPU; without the hint it may compute in bfloat16."""
    import openvino

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(to_onnx(model, image)), "CPU", settings)
    request = compiled.create_infer_request()

    def infer(x: Tensor) -> Tensor:
        outputs = request.infer({0: x.numpy()}, share_inputs=True, share_outputs=True)
        return torch.from_numpy(outputs[0])

    return infer


def ncnn(model: nn.Module, image: Tensor) -> Infer:
    """ncnn, converted by pnnx, with float32 storage and arithmetic."""
    import ncnn
    import numpy as np
    import pnnx

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        # It names its files after this one.
        pnnx.export(model, str(Path(folder, "model.pt")), (image,), fp16=False)
        for load, name in (net.load_param, "model.ncnn.param"), (net.load_model, "model.ncnn.bin"):
            if load(str(Path(folder, name))) != 0:
                raise RuntimeError(f"ncnn: expected to load {name} from pnnx, got an error")

    def infer(x: Tensor) -> Tensor:
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x[0].numpy()))
        _, output = extractor.extract("out0")
        return torch.from_numpy(np.asarray(output))[None]

    return infer


PEERS = {
    "compiled_frozen": Peer(compile_frozen, programs=("g++", "clang++")),
    "onnxruntime": Peer(onnxruntime, ("onnx", "onnxruntime")),
    "openvino": Peer(openvino, ("onnx", "openvino")),
    "ncnn": Peer(ncnn, ("ncnn", "pnnx")),
}
