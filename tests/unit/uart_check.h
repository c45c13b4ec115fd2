/* SPDX-License-Identifier: MIT */
/*
 * What holds for the UART model after every access, whatever was done before.
 * Shared by the unit tests and the fuzz target.
 */
#ifndef MV_TEST_UART_CHECK_H
#define MV_TEST_UART_CHECK_H

#include "dev/uart.h"

static inline void uart_check_line(void *context, bool level)
{
    (void)context, (void)level;
}

static inline void uart_check_sent(void *context, uint8_t byte)
{
    (void)context, (void)byte;
}

static inline void uart_check_drained(void *context)
{
    (void)context;
}

/* Reads a register of a copy, so that the reading changes nothing. */
static inline uint8_t uart_check_peek(const struct mv_uart *uart, unsigned offset)
{
    struct mv_uart copy = *uart;

    copy.line = uart_check_line;
    copy.sent = uart_check_sent;
    copy.drained = uart_check_drained;
    return mv_uart_read(&copy, offset);
}

static inline unsigned uart_check_modem(uint8_t mcr)
{
    if (!(mcr & 0x10))
        return 0xb0; /* DCD, DSR and CTS: somebody is there */
    return (mcr & 0x02 ? 0x10u : 0) | (mcr & 0x01 ? 0x20u : 0) | (mcr & 0x04 ? 0x40u : 0) |
           (mcr & 0x08 ? 0x80u : 0);
}

/* Not in loopback, and: RTS is on, or the guest polls, or it takes interrupts and
 * leaves all modem lines off. */
static inline bool uart_check_ready(const struct mv_uart_state *s)
{
    return !(s->mcr & 0x10) &&
           ((s->mcr & 0x02) || s->idle_polls == MV_UART_POLLS || (s->mcr == 0 && (s->ier & 0x01)));
}

/* Returns NULL, or what is wrong. */
static inline const char *uart_check(const struct mv_uart *uart, bool line)
{
    const struct mv_uart_state *s = &uart->state;
    uint8_t iir = uart_check_peek(uart, 2), lsr = uart_check_peek(uart, 5);
    unsigned size = s->fcr & 1 ? 16 : 1, errors = 0;

    for (unsigned i = 0; i < s->fifo_count; i++)
        errors |= s->fifo[(s->fifo_head + i) % MV_UART_FIFO].flags;
    if (line != !(iir & 1))
        return "the line is not what IIR bit 0 says";
    if ((iir & 0xc0) != (s->fcr & 1 ? 0xc0 : 0) || (iir & 0x30))
        return "IIR bits 4 to 7";
    if (s->fifo_count > size || s->fifo_head >= MV_UART_FIFO)
        return "the receiver holds more than it can";
    if (!!(lsr & 0x01) != (s->fifo_count > 0))
        return "LSR.DR is not whether there is data";
    if ((lsr & 0x60) != 0x60)
        return "the transmitter is not empty";
    if (lsr & 0x0c)
        return "a parity or framing error from nowhere";
    if (!!(lsr & 0x80) != ((s->fcr & 1) && errors))
        return "LSR bit 7 is not whether an error is in the FIFO";
    if ((s->msr & 0xf0) != uart_check_modem(s->mcr))
        return "the modem lines in MSR";
    if (mv_uart_room(uart) != (uart_check_ready(s) ? size - s->fifo_count : 0))
        return "the room";
    if ((s->ier & 0xf0) || (s->mcr & 0xe0))
        return "bits that do not exist are set";
    return NULL;
}

#endif
