"""Reading a pickle as plain data: nothing in it is imported, and nothing called.

A pickle is a program for a stack machine. This machine knows containers, numbers and text only.
Where a pickle asks for a class or function, it gets the name (`Global`); where it asks for a call,
the caller's table of pure functions answers by that name, or else a `Foreign` stands for the result
and swallows whatever is put into it. `pickletools` decodes the opcodes.
"""

import pickletools
from collections import Counter
from collections.abc import Callable, Mapping
from typing import BinaryIO

_LONGEST_NAME = 400  # characters; a class in functions in classes gets far
# Python 2's names, which protocols up to 2 keep.
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}
# Functions whose first argument says what they make.
_MAKERS = {
    "copyreg._reconstructor",
    "copyreg.__newobj__",
    "copyreg.__newobj_ex__",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
}
_LISTS = {"builtins.list", "builtins.set", "builtins.frozenset", "collections.deque"}
_DICTS = {
    "builtins.dict",
    "collections.Counter",
    "collections.OrderedDict",
    "collections.defaultdict",
}


class Global:
    """The name of a class or function, in its place."""

    __slots__ = ("name",)

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return self.name


class Foreign:
    """Stands for an object that is not made.

    Attributes:
        name: of its class, or of the function that would have made it.
        is_module: whether its state is that of an nn.Module.
    """

    __slots__ = ("is_module", "name")

    def __init__(self, name: str):
        self.name = name
        self.is_module = False

    def __repr__(self) -> str:
        return self.name


class NotPure(Exception):
    """Raised by a function of the table for arguments it has no answer to."""


# From a list of positional arguments to the result.
Calls = Mapping[str, Callable[[tuple], object]]


class PickleReader:
    """Reads one pickle after the other from a file.

    Attributes:
        skipped: how many objects of each class or function were not made.
    """

    def __init__(self, calls: Calls, persistent: Callable[[object], object]):
        """
        Args:
            calls: functions that may be called, by dotted name; they raise `NotPure` to refuse.
            persistent: gives the object of a persistent id, or raises `NotPure`.
        """
        self.skipped: Counter[str] = Counter()
        self._calls = calls
        self._persistent = persistent

    def read(self, file: BinaryIO) -> object:
        """The next pickle's object; any Exception if the pickle is damaged."""
        self._stack: list = []
        self._marks: list[int] = []
        self._memo: dict[int, object] = {}
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name in _PUSHES:
                self._stack.append(argument)
            elif opcode.name != "STOP":
                _ACTIONS[opcode.name](self, argument)
        return self._stack.pop()

    def _since_mark(self) -> list:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self, _: None) -> None:
        # Protocol 0 takes back a mark so.
        on_mark = self._marks and self._marks[-1] == len(self._stack)
        (self._marks if on_mark else self._stack).pop()

    def _collapse(self, count: int) -> None:
        start = len(self._stack) - count
        if start < 0:
            raise ValueError("a tuple of more than there is")
        self._stack[start:] = [tuple(self._stack[start:])]

    def _push_global(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a class whose name is no text")
        if len(module) + len(name) > _LONGEST_NAME:
            raise ValueError("a class with an endless name")
        self._stack.append(Global(f"{_RENAMED.get(module, module)}.{name}"))

    def _stack_global(self, _: None) -> None:
        name = self._stack.pop()
        self._push_global(self._stack.pop(), name)

    def _call(self, callee: object, arguments: object) -> object:
        name = callee.name if isinstance(callee, Global | Foreign) else type(callee).__name__
        positional = arguments if isinstance(arguments, tuple) else ()
        if isinstance(callee, Global):
            try:
                if name in _LISTS | _DICTS:
                    return _container(name, positional)
                if name in self._calls:
                    return self._calls[name](positional)
            except NotPure:
                pass
        if name in _MAKERS and positional and isinstance(positional[0], Global):
            name = positional[0].name
        return self._foreign(name)

    def _foreign(self, name: str) -> Foreign:
        self.skipped[name] += 1
        return Foreign(name)

    def _reduce(self, _: None) -> None:
        arguments = self._stack.pop()
        self._stack.append(self._call(self._stack.pop(), arguments))

    def _new_with_keywords(self, _: None) -> None:
        self._stack.pop()
        self._reduce(None)

    def _instance(self, name: str) -> None:
        arguments = tuple(self._since_mark())
        self._push_global(*name.split(" ", 1))
        self._stack.append(self._call(self._stack.pop(), arguments))

    def _object(self, _: None) -> None:
        callee, *arguments = self._since_mark()
        self._stack.append(self._call(callee, tuple(arguments)))

    def _build(self, _: None) -> None:
        state = self._stack.pop()
        made = self._stack[-1]
        if isinstance(made, Foreign) and isinstance(state, dict):
            made.is_module = "_parameters" in state and "_modules" in state

    def _extend(self, items: list) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _update(self, items: list) -> None:
        if isinstance(self._stack[-1], dict):
            self._stack[-1].update(_as_dict(items))

    def _set_item(self, _: None) -> None:
        value = self._stack.pop()
        key = self._stack.pop()
        self._update([key, value])

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _persist(self, identity: object) -> None:
        try:
            self._stack.append(self._persistent(identity))
        except NotPure:
            self._stack.append(self._foreign("persistent object"))


def _container(name: str, arguments: tuple) -> object:
    """What the call of a container's class makes: its argument, not a copy of it, as many calls
    with one argument would make a small file fill the memory."""
    if name == "collections.defaultdict":
        arguments = arguments[1:]
    content = arguments[0] if arguments else None
    if name in _LISTS:
        return content if isinstance(content, list) else []
    if isinstance(content, list) and all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in content
    ):
        pairs = [item for pair in content for item in pair]
        content.clear()
        return _as_dict(pairs)
    return content if isinstance(content, dict) else {}


def _as_dict(items: list) -> dict:
    """Of keys and values in turns."""
    if len(items) % 2:
        raise ValueError("a dictionary with a key that has no value")
    return {_as_key(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _as_key(key: object) -> object:
    """A key that is quick to hash and compare: a tuple of tuples of tuples would not be."""
    if isinstance(key, str | bytes | float | bool | None) or (
        isinstance(key, int) and key.bit_length() <= 64
    ):
        return key
    return key if isinstance(key, Global | Foreign) else Foreign(type(key).__name__)


_PUSHES = {
    name
    for names in (
        "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT",
        "STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8",
        "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8",
    )
    for name in names.split()
}
_ACTIONS: dict[str, Callable[[PickleReader, object], object]] = {
    "PROTO": lambda self, _: None,
    "FRAME": lambda self, _: None,
    "NONE": lambda self, _: self._stack.append(None),
    "NEWTRUE": lambda self, _: self._stack.append(True),
    "NEWFALSE": lambda self, _: self._stack.append(False),
    "EMPTY_TUPLE": lambda self, _: self._stack.append(()),
    "EMPTY_LIST": lambda self, _: self._stack.append([]),
    "EMPTY_DICT": lambda self, _: self._stack.append({}),
    "EMPTY_SET": lambda self, _: self._stack.append([]),
    "TUPLE": lambda self, _: self._stack.append(tuple(self._since_mark())),
    "TUPLE1": lambda self, _: self._collapse(1),
    "TUPLE2": lambda self, _: self._collapse(2),
    "TUPLE3": lambda self, _: self._collapse(3),
    "LIST": lambda self, _: self._stack.append(self._since_mark()),
    "FROZENSET": lambda self, _: self._stack.append(self._since_mark()),
    "DICT": lambda self, _: self._stack.append(_as_dict(self._since_mark())),
    "APPEND": lambda self, _: self._extend([self._stack.pop()]),
    "APPENDS": lambda self, _: self._extend(self._since_mark()),
    "ADDITEMS": lambda self, _: self._extend(self._since_mark()),
    "SETITEM": PickleReader._set_item,
    "SETITEMS": lambda self, _: self._update(self._since_mark()),
    "MARK": lambda self, _: self._marks.append(len(self._stack)),
    "POP": PickleReader._pop,
    "POP_MARK": lambda self, _: self._since_mark(),
    "DUP": lambda self, _: self._stack.append(self._stack[-1]),
    "PUT": PickleReader._put,
    "BINPUT": PickleReader._put,
    "LONG_BINPUT": PickleReader._put,
    "MEMOIZE": lambda self, _: self._put(len(self._memo)),
    "GET": lambda self, index: self._stack.append(self._memo[index]),
    "BINGET": lambda self, index: self._stack.append(self._memo[index]),
    "LONG_BINGET": lambda self, index: self._stack.append(self._memo[index]),
    "GLOBAL": lambda self, name: self._push_global(*name.split(" ", 1)),
    "STACK_GLOBAL": PickleReader._stack_global,
    "REDUCE": PickleReader._reduce,
    "NEWOBJ": PickleReader._reduce,
    "NEWOBJ_EX": PickleReader._new_with_keywords,
    "INST": PickleReader._instance,
    "OBJ": PickleReader._object,
    "BUILD": PickleReader._build,
    # Numbers that stand for classes: the process's own list of them is not looked at.
    "EXT1": lambda self, code: self._push_global("extension", str(code)),
    "EXT2": lambda self, code: self._push_global("extension", str(code)),
    "EXT4": lambda self, code: self._push_global("extension", str(code)),
    "PERSID": PickleReader._persist,
    "BINPERSID": lambda self, _: self._persist(self._stack.pop()),
    "NEXT_BUFFER": lambda self, _: self._stack.append(self._foreign("buffer")),
    "READONLY_BUFFER": lambda self, _: None,
}
