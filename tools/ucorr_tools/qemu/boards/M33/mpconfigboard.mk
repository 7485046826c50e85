# Cortex-M33 with DSP and single precision, as on an RP2350.
include $(BOARD_DIR)/../mps2.mk
QEMU_MACHINE = mps2-an505
MICROPY_HEAP_SIZE = 491520
AFLAGS += -mcpu=cortex-m33
CFLAGS += -mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard -DBOARD_AN505 -DMICROPY_HW_MCU_NAME='"Cortex-M33"'
LDFLAGS += -mthumb -mcpu=cortex-m33 -Wl,--wrap=main
