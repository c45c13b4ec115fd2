/* SPDX-License-Identifier: MIT */
/*
 * The 16550A model, register by register, against the PC16550D data sheet (June
 * 1995).  Section numbers are the data sheet's.
 */
#include "dev/uart.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "uart_check.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };
enum { THR = 0, DLL = 0, DLM = 1, FCR = 2 };

/* One UART for each test: each has a process of its own. */
static struct mv_uart uart;
static bool line;
static unsigned rises; /* edges of the line, as an edge-triggered interrupt controller counts */
static uint8_t sent[64];
static size_t sent_count;
static unsigned drained;
static const char *waiting; /* bytes that arrive as soon as there is room */

static void on_line(void *context, bool level)
{
    cr_assert_eq(context, &uart);
    rises += level && !line;
    line = level;
}

static void on_sent(void *context, uint8_t byte)
{
    (void)context;
    sent[sent_count++ % sizeof(sent)] = byte;
}

static void on_drained(void *context)
{
    (void)context;
    drained++;
    while (waiting && *waiting && mv_uart_room(&uart))
        mv_uart_receive(&uart, (uint8_t)*waiting++);
}

static void start(void)
{
    mv_uart_init(&uart, on_line, on_sent, on_drained, &uart);
}

static uint8_t get(unsigned offset)
{
    uint8_t value = mv_uart_read(&uart, offset);
    const char *wrong = uart_check(&uart, line);

    cr_assert_null(wrong, "after reading register %u: %s", offset, wrong);
    return value;
}

static void set(unsigned offset, unsigned value)
{
    const char *wrong;

    mv_uart_write(&uart, offset, (uint8_t)value);
    wrong = uart_check(&uart, line);
    cr_assert_null(wrong, "after writing %#x to register %u: %s", value, offset, wrong);
}

static void receive(const char *bytes)
{
    while (*bytes)
        mv_uart_receive(&uart, (uint8_t)*bytes++);
    cr_assert_null(uart_check(&uart, line));
}

static unsigned cause(void)
{
    return uart_check_peek(&uart, IIR) & 0x0fu;
}

TestSuite(uart, .init = start);

/* ---- 8.0, table III: reset ---- */

Test(uart, reset_gives_the_values_of_table_iii)
{
    static const uint8_t expected[] = {0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00};

    for (unsigned i = 0; i < 8; i++)
        cr_expect_eq(get(i), expected[i], "register %u", i);
    cr_expect(!line);
    cr_expect_eq(mv_uart_room(&uart), 0);
}

Test(uart, registers_beyond_the_eighth_read_as_all_ones_and_ignore_writes)
{
    struct mv_uart before = uart;

    for (unsigned offset = 8; offset < 16; offset++) {
        cr_expect_eq(get(offset), 0xff);
        set(offset, 0x55);
    }
    cr_expect_eq(memcmp(&before.state, &uart.state, sizeof(before.state)), 0);
}

/* ---- when the other side may send ---- */

Test(uart, a_guest_is_ready_to_receive_when_rts_is_on)
{
    set(MCR, MV_UART_MCR_DTR);
    cr_expect_eq(mv_uart_room(&uart), 0);
    drained = 0;
    set(MCR, MV_UART_MCR_DTR | MV_UART_MCR_RTS);
    cr_expect_eq(mv_uart_room(&uart), 1);
    cr_expect_eq(drained, 1);
    set(MCR, 0);
    cr_expect_eq(mv_uart_room(&uart), 0);
}

/* As xv6, which writes 0 to MCR. */
Test(uart, a_guest_that_takes_interrupts_and_leaves_the_modem_lines_off_is_ready)
{
    set(MCR, 0);
    set(IER, MV_UART_IER_THRE);
    cr_expect_eq(mv_uart_room(&uart), 0);
    set(IER, MV_UART_IER_RDA);
    cr_expect_eq(mv_uart_room(&uart), 1);
    set(MCR, MV_UART_MCR_DTR);
    cr_expect_eq(mv_uart_room(&uart), 0);
}

Test(uart, a_guest_that_polls_is_ready_and_one_that_prints_is_not)
{
    for (unsigned i = 0; i < 10 * MV_UART_POLLS; i++) {
        get(LSR);
        if (i % 3 == 0)
            set(THR, 'x');
    }
    cr_expect_eq(mv_uart_room(&uart), 0);
    for (unsigned i = 0; i < MV_UART_POLLS; i++)
        get(LSR);
    cr_expect_eq(mv_uart_room(&uart), 1);
    set(THR, 'x'); /* an echo: it stays ready */
    cr_expect_eq(mv_uart_room(&uart), 1);
    set(MCR, MV_UART_MCR_DTR); /* a driver sets the port up */
    cr_expect_eq(mv_uart_room(&uart), 0);
}

/* ---- registers that hold what was written ---- */

Test(uart, scr_and_lcr_hold_eight_bits_mcr_five_and_ier_four)
{
    for (unsigned value = 0; value < 256; value++) {
        set(SCR, value);
        cr_expect_eq(get(SCR), value);
        set(MCR, value);
        cr_expect_eq(get(MCR), value & 0x1f);
        set(IER, value);
        cr_expect_eq(get(IER), value & 0x0f);
        set(LCR, value);
        cr_expect_eq(get(LCR), value);
        set(LCR, 0);
    }
    cr_expect_eq(sent_count, 0);
}

Test(uart, lsr_and_msr_ignore_writes)
{
    for (unsigned value = 0; value < 256; value++) {
        set(LSR, value);
        set(MSR, value);
    }
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(get(MSR), 0xb0);
}

Test(uart, dlab_shows_the_divisor_in_place_of_data_and_ier)
{
    receive("a");
    set(IER, 0x05);
    set(LCR, 0x83);
    set(DLL, 0x12);
    set(DLM, 0x34);
    cr_expect_eq(get(DLL), 0x12);
    cr_expect_eq(get(DLM), 0x34);
    cr_expect_eq(sent_count, 0, "the divisor must not be sent");
    set(LCR, 0x03);
    cr_expect_eq(get(IER), 0x05, "the divisor must not reach IER");
    cr_expect_eq(get(RBR), 'a', "reading the divisor must not take a byte");
    set(LCR, 0x80);
    cr_expect_eq(get(DLL), 0x12);
    cr_expect_eq(get(DLM), 0x34);
}

Test(uart, dlab_leaves_iir_fcr_and_the_other_registers_where_they_are)
{
    set(LCR, 0x80);
    set(FCR, 0x01);
    cr_expect_eq(get(IIR), 0xc1);
    set(MCR, 0x0b);
    cr_expect_eq(get(MCR), 0x0b);
    set(SCR, 0x99);
    cr_expect_eq(get(SCR), 0x99);
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(get(MSR), 0xb0);
}

/* ---- the transmitter ---- */

Test(uart, bytes_written_to_thr_are_sent_in_order)
{
    set(THR, 'a');
    set(THR, 'b');
    set(THR, 0);
    cr_expect_eq(sent_count, 3);
    cr_expect_eq(memcmp(sent, "ab", 3), 0);
    cr_expect_eq(get(LSR), 0x60, "the transmitter is empty at once");
}

Test(uart, enabling_the_thre_interrupt_raises_it_because_thr_is_empty)
{
    set(IER, 0x02);
    cr_expect(line);
    cr_expect_eq(get(IIR), 0x02);
}

Test(uart, reading_iir_answers_the_thre_interrupt)
{
    set(IER, 0x02);
    cr_expect_eq(get(IIR), 0x02);
    cr_expect(!line);
    cr_expect_eq(get(IIR), 0x01);
    set(THR, 'x');
    cr_expect(line);
    cr_expect_eq(get(IIR), 0x02);
    cr_expect_eq(get(IIR), 0x01);
}

Test(uart, reading_iir_answers_thre_only_when_thre_is_the_cause_shown)
{
    set(IER, 0x03);
    receive("a");
    cr_expect_eq(get(IIR), 0x04, "received data goes first");
    cr_expect_eq(get(IIR), 0x04);
    cr_expect_eq(get(RBR), 'a');
    cr_expect(line);
    cr_expect_eq(get(IIR), 0x02, "THRE was not answered by reading another cause");
    cr_expect_eq(get(IIR), 0x01);
}

Test(uart, writing_the_same_ier_again_does_not_raise_thre_again)
{
    set(IER, 0x02);
    get(IIR);
    set(IER, 0x02);
    cr_expect(!line);
    set(IER, 0x06);
    cr_expect(!line);
    set(IER, 0x00);
    set(IER, 0x02);
    cr_expect(line, "turned off and on again, it comes again");
}

Test(uart, disabling_thre_lowers_the_line)
{
    set(IER, 0x02);
    set(IER, 0x00);
    cr_expect(!line);
}

Test(uart, writing_thr_answers_thre_so_each_byte_makes_an_edge)
{
    /* Table V: THRE is reset by reading IIR or by writing THR.  A driver that only
     * writes the next byte at each interrupt lives on these edges. */
    set(IER, 0x02);
    cr_expect_eq(rises, 1);
    for (unsigned i = 0; i < 5; i++) {
        set(THR, 'a');
        cr_expect(line);
        cr_expect_eq(rises, 2 + i);
    }
}

/* ---- the receiver without FIFOs ---- */

Test(uart, a_byte_received_is_read_once)
{
    receive("a");
    cr_expect_eq(get(LSR), 0x61);
    cr_expect_eq(get(RBR), 'a');
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(get(RBR), 'a', "RBR keeps the last byte");
}

Test(uart, received_data_interrupts_until_it_is_read)
{
    receive("a");
    cr_expect(!line, "not enabled");
    set(IER, 0x01);
    cr_expect(line);
    cr_expect_eq(get(IIR), 0x04);
    cr_expect_eq(get(IIR), 0x04, "reading IIR does not answer it");
    get(RBR);
    cr_expect(!line);
}

Test(uart, without_fifos_an_overrun_replaces_the_byte)
{
    receive("ab");
    cr_expect_eq(get(LSR), 0x63);
    cr_expect_eq(get(LSR), 0x61, "reading LSR clears OE and nothing else");
    cr_expect_eq(get(RBR), 'b');
    cr_expect_eq(get(LSR), 0x60);
}

Test(uart, each_read_of_a_waiting_stream_makes_an_edge_without_fifos)
{
    set(MCR, MV_UART_MCR_RTS);
    /* A driver that reads one byte at each interrupt lives on these edges. */
    waiting = "abcd";
    set(IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        cr_expect(line);
        cr_expect_eq(rises, 1 + i);
        cr_expect_eq(get(RBR), 'a' + i);
    }
    cr_expect(!line);
}

Test(uart, reading_rbr_tells_that_there_is_room)
{
    set(MCR, MV_UART_MCR_RTS);
    drained = 0;
    receive("a");
    cr_expect_eq(mv_uart_room(&uart), 0);
    get(RBR);
    cr_expect_eq(mv_uart_room(&uart), 1);
    cr_expect_eq(drained, 1);
}

/* ---- FIFOs, 8.2 ---- */

Test(uart, iir_tells_whether_fifos_are_enabled)
{
    cr_expect_eq(get(IIR), 0x01);
    set(FCR, 0x01);
    cr_expect_eq(get(IIR), 0xc1);
    set(FCR, 0x00);
    cr_expect_eq(get(IIR), 0x01);
}

Test(uart, the_fifo_holds_sixteen_bytes_in_order)
{
    set(MCR, MV_UART_MCR_RTS);
    set(FCR, 0x01);
    cr_expect_eq(mv_uart_room(&uart), 16);
    receive("0123456789abcdef");
    cr_expect_eq(mv_uart_room(&uart), 0);
    for (const char *at = "0123456789abcdef"; *at; at++) {
        cr_expect_eq(get(LSR), 0x61);
        cr_expect_eq(get(RBR), (uint8_t)*at);
    }
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(mv_uart_room(&uart), 16);
}

Test(uart, with_fifos_an_overrun_loses_the_new_byte)
{
    set(FCR, 0x01);
    receive("0123456789abcdefX");
    cr_expect_eq(get(LSR), 0x63);
    for (const char *at = "0123456789abcdef"; *at; at++)
        cr_expect_eq(get(RBR), (uint8_t)*at);
    cr_expect_eq(get(LSR), 0x60);
}

Test(uart, trigger_levels_are_1_4_8_and_14_and_less_is_a_timeout)
{
    static const unsigned levels[] = {1, 4, 8, 14};

    set(IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        set(FCR, 0x03 | i << 6);
        for (unsigned count = 1; count <= 16; count++) {
            receive("x");
            cr_expect(line);
            cr_expect_eq(get(IIR), count >= levels[i] ? 0xc4 : 0xcc, "level %u, %u bytes",
                         levels[i], count);
        }
        for (unsigned count = 15; count < 16; count--) {
            get(RBR);
            cr_expect_eq(get(IIR), count >= levels[i] ? 0xc4 : count ? 0xcc : 0xc1);
        }
    }
}

Test(uart, the_trigger_level_can_be_changed_with_bytes_waiting)
{
    set(IER, 0x01);
    set(FCR, 0xc1);
    receive("abcd");
    cr_expect_eq(get(IIR), 0xcc);
    set(FCR, 0x41);
    cr_expect_eq(get(IIR), 0xc4, "and the bytes are still there");
    cr_expect_eq(get(RBR), 'a');
}

Test(uart, fcr_without_its_bit_0_programs_nothing_else)
{
    set(IER, 0x01);
    receive("a");
    set(FCR, 0xc2);
    cr_expect_eq(get(RBR), 'a', "the receiver was not cleared");
    set(FCR, 0x01);
    receive("b");
    cr_expect_eq(get(IIR), 0xc4, "the trigger level was not set");
}

Test(uart, clearing_the_receiver_empties_it_and_lowers_the_line)
{
    set(IER, 0x01);
    set(FCR, 0x01);
    receive("abc");
    cr_expect(line);
    set(FCR, 0x03);
    cr_expect(!line);
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(mv_uart_room(&uart), 16);
    receive("d");
    cr_expect_eq(get(RBR), 'd');
}

Test(uart, clearing_the_transmitter_leaves_the_receiver_alone)
{
    set(FCR, 0x01);
    receive("ab");
    set(FCR, 0x05);
    cr_expect_eq(get(RBR), 'a');
    cr_expect_eq(get(RBR), 'b');
}

Test(uart, turning_fifos_on_or_off_empties_them)
{
    set(MCR, MV_UART_MCR_RTS);
    receive("a");
    set(FCR, 0x01);
    cr_expect_eq(get(LSR), 0x60);
    receive("bc");
    set(FCR, 0x00);
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(mv_uart_room(&uart), 1);
    receive("d");
    cr_expect_eq(get(RBR), 'd');
}

Test(uart, clearing_asks_for_more_input)
{
    set(MCR, MV_UART_MCR_RTS);
    set(FCR, 0x01);
    waiting = "xyz";
    set(FCR, 0x03);
    cr_expect_eq(get(RBR), 'x');
}

Test(uart, the_dma_bit_changes_nothing_that_can_be_seen)
{
    set(FCR, 0x09);
    cr_expect_eq(get(IIR), 0xc1);
    receive("a");
    set(FCR, 0x01);
    cr_expect_eq(get(RBR), 'a');
}

/* ---- line status, 8.5 ---- */

Test(uart, a_break_is_a_zero_byte_with_bi)
{
    mv_uart_receive_break(&uart);
    cr_expect_eq(get(LSR), 0x71);
    cr_expect_eq(get(LSR), 0x61, "reading LSR clears BI");
    cr_expect_eq(get(RBR), 0);
}

Test(uart, line_status_interrupts_until_lsr_is_read)
{
    set(IER, 0x04);
    mv_uart_receive_break(&uart);
    cr_expect(line);
    cr_expect_eq(get(IIR), 0x06);
    cr_expect_eq(get(IIR), 0x06);
    get(LSR);
    cr_expect(!line);
    mv_uart_receive(&uart, 'a'); /* an overrun: the zero byte is still there */
    cr_expect_eq(get(IIR), 0x06);
    cr_expect_eq(get(LSR), 0x63);
    cr_expect(!line);
}

Test(uart, bi_belongs_to_the_byte_on_top_of_the_fifo)
{
    set(FCR, 0x01);
    set(IER, 0x04);
    receive("a");
    mv_uart_receive_break(&uart);
    receive("b");
    cr_expect(!line, "the break is not on top yet");
    cr_expect_eq(get(LSR), 0xe1, "but bit 7 tells of it");
    cr_expect_eq(get(LSR), 0xe1, "and reading does not clear that, as it is still to come");
    cr_expect_eq(get(RBR), 'a');
    cr_expect(line);
    cr_expect_eq(get(LSR), 0xf1);
    cr_expect_eq(get(LSR), 0x61);
    cr_expect_eq(get(RBR), 0);
    cr_expect_eq(get(LSR), 0x61);
    cr_expect_eq(get(RBR), 'b');
}

Test(uart, bi_stays_until_lsr_is_read_also_after_its_byte)
{
    set(FCR, 0x01);
    mv_uart_receive_break(&uart);
    get(RBR);
    cr_expect_eq(get(LSR), 0x70);
    cr_expect_eq(get(LSR), 0x60);
}

Test(uart, lsr_bit_7_stays_while_another_error_is_in_the_fifo)
{
    set(FCR, 0x01);
    mv_uart_receive_break(&uart);
    mv_uart_receive_break(&uart);
    cr_expect_eq(get(LSR), 0xf1);
    cr_expect_eq(get(LSR), 0xe1, "the second one is below the top");
    get(RBR);
    cr_expect_eq(get(LSR), 0xf1);
    cr_expect_eq(get(LSR), 0x61);
}

Test(uart, lsr_bit_7_is_zero_without_fifos)
{
    mv_uart_receive_break(&uart);
    cr_expect_eq(get(LSR) & 0x80, 0);
}

Test(uart, clearing_the_receiver_clears_lsr_bit_7)
{
    set(FCR, 0x01);
    receive("a");
    mv_uart_receive_break(&uart);
    set(FCR, 0x03);
    cr_expect_eq(get(LSR), 0x60);
}

Test(uart, a_break_into_a_full_fifo_is_an_overrun)
{
    set(FCR, 0x01);
    receive("0123456789abcdef");
    mv_uart_receive_break(&uart);
    cr_expect_eq(get(LSR), 0x63);
}

/* ---- interrupt priority, 8.3, table V ---- */

static void raise_all(void)
{
    set(FCR, 0x01);
    set(MCR, 0x10); /* loopback: the lines that were on go off */
    set(MCR, 0x00); /* and on: three deltas */
    mv_uart_receive_break(&uart);
}

Test(uart, causes_show_by_falling_priority_as_each_is_answered)
{
    raise_all();
    set(IER, 0x0f);
    cr_expect_eq(get(IIR), 0xc6);
    get(LSR);
    cr_expect_eq(get(IIR), 0xc4);
    get(RBR);
    cr_expect_eq(get(IIR), 0xc2);
    cr_expect_eq(get(IIR), 0xc0, "reading it has answered THRE");
    cr_expect_eq(get(IIR), 0xc0);
    get(MSR);
    cr_expect_eq(get(IIR), 0xc1);
    cr_expect(!line);
}

Test(uart, each_combination_of_enabled_interrupts_shows_the_highest)
{
    for (unsigned enabled = 0; enabled < 16; enabled++) {
        start();
        raise_all();
        set(IER, enabled);
        cr_expect_eq(cause(),
                     enabled & 0x04   ? 0x06
                     : enabled & 0x01 ? 0x04
                     : enabled & 0x02 ? 0x02
                     : enabled & 0x08 ? 0x00
                                      : 0x01,
                     "IER %#x", enabled);
        cr_expect_eq(line, enabled != 0);
    }
}

Test(uart, a_timeout_goes_before_thre_and_after_line_status)
{
    set(FCR, 0xc1);
    set(IER, 0x07);
    receive("a");
    cr_expect_eq(get(IIR), 0xcc);
    mv_uart_receive_break(&uart);
    cr_expect_eq(get(IIR), 0xcc, "the break is not on top");
    get(RBR);
    cr_expect_eq(get(IIR), 0xc6);
    get(LSR);
    cr_expect_eq(get(IIR), 0xcc);
    get(RBR);
    cr_expect_eq(get(IIR), 0xc2);
}

/* ---- loopback and modem status, 8.6 and 8.7 ---- */

Test(uart, the_modem_lines_are_on_outside_of_loopback)
{
    for (unsigned mcr = 0; mcr < 16; mcr++) {
        set(MCR, mcr);
        cr_expect_eq(get(MSR), 0xb0);
    }
}

Test(uart, in_loopback_the_modem_inputs_are_the_outputs)
{
    for (unsigned mcr = 0; mcr < 16; mcr++) {
        unsigned expected = (mcr & 1) << 5 | (mcr & 2) << 3 | (mcr & 4) << 4 | (mcr & 8) << 4;

        set(MCR, 0x10 | mcr);
        cr_expect_eq(get(MSR) & 0xf0, expected, "MCR %#x", mcr);
    }
}

Test(uart, msr_deltas_tell_each_change_until_msr_is_read)
{
    set(MCR, 0x10);
    get(MSR);
    set(MCR, 0x12); /* RTS on: CTS */
    cr_expect_eq(get(MSR), 0x11);
    cr_expect_eq(get(MSR), 0x10, "reading clears the deltas");
    set(MCR, 0x13); /* DTR on: DSR */
    cr_expect_eq(get(MSR), 0x32);
    set(MCR, 0x1b); /* OUT2 on: DCD */
    cr_expect_eq(get(MSR), 0xb8);
    set(MCR, 0x19); /* RTS off */
    set(MCR, 0x1b); /* and on again: the delta stays */
    cr_expect_eq(get(MSR), 0xb1);
}

Test(uart, teri_tells_only_of_the_ring_going_off)
{
    set(MCR, 0x10);
    get(MSR);
    set(MCR, 0x14);
    cr_expect_eq(get(MSR), 0x40, "ring on: no TERI");
    set(MCR, 0x10);
    cr_expect_eq(get(MSR), 0x04, "ring off: TERI");
    cr_expect_eq(get(MSR), 0x00);
}

Test(uart, modem_status_interrupts_until_msr_is_read)
{
    set(IER, 0x08);
    cr_expect(!line);
    set(MCR, 0x10);
    cr_expect(line);
    cr_expect_eq(get(IIR), 0x00);
    cr_expect_eq(get(MSR), 0x0b, "CTS, DSR and DCD went off");
    cr_expect(!line);
    cr_expect_eq(get(IIR), 0x01);
}

Test(uart, in_loopback_what_is_sent_is_received_and_nothing_leaves)
{
    set(MCR, 0x10);
    set(THR, 'L');
    cr_expect_eq(sent_count, 0);
    cr_expect_eq(get(LSR), 0x61);
    cr_expect_eq(get(RBR), 'L');
}

Test(uart, in_loopback_interrupts_work)
{
    set(MCR, 0x10);
    get(MSR);
    set(IER, 0x03);
    get(IIR);
    set(THR, 'L');
    cr_expect_eq(get(IIR), 0x04);
    get(RBR);
    cr_expect_eq(get(IIR), 0x02);
}

Test(uart, in_loopback_an_overrun_is_seen)
{
    set(MCR, 0x10);
    set(THR, 'a');
    set(THR, 'b');
    cr_expect_eq(get(LSR), 0x63);
    cr_expect_eq(get(RBR), 'b');
    set(FCR, 0x01);
    for (unsigned i = 0; i < 17; i++)
        set(THR, i);
    cr_expect_eq(get(LSR), 0x63);
    for (unsigned i = 0; i < 16; i++)
        cr_expect_eq(get(RBR), i);
}

Test(uart, in_loopback_a_break_that_starts_is_received_once)
{
    set(MCR, 0x10);
    set(LCR, 0x43);
    cr_expect_eq(get(LSR), 0x71);
    cr_expect_eq(get(RBR), 0);
    set(LCR, 0x43);
    cr_expect_eq(get(LSR), 0x60, "it goes on, and does not start");
    set(LCR, 0x03);
    cr_expect_eq(get(LSR), 0x60);
}

Test(uart, a_break_outside_of_loopback_is_not_received)
{
    set(LCR, 0x43);
    cr_expect_eq(get(LSR), 0x60);
    cr_expect_eq(sent_count, 0);
}

Test(uart, loopback_cuts_the_receiver_off_and_its_end_asks_for_input)
{
    set(FCR, 0x01);
    set(MCR, 0x10);
    cr_expect_eq(mv_uart_room(&uart), 0);
    waiting = "in";
    drained = 0;
    set(MCR, 0x13);
    cr_expect_str_eq(waiting, "in");
    set(MCR, 0x03);
    cr_expect_str_eq(waiting, "");
    cr_expect_eq(get(RBR), 'i');
    cr_expect_eq(get(RBR), 'n');
}

/* ---- anything at all ---- */

/* The receiver as a plain queue, beside the model. */
static struct {
    uint8_t bytes[16];
    unsigned count;
} queue;

static void queue_push(uint8_t byte)
{
    bool fifo = uart.state.fcr & 1;

    if (!fifo)
        queue.count = 0;
    if (queue.count < 16)
        queue.bytes[queue.count++] = byte;
}

static void random_write(unsigned offset, uint8_t value)
{
    bool dlab = uart.state.lcr & 0x80, loop = uart.state.mcr & 0x10;
    bool break_starts = offset == LCR && loop && (value & ~uart.state.lcr & 0x40);

    if (offset == THR && !dlab && loop)
        queue_push(value);
    if (break_starts)
        queue_push(0);
    if (offset == FCR && (((value ^ uart.state.fcr) & 1) || (value & 3) == 3))
        queue.count = 0;
    set(offset, value);
}

static void random_read(unsigned offset)
{
    bool data = offset == RBR && !(uart.state.lcr & 0x80) && queue.count;
    uint8_t value = get(offset);

    if (!data)
        return;
    cr_assert_eq(value, queue.bytes[0]);
    memmove(queue.bytes, queue.bytes + 1, --queue.count);
}

Test(uart, a_million_random_accesses_break_no_invariant_and_lose_no_byte)
{
    unsigned seed = 16550;

    for (unsigned i = 0; i < 1000000; i++) {
        unsigned dice = (unsigned)rand_r(&seed), offset = dice >> 8 & 7;
        uint8_t value = (uint8_t)(dice >> 16);

        if (dice % 8 < 3) {
            random_write(offset, value);
        } else if (dice % 8 < 6) {
            random_read(offset);
        } else if (dice % 64 == 7) {
            queue_push(0);
            mv_uart_receive_break(&uart);
        } else {
            queue_push(value);
            mv_uart_receive(&uart, value);
        }
        cr_assert_null(uart_check(&uart, line));
        cr_assert_eq(uart.state.fifo_count, queue.count, "access %u", i);
    }
}
