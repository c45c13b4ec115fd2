/* SPDX-License-Identifier: MIT */
/*
 * A 16550A UART as a register model (National Semiconductor PC16550D data sheet, June 1995):
 * registers in, an interrupt line and bytes out.  No file descriptor, no thread, no clock: a byte
 * written is sent at once, and a byte that waits below the trigger level counts as timed out at
 * once.
 *
 *   offset  DLAB=0 read  DLAB=0 write  DLAB=1
 *     0     RBR          THR           DLL
 *     1     IER          IER           DLM
 *     2     IIR          FCR           IIR, FCR
 *     3     LCR          LCR           LCR
 *     4     MCR          MCR           MCR
 *     5     LSR          -             LSR
 *     6     MSR          -             MSR
 *     7     SCR          SCR           SCR
 *
 * Left out: line timing, parity and framing errors (what arrives is always well formed), and the
 * DMA pins with their mode bit, FCR bit 3.
 */
#ifndef MV_DEV_UART_H
#define MV_DEV_UART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MV_UART_FIFO = 16,
    MV_UART_POLLS = 64,
};

/* Interrupt Enable Register, 8.4 */
enum {
    MV_UART_IER_RDA = 0x01,  /* received data available */
    MV_UART_IER_THRE = 0x02, /* transmitter holding register empty */
    MV_UART_IER_RLS = 0x04,  /* receiver line status */
    MV_UART_IER_MS = 0x08,   /* modem status */
};

/* Interrupt Identification Register, 8.3: causes by descending priority */
enum {
    MV_UART_IIR_NONE = 0x01,
    MV_UART_IIR_RLS = 0x06,
    MV_UART_IIR_RDA = 0x04,
    MV_UART_IIR_TIMEOUT = 0x0c,
    MV_UART_IIR_THRE = 0x02,
    MV_UART_IIR_MS = 0x00,
    MV_UART_IIR_FIFO = 0xc0, /* FIFOs enabled */
};

/* FIFO Control Register, 8.2 */
enum {
    MV_UART_FCR_ENABLE = 0x01,
    MV_UART_FCR_CLEAR_RX = 0x02,
    MV_UART_FCR_CLEAR_TX = 0x04,
    MV_UART_FCR_TRIGGER = 0xc0,
};

/* Line Control Register, 8.1 */
enum {
    MV_UART_LCR_BREAK = 0x40,
    MV_UART_LCR_DLAB = 0x80,
};

/* Modem Control Register, 8.6 */
enum {
    MV_UART_MCR_DTR = 0x01,
    MV_UART_MCR_RTS = 0x02,
    MV_UART_MCR_OUT1 = 0x04,
    MV_UART_MCR_OUT2 = 0x08,
    MV_UART_MCR_LOOP = 0x10,
};

/* Line Status Register, 8.5 */
enum {
    MV_UART_LSR_DR = 0x01,   /* data ready */
    MV_UART_LSR_OE = 0x02,   /* overrun */
    MV_UART_LSR_BI = 0x10,   /* break: belongs to the byte on top of the FIFO */
    MV_UART_LSR_THRE = 0x20, /* transmitter holding register empty */
    MV_UART_LSR_TEMT = 0x40, /* transmitter empty */
    MV_UART_LSR_FIFO = 0x80, /* a byte in the FIFO has an error */
};

/* Modem Status Register, 8.7 */
enum {
    MV_UART_MSR_DCTS = 0x01,
    MV_UART_MSR_DDSR = 0x02,
    MV_UART_MSR_TERI = 0x04,
    MV_UART_MSR_DDCD = 0x08,
    MV_UART_MSR_CTS = 0x10,
    MV_UART_MSR_DSR = 0x20,
    MV_UART_MSR_RI = 0x40,
    MV_UART_MSR_DCD = 0x80,
};

/* Everything needed to save and restore the device. */
struct mv_uart_state {
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr, dll, dlm;
    uint8_t idle_polls;   /* LSR reads since a write; MV_UART_POLLS lasts until MCR is written */
    uint8_t thre_pending; /* THRE interrupt raised, and neither read nor served yet */
    uint8_t fifo_head, fifo_count;
    struct {
        uint8_t data, flags; /* flags: MV_UART_LSR_BI or 0 */
    } fifo[MV_UART_FIFO];
};

/* The chip's clock input on a PC, in Hz: 16 times the highest baud rate. */
#define MV_UART_CLOCK 1843200u

struct mv_uart {
    struct mv_uart_state state;
    void (*line)(void *context, bool level); /* the interrupt pin */
    void (*sent)(void *context, uint8_t byte);
    void (*drained)(void *context); /* there may be room for more input */
    void *context;
};

/* The state after power-on reset (8.0, table III).  Callbacks must not be NULL. */
void mv_uart_init(struct mv_uart *uart, void (*line)(void *, bool), void (*sent)(void *, uint8_t),
                  void (*drained)(void *), void *context);

/* offset: 0 to 7.  All registers are one byte. */
uint8_t mv_uart_read(struct mv_uart *uart, unsigned offset);
void mv_uart_write(struct mv_uart *uart, unsigned offset, uint8_t value);

/*
 * How many bytes the other side may send now.  None in loopback, which disconnects the receiver,
 * and none before the guest is ready, because a driver that sets up the FIFOs discards what came
 * earlier.  The guest counts as ready if RTS is on (8.6); or if the received-data interrupt is
 * enabled while MCR is 0, as hobbyists' kernels leave it (drivers that use RTS to stop the other
 * side have DTR or OUT2 on); or if it plainly waits for input: it has read LSR MV_UART_POLLS times
 * without writing a register.
 */
size_t mv_uart_room(const struct mv_uart *uart);

/* A byte arrives.  Without room a byte is lost and LSR shows an overrun, as on the chip. */
void mv_uart_receive(struct mv_uart *uart, uint8_t byte);

/* A break arrives: a zero byte with LSR.BI. */
void mv_uart_receive_break(struct mv_uart *uart);

#endif
