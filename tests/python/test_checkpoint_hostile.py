"""Pickles that would run code, overflow or eat the memory: nothing of that happens."""

from __future__ import annotations

import copyreg
import io
import pickle
import resource
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest
import torch
from canary import watched
from checkpoint_zoo import Toy, random_state, saved, spliced, zipped

from seaformer_kernels.models import CheckpointError, load_checkpoint

STATE = random_state(Toy())
WEIGHT = "backbone.0.c.weight"  # [4, 3, 1, 1]
SHELL = b"X\x04\0\0\0exit"


class Trap:
    """Importable, and its every use is a fault."""

    sprung = False

    def __new__(cls, *args: object) -> Trap:
        cls.sprung = True
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        Trap.sprung = True

    def __setitem__(self, key: object, value: object) -> None:
        Trap.sprung = True

    def extend(self, items: object) -> None:
        Trap.sprung = True

    append = extend


def text(content: str | bytes) -> bytes:
    data = content if isinstance(content, bytes) else content.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def blob(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


TRAP = f"c{__name__}\nTrap\n".encode()
NESTED = saved({"x": Trap}, _use_new_zipfile_serialization=False)

CODE = {
    "reduce": b"cposix\nsystem\n(" + SHELL + b"tR",
    "reduce_python2": b"c__builtin__\neval\n(" + SHELL + b"tR",
    "inst": b"(" + SHELL + b"iposix\nsystem\n",
    "obj": b"(cposix\nsystem\n" + SHELL + b"o",
    "newobj": b"cbuiltins\nexec\n(" + SHELL + b"t\x81",
    "newobj_ex": b"csubprocess\nPopen\n(" + SHELL + b"t}X\x05\0\0\0shellI01\ns\x92",
    "stack_global": text("posix") + text("system") + b"\x93(" + SHELL + b"tR",
    "dotted": text("builtins") + text("__import__.__call__") + b"\x93(" + SHELL + b"tR",
    "import_only": b"cthis\ns\n",
    "getattr_chain": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(X\x02\0\0\0ostRX\x06\0\0\0"
    b"systemtR(" + SHELL + b"tR",
    "extension": b"\x82\xc8(" + SHELL + b"tR",
    "partial": b"cfunctools\npartial\n(cposix\nsystem\n" + SHELL + b"tR)R",
    "trap": TRAP + b")R",
    "trap_newobj": TRAP + b")\x81",
    "trap_setstate": TRAP + b")\x81}b",
    "trap_slots": TRAP + b")\x81(N}X\x06\0\0\0sprungI01\nstb",
    "trap_items": TRAP + b")R(X\x01\0\0\0aX\x01\0\0\0bu",
    "trap_item": TRAP + b")RX\x01\0\0\0aX\x01\0\0\0bs",
    "trap_extend": TRAP + b")R(X\x01\0\0\0ae",
    "trap_append": TRAP + b")RX\x01\0\0\0aa",
    "trap_class_state": TRAP + b"}X\x06\0\0\0sprungI01\nsb",
    "reconstructor": b"ccopyreg\n_reconstructor\n(" + TRAP + b"cbuiltins\nobject\nNtR}b",
    "newobj_function": b"ccopyreg\n__newobj__\n(" + TRAP + b"tR",
    "default_factory": b"ccollections\ndefaultdict\n(" + TRAP + b"tR",
    "ordered_dict_state": b"ccollections\nOrderedDict\n)R}X\x09\0\0\0__class__" + TRAP + b"sb",
    "codec": b"c_codecs\nencode\n(X\x01\0\0\0aX\x05\0\0\0rot13tR",
    "load_from_bytes": b"ctorch.storage\n_load_from_bytes\n(" + blob(NESTED) + b"tR",
    "load_plain_from_bytes": b"ctorch.storage\n_load_from_bytes\n("
    + blob(b"\x80\x02" + TRAP + b")R.")
    + b"tR",
    "load_from_bytes_twice": b"ctorch.storage\n_load_from_bytes\n("
    + blob(b"\x80\x02ctorch.storage\n_load_from_bytes\n(" + text("x") + b"tR.")
    + b"tR",
    "torch_load": b"ctorch\nload\n(" + SHELL + b"tR",
    "torch_library": b"ctorch._ops\nload_library\n(" + SHELL + b"tR",
    "subclass_of_function": b"ctorch._tensor\n_rebuild_from_type_v2\n(cposix\nsystem\nN("
    + SHELL
    + b"tNtR",
    "parameter_of_text": b"ctorch._utils\n_rebuild_parameter\n(" + SHELL + b"I01\nNtR",
    "tensor_of_nothing": b"ctorch._utils\n_rebuild_tensor_v2\n(" + 6 * b"N" + b"tR",
    "no_arguments": b"ctorch._utils\n_rebuild_tensor_v2\n)R",
    "call_of_text": SHELL + b")R",
    "call_with_a_list": b"cposix\nsystem\n](" + SHELL + b"eR",
    "persistent_number": b"K\x01Q",
    "persistent_text": b"P12\n",
    "persistent_list": b"]Q",
    "persistent_short": b"(X\x07\0\0\0storagetQ",
    "persistent_function": b"(X\x07\0\0\0storagecposix\nsystem\nX\x01\0\0\x000NK\x01tQ",
    "persistent_unknown_type": b"(X\x07\0\0\0storagectorch\nOddStorage\nX\x01\0\0\x000NK\x01tQ",
    "persistent_module": b"(X\x06\0\0\0modulecposix\nsystem\nNNtQ",
    "persistent_foreign": TRAP + b")RQ",
    "buffer": b"\x97\x98",
}


@pytest.fixture(autouse=True)
def extension() -> Iterator[None]:
    copyreg.add_extension("posix", "system", 200)
    load_checkpoint(Toy(), io.BytesIO(spliced(STATE, b"N")))  # imports a codec on first use
    Trap.sprung = False
    yield
    copyreg.remove_extension("posix", "system", 200)


@pytest.mark.parametrize("name", CODE)
def test_nothing_runs(name):
    content = io.BytesIO(spliced(STATE, CODE[name]))
    model = Toy()
    with watched() as events:
        report = load_checkpoint(model, content)
    assert events == [] and not Trap.sprung
    assert all(torch.equal(value, STATE[n]) for n, value in model.state_dict().items())
    silent = {"default_factory", "ordered_dict_state", "codec", "import_only", "trap_class_state"}
    assert report.skipped or name in silent, "a call has to be told"


def test_the_traps_would_spring():
    """What Python's own reader does with them."""
    with watched() as events:
        pickle.loads(b"\x80\x02" + CODE["trap_setstate"] + b".")
    assert Trap.sprung
    assert any(event.startswith("pickle.find_class") for event in events)


@pytest.mark.parametrize("name", ["reduce", "trap_setstate", "import_only"])
def test_code_in_place_of_everything(name):
    plain = b"\x80\x02" + CODE[name] + b"."
    for content in (plain, zipped({"archive/data.pkl": plain, "archive/version": b"3"})):
        with watched() as events, pytest.raises(CheckpointError, match="dictionary of tensors"):
            load_checkpoint(Toy(), io.BytesIO(content))
        assert events == [] and not Trap.sprung


def with_weight(fragment: bytes) -> bytes:
    """A checkpoint with a description of the first weight, over a storage of 12 floats."""
    data = (
        b"\x80\x02}("
        + b"".join(
            text(name) + (fragment if name == WEIGHT else _described(i, value))
            for i, (name, value) in enumerate(STATE.items())
        )
        + b"u."
    )
    storages = {f"archive/data/{i}": v.numpy().tobytes() for i, v in enumerate(STATE.values())}
    return zipped({"archive/data.pkl": data, **storages})


def _described(index: int, value: torch.Tensor, layout: bytes | None = None) -> bytes:
    kind = b"LongStorage" if value.dtype == torch.int64 else b"FloatStorage"
    place = text("storage") + b"ctorch\n" + kind + b"\n" + text(str(index)) + text("cpu")
    default = number(0) + sizes(value.shape) + sizes(value.stride())
    function = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return (
        function + b"(" + place + number(value.numel()) + b"tQ" + (layout or default) + b"\x89}tR"
    )


def number(value: int) -> bytes:
    return f"L{value}L\n".encode()


def sizes(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


SHAPE, STRIDE = sizes((4, 3, 1, 1)), sizes((3, 1, 1, 1))


def test_a_described_weight_is_read():
    model = Toy()
    weight = _described(0, STATE[WEIGHT], number(0) + SHAPE + STRIDE)
    assert load_checkpoint(model, io.BytesIO(with_weight(weight))).loaded == len(STATE)
    assert torch.equal(model.state_dict()[WEIGHT], STATE[WEIGHT])


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (number(1) + SHAPE + STRIDE, "reaches beyond storage 0"),
        (number(2**62) + SHAPE + STRIDE, "reaches beyond storage 0"),
        (number(2**64) + SHAPE + STRIDE, "_rebuild_tensor_v2"),
        (number(-1) + SHAPE + STRIDE, "_rebuild_tensor_v2"),
        (b"\x88" + SHAPE + STRIDE, "_rebuild_tensor_v2"),
        (b"N" + SHAPE + STRIDE, "_rebuild_tensor_v2"),
        (number(0) + SHAPE + sizes((4, 1, 1, 1)), "reaches beyond storage 0"),
        (number(0) + SHAPE + sizes((2**62, 1, 1, 1)), "reaches beyond storage 0"),
        (number(0) + SHAPE + sizes((-3, 1, 1, 1)), "_rebuild_tensor_v2"),
        (number(0) + SHAPE + sizes((1,)), "_rebuild_tensor_v2"),
        (number(0) + sizes((2**40,)) + sizes((0,)), "1 mis-shaped"),
        (number(0) + sizes((2**62, 2**62)) + sizes((1, 1)), "1 mis-shaped"),
        (number(0) + sizes((1,) * 65) + sizes((1,) * 65), "_rebuild_tensor_v2"),
        (number(0) + text("sizes") + STRIDE, "_rebuild_tensor_v2"),
        (number(0) + b"(G?\xf0\0\0\0\0\0\0t(K\x01t", "_rebuild_tensor_v2"),
    ],
)
def test_tensors_beyond_their_storage(layout, message):
    content = io.BytesIO(with_weight(_described(0, STATE[WEIGHT], layout)))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(Toy(), content)


def test_storages_that_are_not_there():
    weight = _described(99, STATE[WEIGHT])
    with pytest.raises(CheckpointError, match="beyond storage 99, or there is none"):
        load_checkpoint(Toy(), io.BytesIO(with_weight(weight)))


def test_a_storage_that_claims_more_than_the_file_holds():
    content = saved(STATE, _use_new_zipfile_serialization=False)
    weight = struct.pack("<q", 12) + STATE[WEIGHT].numpy().tobytes()
    assert content.count(weight) == 1
    for count in (11, 13, 2**40, 2**62, -1, -(2**62)):
        claim = content.replace(weight, struct.pack("<q", count) + weight[8:])
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_checkpoint(Toy(), io.BytesIO(claim))


N = 6_000
BOMBS = {
    "deep_lists": N * b"(" + N * b"l",
    "deep_tuples": b")" + 20 * N * b"\x85",
    "deep_key": b"}" + b")" + 20 * N * b"\x85" + b"K\x01s",
    "wide_key": b"})" + 60 * b"2\x86" + b"K\x01s",
    "laughs": b"]" + 60 * b"2\x86",
    "cycle": b"]r\xff\xff\0\0j\xff\xff\0\0aj\xff\xff\0\0a",
    "dictionary_of_itself": b"}r\xff\xff\0\0" + text("model") + b"j\xff\xff\0\0s",
    "marks": N * b"(" + (N - 1) * b"1" + b"t",
    "duplicates": b"(" + SHELL + 20 * N * b"2" + b"t",
    "long": b"\x8b" + struct.pack("<i", N) + N * b"\x7f",
    "huge_memo": b"Nr\xff\xff\xff\xff",
    "frame": b"\x95" + 8 * b"\x7f" + b"N",
    "same_container": b"((" + N * b"N" + b"lr\xff\xff\0\0"
    b"ccollections\ndeque\nr\xfe\xff\0\0" + N * b"j\xfe\xff\0\0(j\xff\xff\0\0tR" + b"t",
    "same_pairs": b"((" + N * b"(NNt" + b"lr\xff\xff\0\0"
    b"ccollections\nOrderedDict\nr\xfe\xff\0\0" + N * b"j\xfe\xff\0\0(j\xff\xff\0\0tR" + b"t",
    "same_bytes": b"(" + text(N * "a") + b"r\xff\xff\0\0"
    b"c_codecs\nencode\nr\xfe\xff\0\0" + N * b"j\xfe\xff\0\0(j\xff\xff\0\0tR" + b"t",
    "same_nested": b"(" + blob(NESTED + N * b"a") + b"r\xff\xff\0\0ctorch.storage\n"
    b"_load_from_bytes\nr\xfe\xff\0\0" + N * b"j\xfe\xff\0\0(j\xff\xff\0\0tR" + b"t",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name):
    content = io.BytesIO(spliced(STATE, BOMBS[name]))
    start = time.perf_counter()
    load_checkpoint(Toy(), content)
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("name", ["same_container", "same_pairs", "same_bytes", "same_nested"])
def test_bombs_do_not_multiply_memory(name):
    content = io.BytesIO(spliced(STATE, BOMBS[name]))
    tracemalloc.start()
    try:
        load_checkpoint(Toy(), content)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "fragment",
    [
        b"X\xff\xff\xff\x7fshort",
        b"\x8d" + 8 * b"\x7f" + b"x",
        b"\x8e" + 8 * b"\xff",
        b"\x96\0\0\0\0\0\0\x10\0",
        b"\x8b\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"I" + 5000 * b"9" + b"\n",
        text("a" * 500) + text("b") + b"\x93",
        b"N" + text("b") + b"\x93",
        b"tttt",
        b"000000",
        b"h\xfe",
        b"\x05",
    ],
)
def test_damaged_pickles(fragment):
    content = io.BytesIO(spliced(STATE, fragment))
    with watched() as events, pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(Toy(), content)
    assert events == []


def test_a_compressed_bomb_is_refused_before_it_unfolds():
    data = with_weight(_described(0, STATE[WEIGHT], number(0) + SHAPE + sizes((2**26, 1, 1, 1))))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["archive/data/0"] = bytes(2**20)
    bomb = zipped(members, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(io.BytesIO(bomb)) as archive:
        packed = archive.getinfo("archive/data/0").compress_size
    sizes_of = struct.Struct("<II")
    assert bomb.count(sizes_of.pack(packed, 2**20)) == 2  # before the record, and in the list
    bomb = bomb.replace(sizes_of.pack(packed, 2**20), sizes_of.pack(packed, 2**31))
    with pytest.raises(CheckpointError, match="a compressed record of an enormous size"):
        load_checkpoint(Toy(), io.BytesIO(bomb))


def test_claims_cost_no_memory(tmp_path):
    """A pickle in the file's own stream that claims terabytes."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for claim in (b"\x8e" + struct.pack("<Q", 2**42), b"\x96" + struct.pack("<Q", 2**33)):
        (tmp_path / "claim.pth").write_bytes(b"\x80\x05" + claim + bytes(100))
        with pytest.raises(CheckpointError, match="cannot be read"):
            load_checkpoint(Toy(), tmp_path / "claim.pth")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
