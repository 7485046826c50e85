"""Assemblers: assembler.py has what the instruction sets share, the other files one class each."""
