# What every emulated board here adds to MicroPython's QEMU port: the RP2040 port's file system (littlefs), and
# board.c. The disk itself is a piece of memory that MicroPython leaves alone; machine.py says where.
MICROPY_VFS_LFS2 = 1
vpath %.c $(BOARD_DIR)/..
SRC_BOARD_O += board.o
