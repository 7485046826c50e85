// What MicroPython's QEMU port leaves out for these boards: a clock for littlefs, floating point on cores that
// start with it switched off, and the serial port of the AN505 image.
#include <stddef.h>
#include <stdint.h>
#include "uart.h"

// littlefs dates its files; there is no calendar here.
uint64_t mp_hal_time_ns(void) {
    return 0;
}

#if defined(__ARM_FP)
// Coprocessor access (CPACR in the ARMv7-M and ARMv8-M manuals): without it the first float is a fault. The linker
// puts this before main (--wrap=main).
int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv) {
    *(volatile uint32_t *)0xE000ED88 |= 0xF << 20;
    __asm volatile ("dsb\n isb");
    return __real_main(argc, argv);
}
#endif

#if defined(BOARD_AN505)
// CMSDK UART 0 as the Secure world of the AN505 FPGA image sees it (Arm's application note 505).
static volatile struct {
    uint32_t data, state, control, interrupts, divider;
} *const uart = (void *)0x50200000;

enum { TX_FULL = 1, RX_FULL = 2, TX_AND_RX = 3 };

void uart_init(void) {
    uart->divider = 16; // the least it takes
    uart->control = TX_AND_RX;
}

int uart_rx_chr(void) {
    return uart->state & RX_FULL ? (int)uart->data : UART_RX_NO_CHAR;
}

void uart_tx_strn(const char *text, size_t length) {
    while (length--) {
        while (uart->state & TX_FULL) {
        }
        uart->data = *text++;
    }
}
#endif
