"""Find the strongest vertical edge in pictures of a camera. After `ucorr deploy`: mpremote run examples/camera_edges.py

With a real camera two lines change: (1) and (2).
"""

from array import array

import ucorr

HEIGHT = WIDTH = 96


def capture(frame, number):  # (1) from your_driver import capture
    """Stand in for a camera: a bright square on a dark ground, further right in each picture."""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            inside = 30 <= y < 50 and 20 + 10 * number <= x < 40 + 10 * number
            frame[WIDTH * y + x] = 200 if inside else 20


# Buffers and layer are made once; after that nothing is allocated.
frame = bytearray(HEIGHT * WIDTH)  # 8-bit grey, row by row
sobel = ucorr.Correlate2D([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], (HEIGHT, WIDTH), dtype="B", out_dtype="b", shift=-3)
edges = array("b", bytes(sobel.out_shape[0] * sobel.out_shape[1]))  # int8: dark to bright is positive

for number in range(3):
    capture(frame, number)  # (2) capture(frame): whatever fills the buffer
    sobel(frame, edges)
    y, x, value = ucorr.peak(edges, sobel.out_shape)
    print(f"picture {number}: strongest edge at row {y + 1}, column {x + 1}: {value}")
