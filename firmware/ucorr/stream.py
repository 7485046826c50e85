"""A signal that arrives in blocks: the samples that the next block's outputs look back at are kept.

A block's outputs need the `before` samples ahead of it, one less than the kernel spans. They stand in front of the
block in a window, of which the layer is an ordinary one:

    window[before + length] = the last samples | the block

so outputs are those of the whole signal with padding (before, 0), however it was cut.
"""

from array import array

from . import buffers
from .fixedpoint import ITEMSIZE


class Stream:
    """The window of a layer, spec.input_length samples of which `length` are the block's.

    A block of `length` samples is copied by MicroPython itself and allocates nothing, as long as the same buffers come
    again; a shorter one goes sample by sample, and the outputs of a whole block are computed, in a buffer of their own.
    """

    def __init__(self, spec, length):
        self.dtype, self.first = spec.dtype, spec.border_value
        self.length, self.stride = length, spec.stride[1]
        self.before = spec.input_length - length
        self.window = array(spec.dtype, bytes(spec.input_length * ITEMSIZE[spec.dtype]))
        self.spare = array(spec.out_dtype, bytes(spec.output_length * ITEMSIZE[spec.out_dtype]))
        size = ITEMSIZE[spec.dtype]
        self._bytes = buffers.as_bytes(self.window)
        self._old = buffers.slice_of(0, self.before * size)
        self._new = buffers.slice_of(self.before * size, spec.input_length * size)
        self._last = buffers.as_bytes(memoryview(self.window)[length:]) if self.before else None
        self._known = None
        self.reset()

    def reset(self):
        """Begin a new signal: the samples before it are the border's value."""
        for n in range(self.before):
            self.window[n] = self.first

    def take(self, x):
        """Put a block behind the samples kept; its length. raises TypeError or ValueError"""
        known = self._known
        if known is None or known[0] is not x or known[1] != len(x):
            known = self._check(x)
        source = known[2]
        if known[3] == self.length:
            self._bytes[self._new] = source
        else:
            for n in range(known[3]):
                self.window[self.before + n] = source[n]
        return known[3]

    def _check(self, x):
        total, item = buffers.measure("x", x)
        size = ITEMSIZE[self.dtype]
        length = total // size
        if total % size or not 0 < length <= self.length or length % self.stride:
            raise ValueError(
                "x: %d bytes, wanted 1 to %d samples of dtype %r, a multiple of the stride %d"
                % (total, self.length, self.dtype, self.stride)
            )
        buffers.check_size("x", x, self.dtype, length)
        buffers.check_aligned("x", buffers.address(x), self.dtype)
        whole = length == self.length
        known = (x, len(x), buffers.as_bytes(x) if whole else buffers.typed(x, self.dtype, length), length)
        self._known = known
        return known

    def keep(self, length):
        """The last samples of a block of `length` go to the front."""
        if length == self.length >= self.before:
            if self.before:
                self._bytes[self._old] = self._last
            return
        window = self.window
        for n in range(self.before):
            window[n] = window[n + length]
