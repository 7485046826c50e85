"""answer(), which runs board_side.py in this process, one question at a time.

board_side keeps the last layer, and an emulated core replaces this process's backends and clock. So threads take
turns, and an interrupted question leaves no state.
"""

from __future__ import annotations

from typing import Any

import ucorr.backends

from . import board_side
from .children import Turns

turns = Turns()


def answer(
    message: dict[str, Any], payload: bytes, modules: dict[str, Any] | None = None, clock: Any = None
) -> tuple[dict[str, Any], bytes]:
    """What board_side.answer_to returns, with `modules` among the package's backends and with a clock."""
    with turns.lock:
        known, own_clock = ucorr.backends.registered, board_side.clock
        try:
            if modules:
                ucorr.backends.registered = {**known, **modules}
            board_side.clock = clock or own_clock
            return board_side.answer_to(message, payload)
        except BaseException:
            board_side._kept = (None, None, None)  # its run was not finished, nor was perhaps the making of it
            raise
        finally:  # assignments alone, between which no signal's exception is raised
            ucorr.backends.registered = known
            board_side.clock = own_clock
