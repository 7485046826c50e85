"""A .tflite file under construction: tensors, operators, and the bytes they come to.

The flatbuffer builder of the `tflite` package writes them; TensorFlow is not needed. What a tensor or an operator
means is the caller's.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import tflite

TYPES = {
    np.int8: "INT8",
    np.uint8: "UINT8",
    np.int16: "INT16",
    np.int32: "INT32",
    np.int64: "INT64",
    np.float32: "FLOAT32",
}


class Model:
    """A graph, tensor by tensor and operator by operator; tensors are known by their numbers."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)
        self.buffers = [_table(self.builder, "Buffer")]
        self.tensors: list[int] = []
        self.operators: list[int] = []
        self.codes: list[int] = []

    def tensor(
        self,
        shape: Any,
        dtype: Any,
        data: Any = None,
        scales: Any = None,
        zero_points: Any = 0,
        axis: int = 0,
        name: str | None = None,
        type_name: str | None = None,
    ) -> int:
        """Add a tensor; its number.

        data    an array for a constant
        scales  float32, one or one per item of the axis; None: not quantised
        type_name  of the schema, where it is not the dtype's
        """
        builder, number = self.builder, 0
        if data is not None:
            number = len(self.buffers)
            raw = builder.CreateNumpyVector(np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8))
            self.buffers.append(_table(builder, "Buffer", Data=raw))
        values: dict[str, Any] = {"Shape": builder.CreateNumpyVector(np.array(shape, np.int32)), "Buffer": number}
        values["Name"] = builder.CreateString(f"tensor {len(self.tensors)}" if name is None else name)
        values["Type"] = getattr(tflite.TensorType, type_name or TYPES[np.dtype(dtype).type])
        if scales is not None:
            scales = np.array(scales, np.float32).reshape(-1)
            values["Quantization"] = _table(
                builder,
                "QuantizationParameters",
                Scale=builder.CreateNumpyVector(scales),
                ZeroPoint=builder.CreateNumpyVector(
                    np.broadcast_to(np.array(zero_points, np.int64), scales.shape).copy()
                ),
                QuantizedDimension=axis,
            )
        self.tensors.append(_table(builder, "Tensor", **values))
        return len(self.tensors) - 1

    def operator(self, name: str, inputs: Any, outputs: Any, options: str | None = None, **values: Any) -> None:
        """Add an operator: its name in the schema, tensor numbers (-1: left out), its options table and the fields."""
        builder = self.builder
        code = getattr(tflite.BuiltinOperator, name)
        if code not in self.codes:
            self.codes.append(code)
        for field, value in values.items():
            if isinstance(value, (list, tuple)):
                values[field] = builder.CreateNumpyVector(np.array(value, np.int32))
        fields: dict[str, Any] = {
            "OpcodeIndex": self.codes.index(code),
            "Inputs": builder.CreateNumpyVector(np.array(inputs, np.int32)),
            "Outputs": builder.CreateNumpyVector(np.array(outputs, np.int32)),
        }
        if options is not None:
            fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, options)
            fields["BuiltinOptions"] = _table(builder, options, **values)
        self.operators.append(_table(builder, "Operator", **fields))

    def build(self, inputs: Any, outputs: Any) -> bytes:
        """The model's bytes, with the numbers of the graph's inputs and outputs."""
        builder = self.builder
        graph = _table(
            builder,
            "SubGraph",
            Tensors=_tables(builder, self.tensors),
            Inputs=builder.CreateNumpyVector(np.array(inputs, np.int32)),
            Outputs=builder.CreateNumpyVector(np.array(outputs, np.int32)),
            Operators=_tables(builder, self.operators),
        )
        codes = [
            _table(builder, "OperatorCode", BuiltinCode=code, DeprecatedBuiltinCode=min(code, 127), Version=1)
            for code in self.codes
        ]
        model = _table(
            builder,
            "Model",
            Version=3,
            OperatorCodes=_tables(builder, codes),
            Subgraphs=_tables(builder, [graph]),
            Buffers=_tables(builder, self.buffers),
        )
        builder.Finish(model, b"TFL3")
        return bytes(builder.Output())


def _table(builder: flatbuffers.Builder, name: str, **fields: Any) -> int:
    """Write a table of the schema with some of its fields."""
    getattr(tflite, f"{name}Start")(builder)
    for field, value in fields.items():
        getattr(tflite, f"{name}Add{field}")(builder, value)
    return getattr(tflite, f"{name}End")(builder)


def _tables(builder: flatbuffers.Builder, offsets: list[int]) -> int:
    """Write a vector of tables."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()
