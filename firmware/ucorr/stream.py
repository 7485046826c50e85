"""Stream, the window of a signal that arrives in blocks: it keeps the last samples for the next block.

A block's outputs need the `before` samples that precede it, one less than the kernel spans. The window holds them
in front of the block, and the layer is an ordinary one on this window:

    window[before + length] = the last samples | the block

so the outputs are those of the whole signal with padding (before, 0), whatever the block lengths.
"""

from array import array

from . import buffers
from .fixedpoint import ITEMSIZE


class Stream:
    """The window of a layer, spec.input_length samples of which `length` are the block's.

    A block of `length` samples is copied by a slice assignment, which allocates nothing where the buffer is that of the
    last block. A shorter block is copied sample by sample, and the outputs of a whole block are computed, in a separate
    buffer.
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
        self._known = ((), None, 0)  # buffers.marks() of the last block, its samples, how many
        self.reset()

    def reset(self):
        """Begin a new signal: the samples before it are the border's value."""
        for n in range(self.before):
            self.window[n] = self.first

    def take(self, x):
        """Copy a block into the window; returns its length. raises TypeError or ValueError"""
        if not buffers.same(x, self._known[0]):
            self._check(x)
        _, source, length = self._known
        if length == self.length:
            self._bytes[self._new] = source
        else:
            for n in range(length):
                self.window[self.before + n] = source[n]
        return length

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
        samples = buffers.as_bytes(x) if length == self.length else buffers.typed(x, self.dtype, length)
        self._known = buffers.marks((x,)), samples, length

    def keep(self, length):
        """Move the last `before` samples, after a block of `length`, to the front of the window."""
        if length == self.length >= self.before:
            if self.before:
                self._bytes[self._old] = self._last
            return
        window = self.window
        for n in range(self.before):
            window[n] = window[n + length]
