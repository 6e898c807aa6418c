"""Models as folders that others can load: `config.json` and `model.safetensors`.

facts     what users of a trained model need beside its weights
config    config.json: what it holds, reading and writing it
quantization  what it says of models of prepare_qat
packaged  the weights that come with the package
save      save_pretrained
load      from_pretrained
"""

from seaformer_kernels.models.pretrained.facts import ModelFacts
from seaformer_kernels.models.pretrained.load import from_pretrained
from seaformer_kernels.models.pretrained.packaged import list_pretrained
from seaformer_kernels.models.pretrained.save import save_pretrained

__all__ = ["ModelFacts", "from_pretrained", "list_pretrained", "save_pretrained"]
