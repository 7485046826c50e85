# Cortex-M0 (micro:bit machine with more memory), no native emitter: a board on which only bytecode runs.
include $(BOARD_DIR)/../board.mk
QEMU_ARCH = arm
QEMU_MACHINE = microbit
CFLAGS += -mthumb -mcpu=cortex-m0 -mfloat-abi=soft
CFLAGS += -DQEMU_SOC_NRF51 -DMICROPY_HW_MCU_NAME='"Cortex-M0"'
LDSCRIPT = $(BOARD_DIR)/../arm.ld
LDFLAGS += -L$(BOARD_DIR)
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_thumb1.o
