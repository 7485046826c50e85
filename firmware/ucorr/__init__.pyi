"""What completion and type checkers know of ucorr, whose names are imported where they are used.

Boards do without this file. tests/test_stubs.py holds names, parameters and defaults against the modules.
"""

from array import array
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from .network import load as load
from .version import __version__ as __version__

_Buffer: TypeAlias = Any  # whatever has the buffer protocol: bytes, bytearray, array, memoryview, a NumPy array
_Kernel: TypeAlias = Any  # nested sequences, an array, or bytes; of ints or floats
_Backend: TypeAlias = Literal["thumb", "viper", "portable"] | None
_Dtype: TypeAlias = Literal["b", "B", "h", "H"]
_OutDtype: TypeAlias = Literal["b", "B", "h", "H", "i"]
_Pair: TypeAlias = int | tuple[int, int]  # y, x
_Pads: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)
_Padding: TypeAlias = Literal["valid", "same"] | _Pads
_Border: TypeAlias = Literal["constant", "edge", "reflect"]
_PerChannel: TypeAlias = int | Sequence[int] | None
_Bias: TypeAlias = float | Sequence[float] | None
_Accumulator: TypeAlias = Literal["int32", "int64"] | None
_Rounding: TypeAlias = Literal["double", "single"]
_Lags: TypeAlias = int | range | tuple[int, int]  # -n..n, or the first and the last one

class Spec:
    """One layer, checked: what every option means. See spec.py."""

    input_shape: tuple[int, int, int]
    kernel_shape: tuple[int, int, int, int]
    out_shape: tuple[int, int, int]
    padding: _Pads
    bound: tuple[int, int]
    kind: str
    wide: bool
    taps: int
    weights_bytes: int
    macs: int
    def __init__(
        self,
        input_shape: Sequence[int],
        kernel_shape: Sequence[int],
        weights: Any,
        dtype: _Dtype = "b",
        out_dtype: _OutDtype = "i",
        stride: _Pair = 1,
        dilation: _Pair = 1,
        padding: _Padding = "valid",
        border: _Border = "constant",
        border_value: int | None = None,
        groups: int = 1,
        pitch: int | None = None,
        bias: _PerChannel = None,
        multiplier: _PerChannel = None,
        shift: _PerChannel = None,
        input_zero_point: int = 0,
        kernel_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        accumulator: _Accumulator = None,
        rounding: _Rounding = "double",
    ) -> None: ...
    def fields(self) -> dict[str, Any]: ...

class _Call:
    """What a layer and a layer without weights have in common."""

    backend: str
    out_shape: tuple[int, ...]
    scratch_bytes: int
    weight_bytes: int

class Layer(_Call):
    """A Spec, bound to a backend: layer(x, out) computes out from x and returns it."""

    spec: Spec
    budget: int | None
    shift: array[int] | None
    worst_error: float
    @property
    def kernel(self) -> array[int]: ...
    @property
    def multiplier(self) -> array[int] | None: ...
    def __init__(self, spec: Spec, backend: _Backend = None, budget: int | None = None) -> None: ...
    def __call__(self, x: _Buffer, out: _Buffer) -> Any: ...

class Correlate2D(Layer):
    """Image filter of one channel."""

    def __init__(
        self,
        kernel: _Kernel,
        shape: _Pair,
        kernel_shape: Sequence[int] | None = None,
        backend: _Backend = None,
        *,
        dtype: _Dtype = "b",
        out_dtype: _OutDtype = "i",
        stride: _Pair = 1,
        dilation: _Pair = 1,
        padding: _Padding = "valid",
        border: _Border = "constant",
        border_value: int = 0,
        pitch: int | None = None,
        bias: _Bias = None,
        multiplier: _PerChannel = None,
        shift: _PerChannel = None,
        input_zero_point: int = 0,
        kernel_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        accumulator: _Accumulator = None,
        rounding: _Rounding = "double",
        budget: int | None = None,
    ) -> None: ...

class Correlate1D(Layer):
    """Signal filter; stream=True: the signal comes in blocks."""

    def __init__(
        self,
        kernel: _Kernel,
        length: int,
        stride: int = 1,
        dilation: int = 1,
        padding: Literal["valid", "same"] | tuple[int, int] = "valid",
        backend: _Backend = None,
        stream: bool = False,
        *,
        dtype: _Dtype = "b",
        out_dtype: _OutDtype = "i",
        border: _Border = "constant",
        border_value: int = 0,
        pitch: int | None = None,
        bias: _Bias = None,
        multiplier: _PerChannel = None,
        shift: _PerChannel = None,
        input_zero_point: int = 0,
        kernel_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        accumulator: _Accumulator = None,
        rounding: _Rounding = "double",
        budget: int | None = None,
    ) -> None: ...
    def reset(self) -> None: ...

class Conv2D(Layer):
    """Convolutional layer, TFLite's CONV_2D."""

    def __init__(
        self,
        kernel: _Kernel,
        shape: _Pair,
        kernel_shape: Sequence[int] | None = None,
        groups: int = 1,
        backend: _Backend = None,
        *,
        dtype: _Dtype = "b",
        out_dtype: _OutDtype = "i",
        stride: _Pair = 1,
        dilation: _Pair = 1,
        padding: _Padding = "valid",
        border: _Border = "constant",
        border_value: int | None = None,
        pitch: int | None = None,
        bias: _Bias = None,
        multiplier: _PerChannel = None,
        shift: _PerChannel = None,
        input_zero_point: int = 0,
        kernel_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        accumulator: _Accumulator = None,
        rounding: _Rounding = "double",
        budget: int | None = None,
    ) -> None: ...

class DepthwiseConv2D(Layer):
    """Depthwise layer, TFLite's DEPTHWISE_CONV_2D."""

    def __init__(
        self,
        kernel: _Kernel,
        shape: tuple[int, int, int],
        kernel_shape: Sequence[int] | None = None,
        backend: _Backend = None,
        *,
        dtype: _Dtype = "b",
        out_dtype: _OutDtype = "i",
        stride: _Pair = 1,
        dilation: _Pair = 1,
        padding: _Padding = "valid",
        border: _Border = "constant",
        border_value: int | None = None,
        pitch: int | None = None,
        bias: _Bias = None,
        multiplier: _PerChannel = None,
        shift: _PerChannel = None,
        input_zero_point: int = 0,
        kernel_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        accumulator: _Accumulator = None,
        rounding: _Rounding = "double",
        budget: int | None = None,
    ) -> None: ...

class Dense(Layer):
    """Fully connected layer, TFLite's FULLY_CONNECTED."""

    def __init__(
        self,
        kernel: _Kernel,
        kernel_shape: Sequence[int] | None = None,
        backend: _Backend = None,
        *,
        dtype: _Dtype = "b",
        out_dtype: _OutDtype = "i",
        bias: _Bias = None,
        multiplier: _PerChannel = None,
        shift: _PerChannel = None,
        input_zero_point: int = 0,
        kernel_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        accumulator: _Accumulator = None,
        rounding: _Rounding = "double",
        budget: int | None = None,
    ) -> None: ...

class _Op(_Call):
    def __call__(self, x: _Buffer, out: _Buffer) -> Any: ...

class _Two(_Call):
    def __call__(self, a: _Buffer, b: _Buffer, out: _Buffer) -> Any: ...

class MaxPool2D(_Op):
    """The greatest item of each window, TFLite's MAX_POOL_2D."""

    def __init__(
        self,
        size: _Pair,
        shape: tuple[int, int, int],
        stride: _Pair = 1,
        padding: _Padding = "valid",
        dtype: _Dtype = "b",
        activation_min: int | None = None,
        activation_max: int | None = None,
        backend: _Backend = None,
    ) -> None: ...

class AveragePool2D(_Op):
    """The mean of each window, TFLite's AVERAGE_POOL_2D."""

    def __init__(
        self,
        size: _Pair,
        shape: tuple[int, int, int],
        stride: _Pair = 1,
        padding: _Padding = "valid",
        dtype: _Dtype = "b",
        activation_min: int | None = None,
        activation_max: int | None = None,
        backend: _Backend = None,
    ) -> None: ...

class Add(_Two):
    """a + b, with scales TFLite's ADD."""

    def __init__(
        self,
        a_shape: Sequence[int],
        b_shape: Sequence[int] | None = None,
        dtype: Literal["b", "B", "h"] = "b",
        a_zero_point: int = 0,
        b_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        backend: _Backend = None,
        *,
        a_multiplier: int = ...,
        a_shift: int = ...,
        b_multiplier: int = ...,
        b_shift: int = ...,
        multiplier: int = ...,
        shift: int = ...,
    ) -> None: ...

class Sub(_Two):
    """a - b, with scales TFLite's SUB."""

    def __init__(
        self,
        a_shape: Sequence[int],
        b_shape: Sequence[int] | None = None,
        dtype: Literal["b", "B", "h"] = "b",
        a_zero_point: int = 0,
        b_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        backend: _Backend = None,
        *,
        a_multiplier: int = ...,
        a_shift: int = ...,
        b_multiplier: int = ...,
        b_shift: int = ...,
        multiplier: int = ...,
        shift: int = ...,
    ) -> None: ...

class Mul(_Two):
    """a * b, TFLite's MUL."""

    def __init__(
        self,
        a_shape: Sequence[int],
        b_shape: Sequence[int] | None = None,
        dtype: Literal["b", "B", "h"] = "b",
        a_zero_point: int = 0,
        b_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        backend: _Backend = None,
        *,
        multiplier: int,
        shift: int,
    ) -> None: ...

class PReLU(_Two):
    """a from its zero point on, a * b below it, TFLite's PRELU."""

    def __init__(
        self,
        a_shape: Sequence[int],
        b_shape: Sequence[int] | None = None,
        dtype: Literal["b", "B"] = "b",
        a_zero_point: int = 0,
        b_zero_point: int = 0,
        output_zero_point: int = 0,
        activation_min: int | None = None,
        activation_max: int | None = None,
        backend: _Backend = None,
        *,
        a_multiplier: int,
        a_shift: int,
        multiplier: int,
        shift: int,
    ) -> None: ...

class Lookup(_Op):
    """table[x], item by item."""

    def __init__(self, table: Any, length: int, dtype: Literal["b", "B"] = "b", backend: _Backend = None) -> None: ...

class Thresholds(_Op):
    """least plus how many thresholds of its channel an item has reached."""

    def __init__(
        self, table: Any, channels: int, rows: int = 1, sets: int = 1, least: int = -128, backend: _Backend = None
    ) -> None: ...

class Softmax(_Op):
    """TFLite's SOFTMAX of int8, row by row."""

    def __init__(self, table: _Buffer, classes: int, rows: int = 1, backend: _Backend = None) -> None: ...

class Pad(_Op):
    """x with a value around it, TFLite's PAD and PADV2."""

    def __init__(
        self,
        shape: Sequence[int],
        padding: Sequence[tuple[int, int]],
        value: int = 0,
        dtype: _Dtype = "b",
        backend: _Backend = None,
    ) -> None: ...

class Concatenate(_Call):
    """Tensors one after the other along an axis, TFLite's CONCATENATION."""

    def __init__(
        self, lengths: Sequence[int], outer: int = 1, dtype: _Dtype = "b", backend: _Backend = None
    ) -> None: ...
    def __call__(self, parts: tuple[_Buffer, ...], out: _Buffer) -> Any: ...

class Expand(_Op):
    """x with a value between its rows and columns: what a transposed layer reads."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        stride: _Pair = 1,
        padding: _Pads = ((0, 0), (0, 0)),
        value: int = 0,
        dtype: _Dtype = "b",
        backend: _Backend = None,
    ) -> None: ...

class CrossCorrelate(_Two):
    """r[k] = sum of a[n] * b[n + k] for a range of lags k, of two signals that both change with every call."""

    lags: tuple[int, int]
    shift: int
    wide: bool
    def __init__(
        self,
        length: int,
        lags: _Lags = 64,
        dtype: Literal["b", "B", "h"] = "h",
        limit: int | None = None,
        shift: int | None = None,
        normalized: bool = False,
        backend: _Backend = None,
    ) -> None: ...

def info() -> dict[str, str]: ...
def peak(out: _Buffer, shape: Sequence[int] | None = None) -> tuple[int, int, int]: ...
def peak_lag(r: _Buffer, lags: _Lags | None = None, subsample: bool = False) -> tuple[int, int]: ...
def peaks(
    values: _Buffer,
    shape: Sequence[int] | None = None,
    num_peaks: int = 1,
    min_distance: int = 1,
    threshold: int | None = None,
    subpixel: bool = False,
    out: array[int] | None = None,
) -> Any: ...
