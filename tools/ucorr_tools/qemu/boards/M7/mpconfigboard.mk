# Cortex-M7 with double precision in hardware, as on a Teensy 4.
include $(BOARD_DIR)/../mps2.mk
QEMU_MACHINE = mps2-an500
MICROPY_HEAP_SIZE = 491520
CFLAGS += -mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard -DQEMU_SOC_MPS2 -DMICROPY_HW_MCU_NAME='"Cortex-M7"'
LDFLAGS += -mthumb -mcpu=cortex-m7 -Wl,--wrap=main
