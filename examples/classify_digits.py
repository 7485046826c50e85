"""Read a handwritten digit. After `ucorr deploy --model digits`: mpremote run examples/classify_digits.py

With a real camera two lines change: (1) and (2).
"""

import ucorr

DRAWN = (
    "   +#   ",
    "  +#.   ",
    " .#.    ",
    " ++ .+  ",
    " .+###+ ",
    "   +#+  ",
    "   ++   ",
    "   ++   ",
)


def capture(frame):  # (1) from your_driver import capture
    """Stand in for a camera: 8x8 pixels of 8-bit grey, bright ink on a dark ground."""
    for n, letter in enumerate("".join(DRAWN)):
        frame[n] = 80 * " .+#".index(letter)


net = ucorr.load("digits.ucorr")  # as `ucorr deploy --model digits` left it where the board starts
frame = bytearray(64)

capture(frame)  # (2) capture(frame): whatever fills the buffer
for n in range(64):
    net.input[n] = frame[n] - 128  # int8
scores = net.run()  # allocates nothing; int8 as well: real = scale * (q - zero_point)
best = max(range(len(scores)), key=lambda n: scores[n])
share = net.output_scale * (scores[best] - net.output_zero_point)
print(f"It is a {net.labels[best]}: {100 * share:.0f} %")
