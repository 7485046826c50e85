# Arm's MPS2 FPGA board; the image names the core.
include $(BOARD_DIR)/../board.mk
QEMU_ARCH = arm
LDSCRIPT = $(BOARD_DIR)/../arm.ld
LDFLAGS += -L$(BOARD_DIR)
CFLAGS += -mthumb
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb2.o
