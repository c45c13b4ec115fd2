/* SPDX-License-Identifier: MIT */
/* A 16550A UART as a register model: see uart.h. */
#include "dev/uart.h"

#include <string.h>

static bool fifos_enabled(const struct mv_uart *uart)
{
    return uart->state.fcr & MV_UART_FCR_ENABLE;
}

/* 8.2: how many bytes must be waiting to raise "received data available". */
static unsigned trigger_level(const struct mv_uart *uart)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return fifos_enabled(uart) ? levels[uart->state.fcr >> 6] : 1;
}

/* The flags of the byte that is read next. */
static unsigned top_flags(const struct mv_uart *uart)
{
    const struct mv_uart_state *s = &uart->state;

    return s->fifo_count ? s->fifo[s->fifo_head].flags : 0;
}

/* The pending cause of the highest priority (8.3, table V): decided here and nowhere else. */
static uint8_t interrupt_cause(const struct mv_uart *uart)
{
    const struct mv_uart_state *s = &uart->state;

    if ((s->ier & MV_UART_IER_RLS) && (s->lsr & (MV_UART_LSR_OE | MV_UART_LSR_BI)))
        return MV_UART_IIR_RLS;
    if ((s->ier & MV_UART_IER_RDA) && s->fifo_count >= trigger_level(uart))
        return MV_UART_IIR_RDA;
    if ((s->ier & MV_UART_IER_RDA) && s->fifo_count)
        return MV_UART_IIR_TIMEOUT;
    if ((s->ier & MV_UART_IER_THRE) && s->thre_pending)
        return MV_UART_IIR_THRE;
    if ((s->ier & MV_UART_IER_MS) && (s->msr & 0x0f))
        return MV_UART_IIR_MS;
    return MV_UART_IIR_NONE;
}

/* Drives the pin; nothing else does. */
static void update(struct mv_uart *uart)
{
    uart->line(uart->context, interrupt_cause(uart) != MV_UART_IIR_NONE);
}

/* Derives LSR bits 0 and 7 from the FIFO.  BI is set when its byte reaches the top, and stays until
 * LSR is read (8.5). */
static void refresh_lsr(struct mv_uart *uart)
{
    struct mv_uart_state *s = &uart->state;
    bool errors = false;

    for (unsigned i = 0; i < s->fifo_count; i++)
        errors |= s->fifo[(s->fifo_head + i) % MV_UART_FIFO].flags != 0;
    s->lsr &= (uint8_t) ~(MV_UART_LSR_DR | MV_UART_LSR_FIFO);
    if (s->fifo_count)
        s->lsr |= MV_UART_LSR_DR;
    if (errors && fifos_enabled(uart))
        s->lsr |= MV_UART_LSR_FIFO;
}

static void show_top(struct mv_uart *uart)
{
    uart->state.lsr |= (uint8_t)top_flags(uart);
    refresh_lsr(uart);
}

static size_t fifo_size(const struct mv_uart *uart)
{
    return fifos_enabled(uart) ? MV_UART_FIFO : 1;
}

static void push(struct mv_uart *uart, uint8_t data, uint8_t flags)
{
    struct mv_uart_state *s = &uart->state;
    unsigned at;

    if (s->fifo_count >= fifo_size(uart)) {
        s->lsr |= MV_UART_LSR_OE;
        if (fifos_enabled(uart))
            return;        /* 8.5: the FIFO keeps its bytes */
        s->fifo_count = 0; /* 8.5: without FIFOs the new byte replaces the old one */
    }
    at = (s->fifo_head + s->fifo_count) % MV_UART_FIFO;
    s->fifo[at].data = data;
    s->fifo[at].flags = flags;
    s->fifo_count++;
    if (s->fifo_count == 1)
        show_top(uart);
    else
        refresh_lsr(uart);
}

static uint8_t pop(struct mv_uart *uart)
{
    struct mv_uart_state *s = &uart->state;
    uint8_t data;

    if (!s->fifo_count)
        return s->fifo[s->fifo_head].data; /* RBR keeps the last byte */
    data = s->fifo[s->fifo_head].data;
    s->fifo[s->fifo_head].flags = 0;
    if (--s->fifo_count) {
        s->fifo_head = (uint8_t)((s->fifo_head + 1) % MV_UART_FIFO);
        show_top(uart);
    } else {
        refresh_lsr(uart);
    }
    return data;
}

static void clear_receiver(struct mv_uart *uart)
{
    uart->state.fifo_count = 0;
    refresh_lsr(uart);
}

/* 8.6: in loopback the modem inputs are the outputs.  Otherwise the other side is present and
 * ready: CTS, DSR and DCD on. */
static uint8_t modem_lines(uint8_t mcr)
{
    uint8_t lines = 0;

    if (!(mcr & MV_UART_MCR_LOOP))
        return MV_UART_MSR_CTS | MV_UART_MSR_DSR | MV_UART_MSR_DCD;
    if (mcr & MV_UART_MCR_RTS)
        lines |= MV_UART_MSR_CTS;
    if (mcr & MV_UART_MCR_DTR)
        lines |= MV_UART_MSR_DSR;
    if (mcr & MV_UART_MCR_OUT1)
        lines |= MV_UART_MSR_RI;
    if (mcr & MV_UART_MCR_OUT2)
        lines |= MV_UART_MSR_DCD;
    return lines;
}

/* 8.7: the low four bits show what has changed since MSR was read; TERI only when RI goes off. */
static void update_modem(struct mv_uart *uart)
{
    struct mv_uart_state *s = &uart->state;
    uint8_t before = s->msr & 0xf0, after = modem_lines(s->mcr);
    uint8_t changed = (uint8_t)((before ^ after) >> 4);

    if (after & MV_UART_MSR_RI)
        changed &= (uint8_t)~MV_UART_MSR_TERI;
    s->msr = (uint8_t)(after | (s->msr & 0x0f) | changed);
}

static void transmit(struct mv_uart *uart, uint8_t byte)
{
    struct mv_uart_state *s = &uart->state;

    /* 8.3, table V: writing THR clears the interrupt.  The line drops for a moment, for interrupt
     * controllers that detect edges. */
    s->thre_pending = 0;
    update(uart);
    if (s->mcr & MV_UART_MCR_LOOP)
        push(uart, byte, 0);
    else
        uart->sent(uart->context, byte);
    s->thre_pending = 1; /* full, and empty again: a new event */
}

static void write_ier(struct mv_uart *uart, uint8_t value)
{
    struct mv_uart_state *s = &uart->state;

    /* 8.4: enabling the interrupt while the register is empty raises it. */
    if ((value & MV_UART_IER_THRE) && !(s->ier & MV_UART_IER_THRE))
        s->thre_pending = 1;
    s->ier = value & 0x0f;
    uart->drained(uart->context); /* the guest may be ready to receive now */
}

static void write_fcr(struct mv_uart *uart, uint8_t value)
{
    struct mv_uart_state *s = &uart->state;
    bool changes = (s->fcr ^ value) & MV_UART_FCR_ENABLE;

    /* 8.2: without bit 0 the other bits are not programmed; changing it empties the FIFOs. */
    s->fcr = value & MV_UART_FCR_ENABLE ? value & (MV_UART_FCR_ENABLE | MV_UART_FCR_TRIGGER) : 0;
    if (changes || ((value & MV_UART_FCR_ENABLE) && (value & MV_UART_FCR_CLEAR_RX)))
        clear_receiver(uart);
    /* The transmitter is always empty: nothing to clear. */
    uart->drained(uart->context);
}

static void write_mcr(struct mv_uart *uart, uint8_t value)
{
    uart->state.mcr = value & 0x1f;
    uart->state.idle_polls = 0;
    update_modem(uart);
    uart->drained(uart->context); /* the guest may be ready to receive now */
}

/* A guest that only reads LSR waits for input; see mv_uart_room. */
static void count_poll(struct mv_uart *uart)
{
    struct mv_uart_state *s = &uart->state;

    if (s->idle_polls < MV_UART_POLLS && ++s->idle_polls == MV_UART_POLLS)
        uart->drained(uart->context);
}

void mv_uart_init(struct mv_uart *uart, void (*line)(void *, bool), void (*sent)(void *, uint8_t),
                  void (*drained)(void *), void *context)
{
    memset(uart, 0, sizeof(*uart));
    uart->line = line;
    uart->sent = sent;
    uart->drained = drained;
    uart->context = context;
    uart->state.lsr = MV_UART_LSR_THRE | MV_UART_LSR_TEMT;
    uart->state.msr = modem_lines(0);
}

static uint8_t read_iir(struct mv_uart *uart)
{
    uint8_t cause = interrupt_cause(uart);

    /* 8.3: reading IIR clears the THRE interrupt, if that is what it shows. */
    if (cause == MV_UART_IIR_THRE)
        uart->state.thre_pending = 0;
    return (uint8_t)(cause | (fifos_enabled(uart) ? MV_UART_IIR_FIFO : 0));
}

uint8_t mv_uart_read(struct mv_uart *uart, unsigned offset)
{
    struct mv_uart_state *s = &uart->state;
    bool dlab = s->lcr & MV_UART_LCR_DLAB;
    uint8_t value = 0xff;

    switch (offset) {
    case 0:
        if (dlab) {
            value = s->dll;
        } else {
            value = pop(uart);
            update(uart); /* drops the line before the next byte, if this was the last */
            uart->drained(uart->context);
        }
        break;
    case 1: value = dlab ? s->dlm : s->ier; break;
    case 2: value = read_iir(uart); break;
    case 3: value = s->lcr; break;
    case 4: value = s->mcr; break;
    case 5: /* 8.5: reading clears the errors */
        count_poll(uart);
        value = s->lsr;
        s->lsr &= (uint8_t) ~(MV_UART_LSR_OE | MV_UART_LSR_BI);
        if (s->fifo_count)
            s->fifo[s->fifo_head].flags = 0;
        refresh_lsr(uart);
        break;
    case 6: /* 8.7: reading clears the changes */
        value = s->msr;
        s->msr &= 0xf0;
        break;
    case 7: value = s->scr; break;
    default: break;
    }
    update(uart);
    return value;
}

void mv_uart_write(struct mv_uart *uart, unsigned offset, uint8_t value)
{
    struct mv_uart_state *s = &uart->state;
    bool dlab = s->lcr & MV_UART_LCR_DLAB;

    if (s->idle_polls < MV_UART_POLLS)
        s->idle_polls = 0;
    switch (offset) {
    case 0:
        if (dlab)
            s->dll = value;
        else
            transmit(uart, value);
        break;
    case 1:
        if (dlab)
            s->dlm = value;
        else
            write_ier(uart, value);
        break;
    case 2: write_fcr(uart, value); break;
    case 3: /* 8.1: in loopback a break sent is received, once, when it begins */
        if ((s->mcr & MV_UART_MCR_LOOP) && (value & ~s->lcr & MV_UART_LCR_BREAK))
            push(uart, 0, MV_UART_LSR_BI);
        s->lcr = value;
        break;
    case 4: write_mcr(uart, value); break;
    case 7: s->scr = value; break;
    default: break; /* LSR and MSR are read-only */
    }
    update(uart);
}

static bool ready_to_receive(const struct mv_uart *uart)
{
    const struct mv_uart_state *s = &uart->state;

    if (s->mcr & MV_UART_MCR_LOOP)
        return false;
    return (s->mcr & MV_UART_MCR_RTS) || s->idle_polls >= MV_UART_POLLS ||
           (s->mcr == 0 && (s->ier & MV_UART_IER_RDA));
}

size_t mv_uart_room(const struct mv_uart *uart)
{
    if (!ready_to_receive(uart))
        return 0;
    return fifo_size(uart) - uart->state.fifo_count;
}

void mv_uart_receive(struct mv_uart *uart, uint8_t byte)
{
    push(uart, byte, 0);
    update(uart);
}

void mv_uart_receive_break(struct mv_uart *uart)
{
    push(uart, 0, MV_UART_LSR_BI);
    update(uart);
}
