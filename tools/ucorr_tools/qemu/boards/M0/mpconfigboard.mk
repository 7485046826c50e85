# Cortex-M0 with the native emitters as the rp2 port sets them for the RP2040.
include $(BOARD_DIR)/../M0_PLAIN/mpconfigboard.mk
CFLAGS += -DMICROPY_EMIT_THUMB=1 -DMICROPY_EMIT_THUMB_ARMV7M=0
CFLAGS += -DMICROPY_EMIT_INLINE_THUMB=1 -DMICROPY_EMIT_INLINE_THUMB_FLOAT=0
