# RISC-V, 32 bits, with the compressed and multiply extensions, as on an ESP32-C3.
include $(BOARD_DIR)/../board.mk
QEMU_ARCH = riscv32
QEMU_MACHINE = virt
MICROPY_HEAP_SIZE = 245760
# The older ISA specification implies zicsr: Debian's compiler then finds its 32-bit libgcc.
RV32_ARCH = rv32imac -misa-spec=2.2
CFLAGS += -DQEMU_SOC_VIRT -DMICROPY_HW_MCU_NAME='"RV32IMAC"'
LDSCRIPT = mcu/rv32/virt.ld
SRC_BOARD_O += shared/runtime/gchelper_native.o shared/runtime/gchelper_rv32i.o
