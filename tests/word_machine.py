"""A 32-bit machine for viper code, in Python: words wrap, loads are aligned, every access is inside a buffer.

The real MicroPython of the tests has 64-bit registers, where a sum that passes 32 bits or a
halfword at an odd address goes unnoticed. Here backends/viper_stages.py is executed as Python, its functions
on words and pointers that behave as on a Cortex-M0, and any slip is an exception.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import ucorr.backends


class Word(int):
    """A signed 32-bit register."""

    def __new__(cls, value: int) -> Word:
        return super().__new__(cls, (value + (1 << 31)) % (1 << 32) - (1 << 31))


def _wrapped(name: str) -> Callable[..., Any]:
    plain = getattr(int, name)

    def operation(self: Word, *others: Any) -> Any:
        if name in ("__lshift__", "__rshift__") and not 0 <= others[0] < 32:
            raise ArithmeticError(f"a shift by {others[0]}, which cores treat differently")
        result = plain(self, *others)
        return result if result is NotImplemented else Word(result)

    return operation


for _name in ("add", "sub", "mul", "and", "or", "xor", "lshift", "rshift"):
    setattr(Word, f"__{_name}__", _wrapped(f"__{_name}__"))
    if "shift" not in _name:
        setattr(Word, f"__r{_name}__", _wrapped(f"__r{_name}__"))


class Memory:
    """Buffers at addresses of their own, with room between them that nothing may touch."""

    def __init__(self) -> None:
        self.buffers: list[tuple[int, memoryview]] = []
        self.starts: dict[int, int] = {}
        self.end = 0x2000_0000

    def place(self, buffer: Any, misalign: int = 0) -> int:
        """The address of a buffer; the first time it gets one, `misalign` bytes off a word."""
        if id(buffer) not in self.starts:
            start = self.starts[id(buffer)] = self.end + 64 + misalign
            view = memoryview(buffer).cast("B")
            self.buffers.append((start, view))
            self.end = (start + len(view) + 63) // 64 * 64
        return self.starts[id(buffer)]

    def at(self, address: int, size: int) -> memoryview:
        if address % size:
            raise MemoryError(f"an access of {size} bytes at {address:#x}, which is not aligned")
        for start, view in self.buffers:
            if start <= address and address + size <= start + len(view):
                return view[address - start : address - start + size]
        raise MemoryError(f"an access of {size} bytes at {address:#x}, outside every buffer")


memory = Memory()


class Pointer:
    """What viper's ptr8, ptr16 and ptr32 make of a buffer, a pointer or a word; bytes and halfwords load
    without sign."""

    size = 1

    def __init__(self, where: Any) -> None:
        self.address = address_of(where) if isinstance(where, (int, Pointer)) else Word(memory.place(where))

    def __getitem__(self, index: int) -> Word:
        return Word(int.from_bytes(memory.at(self.address + index * self.size, self.size), "little"))

    def __setitem__(self, index: int, value: int) -> None:
        bits = (value % (1 << (8 * self.size))).to_bytes(self.size, "little")
        memory.at(self.address + index * self.size, self.size)[:] = bits


class Pointer16(Pointer):
    size = 2


class Pointer32(Pointer):
    size = 4


def viper(function: Callable[..., Any]) -> Callable[..., None]:
    """A viper function: arguments become what its annotations say."""

    def call(*arguments: Any) -> None:
        names = function.__code__.co_varnames
        kinds = [function.__annotations__.get(name, lambda value: value) for name in names]
        function(*[kind(argument) for kind, argument in zip(kinds, arguments, strict=False)])

    return call


def address_of(pointer: Any) -> Word:
    """Viper's int(): the address of a pointer, or the word itself."""
    return Word(pointer.address if isinstance(pointer, Pointer) else pointer)


def load(*names: str) -> ModuleType:
    """The last of some modules of backends, which imports the others, as this machine executes them."""
    with patch.dict(sys.modules, micropython=SimpleNamespace(viper=viper, const=lambda value: value)):
        for name in names:
            path = Path(ucorr.backends.__file__).with_name(f"{name}.py")
            spec = importlib.util.spec_from_file_location(f"ucorr.backends.{name}", path)
            module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
            vars(module).update(ptr8=Pointer, ptr16=Pointer16, ptr32=Pointer32, int=address_of)
            spec.loader.exec_module(module)
            module.sys = SimpleNamespace(maxsize=0x7FFFFFFF)
    return module
