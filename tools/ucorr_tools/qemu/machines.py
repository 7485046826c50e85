"""The emulated boards. Adding one takes a row here and a folder in boards/."""

from dataclasses import dataclass

from ucorr_host.cores import ANY

SHIFT = 6  # of -icount: an instruction takes 2**6 ns of the board's time, whatever it is

# Each timer as code that defines now(), an int of 32 bits that grows, read without touching the heap.
DUAL_TIMER = """
import machine, micropython
machine.mem32[{base}] = 0xffffffff
machine.mem32[{base} + 8] = 0x82
@micropython.viper
def now() -> int:
    return int(0) - ptr32({base})[1]
"""  # CMSDK dual timer (Arm's MPS2 manuals): counts down
NRF51_TIMER = """
import machine, micropython
machine.mem32[0x40008508] = 3
machine.mem32[0x40008510] = 0
machine.mem32[0x4000800c] = 1
machine.mem32[0x40008000] = 1
@micropython.viper
def now() -> int:
    timer = ptr32(0x40008000)
    timer[16] = 1
    return timer[336]
"""  # TIMER0 of the nRF51 reference manual, 32 bits, 16 MHz: capture, then read CC[0]
CYCLE_COUNTER = f"""
import micropython
@micropython.asm_rv32
def now():
    label(AGAIN)
    csrrs(a1, zero, 0xb80)
    csrrs(a0, zero, 0xb00)
    csrrs(a2, zero, 0xb80)
    bne(a1, a2, AGAIN)
    srli(a0, a0, {SHIFT})
    slli(a1, a1, {32 - SHIFT})
    or_(a0, a0, a1)
"""  # mcycleh and mcycle: nanoseconds under -icount, here instructions


@dataclass(frozen=True)
class Machine:
    """One emulated board.

    name    the target is "qemu-" + name
    folder  of boards/, with its mpconfigboard.mk
    core    that its firmware's machine code is for; "any" where it runs none
    qemu    QEMU's program and its words
    disk    address of memory that MicroPython leaves alone, at least DISK_BYTES of it
    timer   code that defines now(), or "" where nothing can read a timer fast enough
    mhz     what now() counts, in ticks per microsecond of the board's time
    """

    name: str
    folder: str
    core: str
    qemu: tuple[str, ...]
    disk: int
    timer: str
    mhz: float

    @property
    def target(self) -> str:
        return f"qemu-{self.name}"

    @property
    def instructions_per_tick(self) -> float:
        return 1000 / self.mhz / (1 << SHIFT)


ARM = "qemu-system-arm"
# The micro:bit machine with the RP2040's memory; without these arguments it has 16 kB, and the firmware locks up.
MICROBIT = (
    ARM, "-machine", "microbit", "-global", "nrf51-soc.flash-size=1048576", "-global", "nrf51-soc.sram-size=1048576"
)  # fmt: skip
DISK_BYTES = 768 * 1024

MACHINES = {
    machine.target: machine
    for machine in (
        Machine("m0", "M0", "cortex-m0plus", MICROBIT, 0x20040000, NRF51_TIMER, 16),
        Machine("m0-plain", "M0_PLAIN", ANY, MICROBIT, 0x20040000, "", 16),
        Machine("m3", "M3", "cortex-m3", (ARM, "-machine", "mps2-an385"), 0x21000000,
                DUAL_TIMER.format(base=0x40002000), 25),
        Machine("m4", "M4", "cortex-m4", (ARM, "-machine", "mps2-an386"), 0x21000000,
                DUAL_TIMER.format(base=0x40002000), 25),
        Machine("m7", "M7", "cortex-m7", (ARM, "-machine", "mps2-an500"), 0x60000000,
                DUAL_TIMER.format(base=0x40002000), 25),
        Machine("m33", "M33", "cortex-m33", (ARM, "-machine", "mps2-an505"), 0x80000000,
                DUAL_TIMER.format(base=0x50002000), 20),
        Machine("rv32", "RV32", ANY, ("qemu-system-riscv32", "-bios", "none", "-machine", "virt"), 0x81000000,
                CYCLE_COUNTER, 1000 / (1 << SHIFT)),
    )
}  # fmt: skip
