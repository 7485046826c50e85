"""What completion and type checkers know of a network on the board; see __init__.pyi."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

_Buffer: TypeAlias = Any

class Network:
    """A network that is ready to run."""

    input: memoryview
    output: memoryview
    input_shape: tuple[int, ...]
    input_dtype: str
    input_scale: float
    input_zero_point: int
    output_shape: tuple[int, ...]
    output_dtype: str
    output_scale: float
    output_zero_point: int
    labels: tuple[str, ...]
    steps: tuple[Any, ...]
    weights: Literal["in place", "ram", "stream"]
    def __init__(
        self,
        source: _Buffer,
        backend: Literal["thumb", "viper", "portable"] | None = None,
        weights: Literal["auto", "ram", "stream"] = "auto",
        sha256: str | bytes | None = None,
    ) -> None: ...
    def run(self, x: _Buffer | None = None) -> memoryview: ...
    def profile(
        self, x: _Buffer | None = None, clock: tuple[Callable[[], Any], Callable[[Any, Any], Any]] | None = None
    ) -> list[tuple[str, tuple[int, ...], int, Any, str]]: ...
    def memory(self) -> dict[str, Any]: ...
    def close(self) -> None: ...

def load(
    source: _Buffer,
    backend: Literal["thumb", "viper", "portable"] | None = None,
    weights: Literal["auto", "ram", "stream"] = "auto",
    sha256: str | bytes | None = None,
) -> Network: ...
