"""The table of boards for `ucorr forecast`: core, clock and memory under stock MicroPython, each with its source.

Paths are those of MicroPython 1.25's source, numbers with # issues and pull requests of micropython/micropython. Where
nobody has published a figure, its source begins with "estimate". `remark` says what the board's memory does to
the cycles that cycles.py counts.
"""

from __future__ import annotations

from dataclasses import dataclass

# A heap of blocks of 16 bytes pays 2 + 1 bits for each in its collector's tables (py/gc.c): 128 of 131 bytes are left.


@dataclass(frozen=True)
class Board:
    """One board.

    core         of cores.names(); "any" where no machine code runs
    mhz          of its clock after a reset
    heap_bytes   of Python's heap that are free after boot; flash_bytes: of its file system
    """

    name: str
    chip: str
    core: str
    mhz: int
    mhz_source: str
    heap_bytes: int
    heap_source: str
    flash_bytes: int
    flash_source: str
    remark: str


BOARDS = {
    board.name: board
    for board in (
        Board(
            name="pico",
            chip="RP2040",
            core="cortex-m0plus",
            mhz=125,
            mhz_source="docs/rp2/quickref.rst: the default at boot time",
            heap_bytes=215_904,
            heap_source="#12557: gc.mem_free() of a Pico, collected; ports/rp2/memmap_mp_rp2040.ld",
            flash_bytes=1408 * 1024,
            flash_source="ports/rp2/boards/RPI_PICO/mpconfigboard.h: MICROPY_HW_FLASH_STORAGE_BYTES",
            remark="code and data lie in SRAM without wait states; DMA and the second core may delay it",
        ),
        Board(
            name="pico2",
            chip="RP2350",
            core="cortex-m33",
            mhz=150,
            mhz_source="RP2350 datasheet, section 1: 150 MHz, to which ports/rp2/main.c sets it (SYS_CLK_KHZ)",
            heap_bytes=472_000,
            heap_source="estimate: the Pico's, and 128/131 of the 256 kB more in ports/rp2/memmap_mp_rp2350.ld",
            flash_bytes=3 * 1024 * 1024,
            flash_source="ports/rp2/boards/RPI_PICO2/mpconfigboard.h: 4 MB less 1 MB",
            remark="code and data lie in SRAM without wait states; the manual of its Cortex-M33 has no table of cycles",
        ),
        Board(
            name="pyboard",
            chip="STM32F405",
            core="cortex-m4",
            mhz=168,
            mhz_source="ports/stm32/boards/PYBV11/mpconfigboard.h: 12 MHz / 12 * 336 / 2",
            heap_bytes=93_632,
            heap_source="#1877: free of 102,400 on a PYBv1.0, garbage not collected; ports/stm32/boards/stm32f405.ld",
            flash_bytes=112 * 1024,
            flash_source="ports/stm32/boards/stm32f405.ld: FLASH_FS",
            remark="code in SRAM is fetched over the bus that the data takes, which costs cycles not counted here",
        ),
        Board(
            name="teensy41",
            chip="i.MX RT1062",
            core="cortex-m7",
            mhz=600,
            mhz_source="ports/mimxrt/boards/MIMXRT1062_clock_config.h: BOARD_BOOTCLOCKRUN_CORE_CLOCK",
            heap_bytes=766_000,
            heap_source="estimate: 128/131 of the OCRAM, 768 kB (ports/mimxrt/boards/MIMXRT1062.ld), less boot",
            flash_bytes=0x800000 - 0x100000 - 0x1000,
            flash_source="ports/mimxrt/boards/MIMXRT1062.ld: vfs_size, with 8 MB and MICROPY_HW_FLASH_RESERVED",
            remark="the heap is OCRAM, slower than the core, behind caches of 32 kB; a Cortex-M7 may do two"
            " instructions at once, and its manual has no table of cycles",
        ),
        Board(
            name="esp32",
            chip="ESP32",
            core="any",
            mhz=160,
            mhz_source="ESP-IDF's default, which ESP32_GENERIC leaves; machine.freq(240_000_000) is there",
            heap_bytes=110_432,
            heap_source="#13219: 111,936 bytes once the heap has grown, in two areas; #7214: boot takes 1,504 of them",
            flash_bytes=2 * 1024 * 1024,
            flash_source="ports/esp32/partitions-4MiB.csv: vfs",
            remark="viper counted on a Cortex-M4 stands in for Xtensa code, which nothing here has run",
        ),
    )
}


def board(name: str) -> Board:
    """A board by its name. raises ValueError with all names"""
    if name not in BOARDS:
        raise ValueError(f"board: {name!r}, wanted one of {' '.join(BOARDS)}")
    return BOARDS[name]
