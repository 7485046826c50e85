"""Boards on a serial port: what they are, what they get, whether they are right."""
