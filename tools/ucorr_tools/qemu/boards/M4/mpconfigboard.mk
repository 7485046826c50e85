# Cortex-M4 with single precision, as on a Pyboard.
include $(BOARD_DIR)/../mps2.mk
QEMU_MACHINE = mps2-an386
MICROPY_HEAP_SIZE = 491520
CFLAGS += -mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard -DQEMU_SOC_MPS2 -DMICROPY_HW_MCU_NAME='"Cortex-M4"'
LDFLAGS += -mthumb -mcpu=cortex-m4 -Wl,--wrap=main
