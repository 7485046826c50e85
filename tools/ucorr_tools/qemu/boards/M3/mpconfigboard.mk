# Cortex-M3: no DSP instructions, no floating point.
include $(BOARD_DIR)/../mps2.mk
QEMU_MACHINE = mps2-an385
CFLAGS += -mcpu=cortex-m3 -mfloat-abi=soft -DQEMU_SOC_MPS2 -DMICROPY_HW_MCU_NAME='"Cortex-M3"'
