"""Networks: the graph that a .tflite file or training gives, and what a board gets of it: steps, arena, code, file."""
