"""Other ways to run a plain model for images of one size, in an element type.

Each converts the model, once and for all machines where it has such a form, and loads the result
here for a type and a number of threads. Images are float32; what a runtime makes of them is its
own. Resize and argmax, where the model has them, are in the graph.
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
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnxruntime

Infer = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Peer:
    """A runtime.

    Attributes:
        load: of what `convert` made, an image, a number of threads and an element type.
        convert: of a model in eval mode and an image; None if `load` takes the model itself.
        packages: that it imports.
        programs: any one of which it calls.
        slow: it takes a minute or more until it runs.
        hinted: it may calculate in float32 whatever type it is told.
        only_float32: why it is given no other floating-point type.
        to_int8: of what `convert` made, and images to calibrate on; None if it has no int8 here.
    """

    load: Callable[[Any, Tensor, int, torch.dtype], Infer]
    convert: Callable[[nn.Module, Tensor], Any] | None = None
    packages: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    slow: bool = False
    hinted: bool = False
    only_float32: str = ""
    to_int8: Callable[[Any, list[Tensor]], Any] | None = None

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


def load_eager(model: nn.Module, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """The model, with an image of its type."""
    model, ready = copy.deepcopy(model).to(dtype), image.to(dtype)
    return lambda x: model(ready if x is image else x.to(dtype))


def load_channels_last(model: nn.Module, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """Weights and image in channels_last."""
    model = copy.deepcopy(model).to(memory_format=torch.channels_last)
    channels_last = image.contiguous(memory_format=torch.channels_last)
    infer = load_eager(model, channels_last, threads, dtype)
    return lambda x: infer(channels_last if x is image else x)


def load_compiled(model: nn.Module, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """torch.compile with its weights as constants; compiled code is for a number of threads."""
    torch.compiler.reset()
    compiled, ready = torch.compile(copy.deepcopy(model).to(dtype)), image.to(dtype)
    with torch._inductor.config.patch(freezing=True):
        compiled(ready)
    return lambda x: compiled(ready if x is image else x.to(dtype))


def to_onnx(model: nn.Module, image: Tensor) -> bytes:
    """The model as ONNX, by the older exporter: it folds batch norms into convolutions."""
    file = io.BytesIO()
    with _silence():
        torch.onnx.export(
            model,
            (image,),
            file,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["output"],
        )
    return file.getvalue()


class _Reader:
    """Hands images to ONNX Runtime's calibration, one after the other."""

    def __init__(self, images: list[Tensor]):
        self._images = iter(images)

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {"image": image.numpy()}


def to_int8_onnx(model: bytes, images: list[Tensor]) -> bytes:
    """An ONNX model with its convolutions between QuantizeLinear and DequantizeLinear: maps affine
    uint8, weights int8 by output channel, ranges minimum to maximum (ONNX Runtime's defaults).
    """
    with _silence(), tempfile.TemporaryDirectory() as folder:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        plain, prepared, made = (
            Path(folder, f"{name}.onnx") for name in ("plain", "prepared", "int8")
        )
        plain.write_bytes(model)
        quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(made),
            _Reader(images),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return made.read_bytes()


def load_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU, with all its graph optimisations."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # a thread of its own would run beside what is timed
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def load_onnxruntime(model: bytes, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """A session of ONNX Runtime; it takes and gives float32."""
    session = load_session(model, threads)
    return lambda x: torch.from_numpy(session.run(None, {"image": x.numpy()})[0])


def load_openvino(model: bytes, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """OpenVINO on the CPU; without the hint it may compute in bfloat16."""
    import openvino

    names = {torch.float32: "f32", torch.float16: "f16", torch.bfloat16: "bf16"}
    settings = {
        "INFERENCE_PRECISION_HINT": names.get(dtype, "f32"),  # of what is not int8
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


def load_ncnn(files: NcnnFiles, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """ncnn with storage and, where it has it, arithmetic of the type."""
    import ncnn
    import numpy as np

    net = ncnn.Net()
    net.opt.num_threads = threads
    half, brain = dtype == torch.float16, dtype == torch.bfloat16
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_storage = brain
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


def to_mnn(model: nn.Module, image: Tensor) -> bytes:
    """The model for MNN, float32, by way of ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "model.onnx"), Path(folder, "model.mnn")
        source.write_bytes(to_onnx(model, image))
        with _silence():
            # What the program mnnconvert calls, before it installs a package and reports to the
            # makers.
            from _tools import mnnconvert

            files = "--modelFile", str(source), "--MNNModel", str(target)
            mnnconvert(["mnnconvert", "-f", "ONNX", "--bizCode", "MNN", *files])
        return target.read_bytes()


def load_mnn(model: bytes, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
    """MNN's session on the CPU. Its module interface took ten times as long on x86."""
    import numpy as np

    with _silence(), tempfile.TemporaryDirectory() as folder:
        import MNN

        path = Path(folder, "model.mnn")
        path.write_bytes(model)
        interpreter = MNN.Interpreter(str(path))
        names = {torch.float32: "high", torch.float16: "low", torch.bfloat16: "low_bf16"}
        session = interpreter.createSession(
            {"backend": "CPU", "numThread": threads, "precision": names[dtype]}
        )
    layout = MNN.Tensor_DimensionType_Caffe  # NCHW
    source = interpreter.getSessionInput(session)
    output = interpreter.getSessionOutput(session)
    result = MNN.Tensor(output, layout)

    def infer(x: Tensor) -> Tensor:
        source.copyFrom(MNN.Tensor(tuple(x.shape), MNN.Halide_Type_Float, x.numpy(), layout))
        interpreter.runSession(session)
        output.copyToHostTensor(result)
        return torch.from_numpy(np.array(result.getNumpyData()))

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


def load_executorch(model: bytes, image: Tensor, threads: int, dtype: torch.dtype) -> Infer:
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
    "eager": Peer(load_eager, only_float32="eager_channels_last is there"),
    "eager_channels_last": Peer(load_channels_last),
    "compiled_frozen": Peer(load_compiled, programs=("g++", "clang++"), slow=True),
    "onnxruntime": Peer(
        load_onnxruntime,
        to_onnx,
        ("onnx", "onnxruntime"),
        only_float32="it converts other maps to float32 and back",
        to_int8=to_int8_onnx,
    ),
    "openvino": Peer(
        load_openvino, to_onnx, ("onnx", "openvino"), hinted=True, to_int8=to_int8_onnx
    ),
    "ncnn": Peer(load_ncnn, to_ncnn, ("ncnn", "pnnx"), hinted=True),
    "mnn": Peer(load_mnn, to_mnn, ("onnx", "MNN"), hinted=True),
    "executorch": Peer(
        load_executorch,
        to_executorch,
        ("executorch", "torchao"),
        slow=True,
        only_float32="its model is exported in float32",
    ),
}
