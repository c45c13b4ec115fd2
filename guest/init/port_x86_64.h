/*
 * How the init reaches the two ports of the monitor on x86-64: by port I/O.
 *
 *      0xf4   exit        a byte written ends the machine; the byte is its exit status
 *      0xf5   boot timer  a byte written is a mark, which the monitor stamps with the time
 *
 * QEMU's "-device isa-debug-exit,iobase=0xf4,iosize=1" understands the first (its exit status is
 * then 2 * byte + 1); give it no more than that one byte, or the first mark ends it. Where nobody
 * listens, a write goes nowhere and does no harm.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/io.h>

enum { PORT_EXIT = 0xf4, PORT_MARK = 0xf5 };

/* iopl rather than ioperm: the map that opens all ports exists already, one of our own costs 8 KiB
 * to fill. */
static inline bool ports_open(void)
{
    return iopl(3) == 0;
}

static inline void port_write(unsigned short port, uint8_t value)
{
    outb(value, port);
}
