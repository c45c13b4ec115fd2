/* SPDX-License-Identifier: MIT */
/*
 * The serial port by interrupts, through the interrupt controller: sends
 * lines=N numbered lines one FIFO at each "transmitter empty", then echoes what
 * comes until a byte 4 (Ctrl-D) arrives.
 */
#include "runtime.h"

enum { RDA = 1, THRE = 2, FIFO = 16 };

static unsigned lines, sent_lines, column;
static bool sent_all, ended;
static uint32_t empties, timeouts;

/* The next byte of the numbered lines, or -1. */
static int next_byte(void)
{
    static const char text[] = "line 0000\n";
    unsigned divisor = 1000;

    if (sent_lines == lines)
        return -1;
    if (column == sizeof(text) - 1) {
        column = 0;
        if (++sent_lines == lines)
            return -1;
    }
    if (column < 5 || column > 8)
        return text[column++];
    for (unsigned i = column++; i > 5; i--)
        divisor /= 10;
    return (int)('0' + sent_lines / divisor % 10);
}

static void send_some(void)
{
    for (int i = 0; i < FIFO; i++) {
        int byte = next_byte();

        if (byte < 0) {
            sent_all = true;
            out8(SERIAL + IER, RDA);
            return;
        }
        out8(SERIAL + DATA, (unsigned)byte);
    }
}

static void receive_some(void)
{
    while (in8(SERIAL + LSR) & 1) {
        uint8_t byte = in8(SERIAL + DATA);

        if (byte == 4)
            ended = true;
        else
            put_byte(byte);
    }
}

static void on_serial(unsigned line)
{
    uint8_t cause;

    (void)line;
    while (!((cause = in8(SERIAL + IIR)) & 1)) {
        check_equal(cause & 0xc0, 0xc0); /* FIFOs are on */
        switch (cause & 0x0f) {
        case 0x02:
            empties++;
            send_some();
            break;
        case 0x0c:
            timeouts++;
            receive_some();
            break;
        case 0x04: receive_some(); break;
        default: check_equal(cause, 0x04);
        }
    }
}

void test(void)
{
    lines = (unsigned)option("lines", 10);
    interrupts_init();
    take_line(SERIAL_LINE, on_serial);
    out8(SERIAL + FCR, 0xc1); /* FIFO, "data available" from 14 bytes on */
    out8(SERIAL + MCR, 0x0b); /* OUT2 lets interrupts through on a PC */
    out8(SERIAL + IER, RDA | THRE);
    while (!sent_all)
        wait_for_interrupt();
    check(empties >= lines * 10 / FIFO);
    while (!ended)
        wait_for_interrupt();
}
