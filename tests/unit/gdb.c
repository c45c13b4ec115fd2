/* SPDX-License-Identifier: MIT */
/* GDB's remote protocol as a model, packet by packet, against the GDB manual, appendix E. */
#include "gdb/gdb_protocol.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"
#include "gdb_rig.h"

/* The last type has all bytes that a binary answer must not have as they are. */
static const struct mv_gdb_register registers[] = {
    MV_GDB_FEATURE("org.example.core"),
    MV_GDB_SAME("r0", 64),
    {"r1", "one", 32, "int#$}*"},
    MV_GDB_FEATURE("org.example.more"),
    {"nothing", NULL, 16, ""},
    MV_GDB_SAME("absent", 32),
    MV_GDB_SAME("v0", 128),
};
enum { R0 = 1, R1 = 2, V0 = 6 }; /* their places */
static const struct mv_gdb_arch arch = {.name = "example",
                                        .registers = registers,
                                        .count = MV_COUNT(registers),
                                        .breakpoint = {0xb0, 0xb1, 0xb2, 0xb3},
                                        .breakpoint_size = 4};
static const struct mv_debug_stop step = {.reason = MV_DEBUG_STEP};

static struct gdb_rig rig;
static char said[2 * MV_GDB_PACKET]; /* what has come out */

static void start(void)
{
    gdb_rig_init(&rig, &arch);
    mv_gdb_protocol_attach(&rig.protocol);
}

/* Bytes as they are; returns all that is answered. */
static const char *give_bytes(const char *bytes, size_t size)
{
    mv_gdb_protocol_take(&rig.protocol, bytes, size);
    memcpy(said, rig.out, rig.out_size);
    said[rig.out_size] = '\0';
    gdb_rig_check_output(&rig);
    cr_assert_null(rig.wrong, "%s", rig.wrong);
    return said;
}

static const char *give(const char *bytes)
{
    return give_bytes(bytes, strlen(bytes));
}

/* One packet, byte by byte, with its frame and sum; returns what is in the answer, or NULL if only
 * the packet was acknowledged. */
static const char *ask_bytes(const char *body, size_t size)
{
    char frame[2 * MV_GDB_PACKET + 8];
    uint8_t sum = 0;
    char *at = said;

    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + (uint8_t)body[i]);
    frame[0] = '$';
    memcpy(frame + 1, body, size);
    snprintf(frame + 1 + size, 4, "#%02x", sum);
    for (size_t i = 0; i < size + 4; i++) {
        if (i + 1 == size + 4)
            give_bytes(frame + i, 1);
        else
            cr_assert_str_eq(give_bytes(frame + i, 1), "", "nothing before the end");
    }
    if (!rig.protocol.no_acks)
        cr_assert_eq(*at++, '+');
    if (!*at)
        return NULL;
    cr_assert_eq(*at, '$');
    *strchr(at, '#') = '\0';
    return at + 1;
}

static const char *ask(const char *body)
{
    return ask_bytes(body, strlen(body));
}

TestSuite(gdb, .init = start);

/* ---- frames: E.1 ---- */

Test(gdb, wrong_sum_is_refused_and_not_obeyed)
{
    cr_assert_str_eq(give("$c#00"), "-");
    cr_assert_str_eq(give("$c#6x"), "-");
    cr_assert_eq(rig.resumes, 0);
    cr_assert_str_eq(give("$T3#87"), "+$OK#9a");
    cr_assert_str_eq(give("$qC#B4"), "+$QC1#c5", "digits of either case");
}

Test(gdb, packet_in_pieces_and_two_in_one_piece)
{
    cr_assert_str_eq(give("$T"), "");
    cr_assert_str_eq(give("3#8"), "");
    cr_assert_str_eq(give("7$T1#85"), "+$OK#9a+$OK#9a");
}

Test(gdb, what_is_outside_of_packets_is_passed_over)
{
    cr_assert_str_eq(give("+-noise#00\x04$T3#87+"), "+$OK#9a");
}

Test(gdb, a_debugger_begins_with_an_acknowledgement_a_packet_or_ctrl_c)
{
    for (int byte = 0; byte < 256; byte++)
        cr_expect_eq(mv_gdb_begins((char)byte), byte && strchr("+-$\x03", byte), "%#x", byte);
}

/* Whatever stands before the packet: these are as short as the protocols allow. */
Test(gdb, packets_in_the_body_of_another_protocol_are_not_obeyed)
{
    static const char *const strangers[] = {
        "POST / HTTP/1.1\r\nHost:a\r\n\r\n$k#6b", "POST / HTTP/1.0\r\n\r\n$k#6b",
        "+ / HTTP/1.1\r\nHost:a\r\n\r\n$k#6b",    "$ / HTTP/1.1\r\nHost:a\r\n\r\n$k#6b",
        "EHLO somewhere\r\nDATA\r\n$k#6b",        "$#0$2222222222222222222222$k#6b"};

    for (unsigned i = 0; i < MV_COUNT(strangers); i++) {
        start();
        cr_expect(!mv_gdb_protocol_take(&rig.protocol, strangers[i], strlen(strangers[i])), "%s",
                  strangers[i]);
        cr_expect_eq(rig.kills, 0, "%s", strangers[i]);
    }
}

Test(gdb, noise_is_counted_from_the_beginning_to_the_end)
{
    for (unsigned i = 0; i < MV_GDB_NOISE; i++)
        cr_expect(mv_gdb_protocol_take(&rig.protocol, "?$T3#87", 7));
    cr_expect(!mv_gdb_protocol_take(&rig.protocol, "?", 1));
    start();
    cr_expect(mv_gdb_protocol_take(&rig.protocol, "?$T3#87", 7), "of each debugger anew");
}

Test(gdb, packet_that_begins_inside_of_another_counts)
{
    cr_assert_str_eq(give("$m10000,$T3#87"), "+$OK#9a");
    cr_assert_str_eq(give("$m1#$T3#8$T3#87"), "+$OK#9a");
}

Test(gdb, longest_packet_is_taken_and_a_longer_one_is_an_error)
{
    static char body[MV_GDB_PACKET + 2];

    memset(body, '0', sizeof(body) - 1);
    memcpy(body, "m", 1);
    memcpy(body + MV_GDB_PACKET - 9, "0x10000,4", 9);
    memcpy(body + MV_GDB_PACKET - 8, "010000,4", 8);
    cr_assert_str_eq(ask_bytes(body, MV_GDB_PACKET), "E22", "the number is too long");
    body[0] = 'y';
    cr_assert_str_eq(ask_bytes(body, MV_GDB_PACKET), "", "unknown");
    cr_assert_str_eq(ask_bytes(body, MV_GDB_PACKET + 1), "E22", "too long");
    cr_assert_str_eq(ask("T3"), "OK", "and the next one is good again");
}

Test(gdb, no_ack_mode_ends_acknowledgements_and_a_new_debugger_begins_with_them)
{
    cr_assert_str_eq(give("$QStartNoAckMode#b0"), "+$OK#9a");
    cr_assert_str_eq(give("$T3#87"), "$OK#9a");
    cr_assert_str_eq(give("$T3#88"), "");
    cr_assert_str_eq(ask("QOther"), "");
    mv_gdb_protocol_attach(&rig.protocol);
    cr_assert_str_eq(give("$T3#87"), "+$OK#9a");
}

Test(gdb, unknown_packets_get_the_empty_answer)
{
    static const char *const unknown[] = {"",
                                          "!",
                                          "vMustReplyEmpty",
                                          "vAttach;1",
                                          "R00",
                                          "qTStatus",
                                          "qOffsets",
                                          "bc",
                                          "Q",
                                          "qRcmd,6869",
                                          "vFile:open:2f",
                                          "i",
                                          "qCRC",
                                          "qXfer:features:read:other.xml:0,10"};

    for (size_t i = 0; i < MV_COUNT(unknown); i++)
        cr_assert_str_eq(ask(unknown[i]), "", "%s", unknown[i]);
}

/* ---- running and stopping ---- */

Test(gdb, interrupt_counts_while_it_runs_only)
{
    give("\x03");
    cr_assert_eq(rig.interrupts, 0, "it is stopped already");
    cr_assert_null(ask("c"));
    cr_assert_str_eq(give("\x03"), "");
    cr_assert_eq(rig.interrupts, 1);
    mv_gdb_protocol_stopped(&rig.protocol, 1, 2, &step);
    cr_assert_str_eq(give(""), "$T02thread:2;#d5");
}

Test(gdb, interrupt_right_behind_a_packet_counts_and_one_inside_is_a_byte)
{
    give("$c#63\x03");
    cr_assert_eq(rig.interrupts, 1);
    mv_gdb_protocol_stopped(&rig.protocol, 0, 2, &step);
    give("");
    cr_assert_str_eq(ask_bytes("X10000,1:\x03", 10), "OK");
    cr_assert_eq(rig.memory[0], 3);
    cr_assert_eq(rig.interrupts, 1);
    ask("c");
    cr_assert_str_eq(give("$m1\x03"), "");
    cr_assert_eq(rig.interrupts, 1);
}

Test(gdb, packets_are_not_obeyed_while_it_runs)
{
    ask("c");
    cr_assert_null(ask("m10000,4"));
    cr_assert_null(ask("c"));
    cr_assert_null(ask("D"));
    cr_assert_eq(rig.resumes, 1);
    cr_assert_eq(rig.leaves, 0);
}

Test(gdb, stop_says_thread_and_reason)
{
    static const struct {
        struct mv_debug_stop stop;
        const char *words;
    } stops[] = {
        {{MV_DEBUG_STEP, 0x10}, "T05thread:3;"},
        {{MV_DEBUG_SOFTWARE, 0x10}, "T05thread:3;swbreak:;"},
        {{MV_DEBUG_BREAKPOINT, 0x10}, "T05thread:3;hwbreak:;"},
        {{MV_DEBUG_WATCHPOINT, 0xffff800000001230}, "T05thread:3;watch:ffff800000001230;"}};

    for (size_t i = 0; i < MV_COUNT(stops); i++) {
        ask("c");
        mv_gdb_protocol_stopped(&rig.protocol, 2, 5, &stops[i].stop);
        cr_assert(strstr(give(""), stops[i].words), "%s in %s", stops[i].words, said);
        cr_assert_str_eq(ask("?"), stops[i].words);
        cr_assert_str_eq(ask("qC"), "QC3", "its registers are shown next");
    }
}

/* Which vCPU steps, or -1; all have gone on once more. */
static int stepping(void)
{
    static unsigned resumes;
    int cpu = -1;

    cr_assert_eq(rig.resumes, ++resumes);
    for (int i = 0; i < RIG_CPUS; i++)
        if (rig.debug[i].step) {
            cr_assert_eq(cpu, -1, "one at a time");
            cpu = i;
        }
    mv_gdb_protocol_stopped(&rig.protocol, 0, 5, &step);
    give("");
    return cpu;
}

Test(gdb, continuing_and_stepping_in_all_forms)
{
    static const struct {
        const char *packet;
        int steps;
    } forms[] = {{"c", -1},
                 {"s", 0},
                 {"vCont;c", -1},
                 {"vCont;c:2", -1},
                 {"vCont;s", 0},
                 {"vCont;s:2", 1},
                 {"vCont;s:2;c", 1},
                 {"vCont;s:-1", 0},
                 {"vCont;s:0", 0},
                 {"vCont;S05:3;c:-1", 2},
                 {"vCont;C0b:1;s:3;s:2", 2}};

    for (size_t i = 0; i < MV_COUNT(forms); i++) {
        cr_assert_null(ask(forms[i].packet), "no answer before it stops");
        cr_assert_eq(stepping(), forms[i].steps, "%s", forms[i].packet);
    }
    ask("Hg2");
    ask("vCont;s");
    cr_assert_eq(stepping(), 1, "of the chosen thread");
    cr_assert_str_eq(ask("vCont?"), "vCont;c;C;s;S");
}

Test(gdb, nonsense_in_vcont_is_an_error_and_nothing_goes_on)
{
    static const char *const bad[] = {
        "vCont",        "vCont;",    "vCont;x",     "vCont;s:4",
        "vCont;s:",     "vCont;c;",  "vCont;t",     "vCont;r1000,2000:1",
        "vCont;c:p1.1", "vCont;c;x", "vCont;s:1:2", "c1000"};

    for (size_t i = 0; i < MV_COUNT(bad); i++)
        cr_assert_str_eq(ask(bad[i]), "E22", "%s", bad[i]);
    cr_assert_eq(rig.resumes, 0);
}

Test(gdb, detaching_goes_on_without_points_and_listens_to_nothing_more)
{
    cr_assert_str_eq(ask("Z1,1000,4"), "OK");
    cr_assert_str_eq(give("$D#44$c#63\x03"), "+$OK#9a");
    cr_assert_eq(rig.leaves, 1);
    cr_assert_eq(rig.resumes, 1);
    cr_assert_eq(rig.interrupts, 0);
    for (unsigned i = 0; i < RIG_CPUS; i++)
        cr_assert(!rig.debug[i].count && !rig.debug[i].step && !rig.debug[i].software);
    mv_gdb_protocol_stopped(&rig.protocol, 0, 5, &step);
    mv_gdb_protocol_ended(&rig.protocol);
    cr_assert_str_eq(give(""), "", "nobody is told");
}

Test(gdb, killing_and_the_end)
{
    mv_gdb_protocol_ended(&rig.protocol);
    cr_assert_str_eq(give(""), "$W00#b7");
    cr_assert_str_eq(ask("vKill;1"), "OK");
    cr_assert_eq(rig.kills, 1);
    mv_gdb_protocol_attach(&rig.protocol);
    cr_assert_null(ask("k"));
    cr_assert_eq(rig.kills, 2);
    cr_assert_eq(rig.resumes, 0);
}

/* ---- threads ---- */

Test(gdb, threads_are_vcpus_from_1)
{
    cr_assert_str_eq(ask("qfThreadInfo"), "m1,2,3");
    cr_assert_str_eq(ask("qsThreadInfo"), "l");
    cr_assert_str_eq(ask("qThreadExtraInfo,2"), "764350552031", "vCPU 1");
    cr_assert_str_eq(ask("T3"), "OK");
    cr_assert_str_eq(ask("qAttached"), "1");
}

Test(gdb, thread_that_is_not_there_is_an_error)
{
    static const char *const bad[] = {"Hg4",
                                      "Hg",
                                      "H",
                                      "Hx1",
                                      "Hg-2",
                                      "Hg1x",
                                      "Hgffffffffffffffff",
                                      "qThreadExtraInfo,0",
                                      "qThreadExtraInfo,4",
                                      "Hg11111111111111111"};

    for (size_t i = 0; i < MV_COUNT(bad); i++)
        cr_assert_str_eq(ask(bad[i]), "E22", "%s", bad[i]);
    cr_assert_str_eq(ask("T4"), "E01");
    cr_assert_str_eq(ask("T0"), "E01");
    cr_assert_str_eq(ask("T-1"), "E01");
}

Test(gdb, any_thread_leaves_the_choice)
{
    cr_assert_str_eq(ask("Hg3"), "OK");
    cr_assert_str_eq(ask("Hg0"), "OK");
    cr_assert_str_eq(ask("Hg-1"), "OK");
    cr_assert_str_eq(ask("Hc1"), "OK");
    cr_assert_str_eq(ask("qC"), "QC3");
}

/* ---- registers ---- */

Test(gdb, registers_of_the_chosen_vcpu)
{
    rig.registers[1][R0][0] = 0x21;
    rig.registers[1][R0][7] = 0xfe;
    rig.registers[1][R1][3] = 0x43;
    ask("Hg2");
    cr_assert_str_eq(ask("p0"), "21000000000000fe");
    cr_assert_str_eq(ask("p1"), "00000043");
    cr_assert_str_eq(ask("p2"), "0000", "nothing of ours");
    cr_assert_str_eq(ask("p3"), "xxxxxxxx", "not on this processor");
    cr_assert_str_eq(ask("g"), "21000000000000fe"
                               "00000043"
                               "0000"
                               "xxxxxxxx"
                               "00000000000000000000000000000000");
    cr_assert_str_eq(ask("p5"), "E22");
    cr_assert_str_eq(ask("pffffffffffffffff"), "E22");
    cr_assert_str_eq(ask("p"), "E22");
    cr_assert_str_eq(ask("p1,"), "E22");
}

Test(gdb, registers_are_written_one_by_one_and_together)
{
    cr_assert_str_eq(ask("P1=78563412"), "OK");
    cr_assert_eq(memcmp(rig.registers[0][R1], "\x78\x56\x34\x12\0", 5), 0);
    cr_assert_str_eq(ask("P4=000102030405060708090a0b0c0d0e0f"), "OK");
    cr_assert_eq(rig.registers[0][V0][15], 15);
    cr_assert_str_eq(ask("G0100000000000080"
                         "xxxxxxxx"),
                     "OK", "the rest is as it was");
    cr_assert_eq(rig.registers[0][R0][7], 0x80);
    cr_assert_eq(rig.registers[0][R1][0], 0x78);
    cr_assert_eq(rig.registers[0][V0][15], 15);
}

Test(gdb, registers_of_one_packet_are_set_by_one_call)
{
    cr_assert_str_eq(ask("G01000000000000000200000000"
                         "00xxxxxxxx03000000000000000000000000000000"),
                     "OK");
    cr_assert_eq(rig.register_sets, 1, "those that depend on each other can change together");
    cr_assert_eq(rig.registers[0][R0][0], 1);
    cr_assert_eq(rig.registers[0][R1][0], 2);
    cr_assert_eq(rig.registers[0][V0][0], 3);
    cr_assert_str_eq(ask("G0900000000000000zz"), "E22");
    cr_assert_eq(rig.registers[0][R0][0], 1, "and none by a packet that is bad farther on");
    cr_assert_str_eq(ask("G0100000000000000"), "OK");
    cr_assert_eq(rig.register_sets, 1, "nothing has changed");
}

Test(gdb, registers_by_bad_packets)
{
    static const char *const bad[] = {"P1=785634", "P1=7856341200", "P1=785634zz", "P1",  "P=00",
                                      "P9=00",     "G01",           "Gzz",         "Gxx", "P1="};

    for (size_t i = 0; i < MV_COUNT(bad); i++)
        cr_assert_str_eq(ask(bad[i]), "E22", "%s", bad[i]);
    rig.refused = -EINVAL;
    cr_assert_str_eq(ask("P1=78563412"), "E01", "the machine refuses");
    cr_assert_str_eq(ask("P1=00000000"), "OK", "what is there already");
}

/* ---- memory ---- */

Test(gdb, memory_is_read_as_far_as_there_is_some)
{
    cr_assert_str_eq(ask("m10001,4"), "01020304");
    cr_assert_str_eq(ask("m12ffe,2"), "feff");
    cr_assert_str_eq(ask("m12ffe,10"), "feff", "up to its end");
    cr_assert_str_eq(ask("m13000,1"), "E14");
    cr_assert_str_eq(ask("mfff0,20"), "E14");
    cr_assert_str_eq(ask("m10000,0"), "E14");
    cr_assert_eq(strlen(ask("m10000,ffffffff")), MV_GDB_PACKET, "a packet full");
}

Test(gdb, memory_does_not_wrap)
{
    rig.top[0xfff] = 0x5a;
    cr_assert_str_eq(ask("mffffffffffffffff,1"), "5a");
    cr_assert_str_eq(ask("mffffffffffffffff,2"), "5a");
    cr_assert_str_eq(ask("mffffffffffffffff,ffffffffffffffff"), "5a");
    cr_assert_str_eq(ask("m0,ffffffffffffffff"), "E14");
    cr_assert_str_eq(ask("Mffffffffffffffff,1:a5"), "OK");
    cr_assert_eq(rig.top[0xfff], 0xa5);
    cr_assert_str_eq(ask("Mffffffffffffffff,2:0000"), "E22");
    cr_assert_str_eq(ask("M10000,ffffffffffffffff:00"), "E22");
    cr_assert_eq(rig.top[0xfff], 0xa5);
}

Test(gdb, memory_is_written_whole_or_not)
{
    static const char *const bad[] = {"M10000,2:11",
                                      "M10000,2:111",
                                      "M10000,2:111111",
                                      "M10000,2:11zz",
                                      "M10000,2",
                                      "M10000:11",
                                      "M,2:1111",
                                      "M10000,2;1111",
                                      "m10000",
                                      "m10000,",
                                      "m10000,1x",
                                      "m",
                                      "m11111111111111111,1"};

    cr_assert_str_eq(ask("M10000,2:aaBB"), "OK");
    cr_assert_eq(memcmp(rig.memory, "\xaa\xbb\x02", 3), 0);
    for (size_t i = 0; i < MV_COUNT(bad); i++)
        cr_assert_str_eq(ask(bad[i]), "E22", "%s", bad[i]);
    cr_assert_eq(memcmp(rig.memory, "\xaa\xbb\x02", 3), 0);
    cr_assert_str_eq(ask("M12fff,2:1111"), "E01", "not all of it is memory");
    cr_assert_str_eq(ask("M10000,0:"), "OK");
}

Test(gdb, memory_by_binary_packets_with_escapes)
{
    static const char all[] = "X10000,7:\0}\x03}\x04}]}\x0a\xff"
                              "a";

    cr_assert_str_eq(ask("X0,0:"), "OK", "GDB asks so whether it is known");
    cr_assert_str_eq(ask_bytes(all, sizeof(all) - 1), "OK");
    cr_assert_eq(memcmp(rig.memory,
                        "\0#$}*\xff"
                        "a\x07",
                        8),
                 0);
    cr_assert_str_eq(ask("X10000,2:a"), "E22", "too few");
    cr_assert_str_eq(ask("X10000,2:abc"), "E22", "too many");
    cr_assert_str_eq(ask("X10000,2:a}"), "E22", "an escape with nothing behind it");
    cr_assert_str_eq(ask("X10000,801:a"), "E22");
    cr_assert_eq(memcmp(rig.memory, "\0#$", 3), 0);
}

/* ---- break- and watchpoints ---- */

Test(gdb, points_are_set_on_all_vcpus_when_they_go_on)
{
    cr_assert_str_eq(ask("Z1,ffff800000001000,4"), "OK");
    cr_assert_str_eq(ask("Z2,2008,8"), "OK");
    cr_assert_str_eq(ask("Z4,3000,2"), "OK");
    cr_assert_str_eq(ask("Z1,ffff800000001000,4"), "OK", "once more is the same");
    ask("vCont;s:2");
    for (unsigned i = 0; i < RIG_CPUS; i++) {
        const struct mv_debug *debug = &rig.debug[i];

        cr_assert_eq(debug->count, 3);
        cr_assert_eq(debug->points[0].access, MV_BREAK_EXECUTE);
        cr_assert_eq(debug->points[0].address, 0xffff800000001000);
        cr_assert_eq(debug->points[1].access, MV_WATCH_WRITE);
        cr_assert_eq(debug->points[1].size, 8);
        cr_assert_eq(debug->points[2].access, MV_WATCH_ACCESS);
        cr_assert(debug->software);
        cr_assert_eq(debug->step, i == 1);
    }
}

Test(gdb, points_are_removed_and_there_are_only_so_many)
{
    char packet[32];

    for (unsigned i = 0; i < MV_DEBUG_POINTS; i++) {
        snprintf(packet, sizeof(packet), "Z2,%x,8", 0x1000 + 8 * i);
        cr_assert_str_eq(ask(packet), "OK");
    }
    cr_assert_str_eq(ask("Z2,2000,8"), "E28");
    cr_assert_str_eq(ask("z2,1008,8"), "OK");
    cr_assert_str_eq(ask("z2,1008,8"), "OK", "what is not there is removed already");
    cr_assert_eq(rig.protocol.debug.count, MV_DEBUG_POINTS - 1);
    cr_assert_str_eq(ask("Z2,2000,8"), "OK");
    cr_assert_eq(rig.protocol.debug.count, MV_DEBUG_POINTS);
}

Test(gdb, point_that_the_processor_refuses_is_an_error_and_forgotten)
{
    rig.refused = -EINVAL;
    cr_assert_str_eq(ask("Z2,1001,8"), "E22");
    cr_assert_eq(rig.protocol.debug.count, 0);
}

Test(gdb, points_of_unknown_kinds_and_by_bad_packets)
{
    static const char *const bad[] = {"Z1",
                                      "Z1,",
                                      "Z1,1000",
                                      "Z1,1000,",
                                      "Z1,,4",
                                      "Z2,1000,9",
                                      "Z2,1000,ffffffffffffffff",
                                      "z2,1000",
                                      "Z11000,4"};
    static const char *const unknown[] = {"Z", "z", "Z5,1000,4", "Zx,1000,4", "Z/,1000,4"};

    for (size_t i = 0; i < MV_COUNT(bad); i++)
        cr_assert_str_eq(ask(bad[i]), "E22", "%s", bad[i]);
    for (size_t i = 0; i < MV_COUNT(unknown); i++)
        cr_assert_str_eq(ask(unknown[i]), "", "%s", unknown[i]);
    cr_assert_eq(rig.protocol.debug.count, 0);
}

/* ---- breakpoints in memory ---- */

#define PLACE 0x10100u
static const uint8_t untouched[] = {0x00, 0x01, 0x02, 0x03, 0x04};

static const uint8_t *memory_at(uint64_t address)
{
    return rig.memory + (address - RIG_MEMORY);
}

Test(gdb, breakpoints_in_memory_are_put_there_and_taken_out)
{
    cr_assert_str_eq(ask("Z0,10100,4"), "OK");
    cr_assert_str_eq(ask("Z0,10100,4"), "OK", "once more is the same");
    cr_assert(memcmp(memory_at(PLACE), arch.breakpoint, 4) == 0);
    cr_assert_eq(memory_at(PLACE)[4], 4, "no more than the instruction");
    cr_assert(mv_gdb_is_point(&rig.protocol, PLACE));
    cr_assert(!mv_gdb_is_point(&rig.protocol, PLACE + 4));
    cr_assert_eq(rig.protocol.debug.count, 0, "none of the processor's");
    cr_assert_str_eq(ask("z0,10104,4"), "OK", "what is not there is removed already");
    cr_assert_str_eq(ask("z0,10100,4"), "OK");
    cr_assert(memcmp(memory_at(PLACE), untouched, sizeof(untouched)) == 0);
    cr_assert(!mv_gdb_is_point(&rig.protocol, PLACE));
}

Test(gdb, breakpoints_in_memory_only_where_there_is_some)
{
    cr_assert_str_eq(ask("Z0,9000,4"), "E01");
    cr_assert_str_eq(ask("Z0,fffffffffffffffe,4"), "E01", "it does not wrap");
    cr_assert_eq(rig.protocol.point_count, 0);
    cr_assert_str_eq(ask("Z0,10100"), "E22");
}

Test(gdb, what_the_guest_has_written_over_a_breakpoint_stays)
{
    static const uint8_t written[] = {9, 8, 7, 6};

    cr_assert_str_eq(ask("Z0,10100,4"), "OK");
    memcpy(rig.memory + (PLACE - RIG_MEMORY), written, sizeof(written));
    cr_assert_str_eq(ask("z0,10100,4"), "OK");
    cr_assert(memcmp(memory_at(PLACE), written, sizeof(written)) == 0);
}

Test(gdb, breakpoints_in_memory_are_so_many)
{
    char packet[32];

    for (unsigned i = 0; i < MV_GDB_POINTS; i++) {
        snprintf(packet, sizeof(packet), "Z0,%x,4", PLACE + 4 * i);
        cr_assert_str_eq(ask(packet), "OK");
    }
    cr_assert_str_eq(ask("Z0,10000,4"), "E01");
    cr_assert_eq(*memory_at(RIG_MEMORY), 0);
    cr_assert_str_eq(ask("z0,10100,4"), "OK");
    cr_assert_str_eq(ask("Z0,10000,4"), "OK");
}

/* With a word and without one. */
Test(gdb, breakpoints_in_memory_go_with_their_debugger)
{
    for (int i = 0; i < 2; i++) {
        mv_gdb_protocol_attach(&rig.protocol);
        cr_assert_str_eq(ask("Z0,10100,4"), "OK");
        cr_assert_str_eq(ask("Z0,10200,4"), "OK");
        if (i == 0) {
            cr_assert_str_eq(ask("D"), "OK");
        } else {
            ask("c");
            mv_gdb_protocol_detach(&rig.protocol);
        }
        cr_assert(memcmp(memory_at(PLACE), untouched, sizeof(untouched)) == 0);
        cr_assert_eq(*memory_at(0x10200), 0);
        cr_assert_eq(rig.protocol.point_count, 0);
    }
}

Test(gdb, breakpoints_in_memory_are_points_where_the_target_wants_them)
{
    rig.protocol.stands_in = true;
    cr_assert_str_eq(ask("Z0,1000,1"), "OK");
    cr_assert_eq(rig.protocol.debug.points[0].access, MV_BREAK_EXECUTE);
    cr_assert_eq(rig.protocol.debug.points[0].size, 4, "the architecture's, whatever GDB says");
    cr_assert_str_eq(ask("z0,1000,1"), "OK");
    cr_assert_eq(rig.protocol.debug.count, 0);
}

/* ---- the target description ---- */

Test(gdb, description_comes_in_parts_with_escapes)
{
    static const char wanted[] = "<reg name=\"r1\" bitsize=\"32\" type=\"int#$}*\"/>";
    char whole[2048] = "", packet[80];
    size_t length = 0;

    for (bool more = true; more;) {
        const char *part;

        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%zx,7", length);
        part = ask(packet);
        more = part[0] == 'm';
        cr_assert(more || part[0] == 'l');
        for (part++; *part; part++) {
            cr_assert(!strchr("$*", *part));
            whole[length++] = *part == '}' ? (char)(*++part ^ 0x20) : *part;
        }
    }
    cr_assert(
        strstr(whole, "<architecture>example</architecture><feature name=\"org.example.core\">"));
    cr_assert(strstr(whole, wanted), "%s", whole);
    cr_assert(strstr(whole, "</feature><feature name=\"org.example.more\">"));
    cr_assert_str_eq(whole + length - strlen("</feature></target>"), "</feature></target>");
}

Test(gdb, description_beyond_its_end_is_empty)
{
    cr_assert_str_eq(ask("qXfer:features:read:target.xml:10000,100"), "l");
    cr_assert_str_eq(ask("qXfer:features:read:target.xml:ffffffffffffffff,ffffffffffffffff"), "l");
    cr_assert_str_eq(ask("qXfer:features:read:target.xml:0,0"), "m");
    cr_assert_str_eq(ask("qXfer:features:read:target.xml:0"), "E22");
    cr_assert_str_eq(ask("qXfer:features:read:target.xml:,1"), "E22");
    cr_assert_eq(ask("qXfer:features:read:target.xml:0,ffffffffffffffff")[0], 'l');
}

static void expect_ours(const struct mv_gdb_arch *of_cpu)
{
    size_t count;
    const struct mv_register *all = mv_registers(&count);

    cr_assert_leq(of_cpu->count, MV_REGISTERS_MAX);
    for (size_t i = 0; i < of_cpu->count; i++) {
        const struct mv_gdb_register *of = &of_cpu->registers[i];
        bool found = !of->name || !of->ours;

        cr_assert(of->bits % 8 == 0 && of->bits <= 128);
        for (size_t j = 0; !found && j < count; j++)
            found = strcmp(all[j].name, of->ours) == 0;
        cr_assert(found, "%s is a register of ours", of->ours);
    }
    gdb_rig_init(&rig, of_cpu);
    mv_gdb_protocol_attach(&rig.protocol);
    cr_assert_neq(ask("g")[0], 'E', "all fit a packet");
    cr_assert_neq(ask("qXfer:features:read:target.xml:0,ffff")[0], 'E');
}

Test(gdb, this_architectures_registers_fit_and_are_ours)
{
    expect_ours(&mv_gdb_arch);
    if (mv_gdb_arch32)
        expect_ours(mv_gdb_arch32);
}

Test(gdb, what_is_supported)
{
    cr_assert(strstr(ask("qSupported:multiprocess+;swbreak+"), "PacketSize=1000;"));
    cr_assert(strstr(said, "qXfer:features:read+"));
    cr_assert(strstr(said, "QStartNoAckMode+"));
}
