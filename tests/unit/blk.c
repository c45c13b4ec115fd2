/* SPDX-License-Identifier: MIT */
/*
 * The block device (virtio 1.2, 5.2) on a temporary file: every request, every way to
 * cut it, and what a hostile driver makes of it.  The engine is the test's;
 * blk_host.c has what the host does, blk_engines.c the real engines.
 */
#include "virtio/blk.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "blk_rig.h"

#define SIZE    (1 * MV_MIB)
#define SECTORS (SIZE / BLK_SECTOR)

TestSuite(blk, .init = blk_start, .fini = blk_stop, .timeout = 120);

/* ---- features and configuration ---- */

static uint64_t offered(void)
{
    uint64_t low, high;

    rig_set(REG_DEVICE_FEATURES_SEL, 0);
    low = rig_get(REG_DEVICE_FEATURES);
    rig_set(REG_DEVICE_FEATURES_SEL, 1);
    high = rig_get(REG_DEVICE_FEATURES);
    return low | high << 32;
}

#define OFFERED_ALWAYS                                                                  \
    (MV_VIRTIO_F_VERSION_1 | MV_RING_F_INDIRECT_DESC | MV_RING_F_EVENT_IDX | BLK_F_MQ | \
     BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_TOPOLOGY)

Test(blk, a_disk_offers_what_it_can)
{
    blk_make(SIZE);
    blk_attach();
    cr_expect_eq(offered(), OFFERED_ALWAYS | BLK_F_FLUSH | BLK_F_CONFIG_WCE | BLK_F_DISCARD |
                                BLK_F_WRITE_ZEROES);
    cr_expect_eq(rig_get(REG_DEVICE_ID), 2);
}

Test(blk, a_read_only_disk_offers_ro_and_nothing_that_changes_it)
{
    blk.disk.read_only = true;
    blk_make(SIZE);
    blk_attach();
    cr_expect_eq(offered(), OFFERED_ALWAYS | BLK_F_RO);
}

Test(blk, the_configuration_says_what_the_disk_is)
{
    blk.queues = 5;
    blk_make(3 * SIZE + 512);
    blk_attach();
    cr_expect_eq(blk_config(CONFIG_CAPACITY, 8), 3 * SECTORS + 1);
    cr_expect_eq(blk_config(8, 4), 0, "size_max was not offered");
    cr_expect_eq(blk_config(12, 4), MV_QUEUE_MAX - 2, "seg_max");
    cr_expect_eq(blk_config(16, 4), 0, "geometry was not offered");
    cr_expect_eq(blk_config(20, 4), 512, "blk_size");
    cr_expect_eq(blk_config(24, 1), 3, "eight of them are a physical block");
    cr_expect_eq(blk_config(25, 1), 0, "alignment_offset");
    cr_expect_eq(blk_config(26, 2), 8, "min_io_size");
    cr_expect_eq(blk_config(28, 4), 0, "opt_io_size");
    cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 1);
    cr_expect_eq(blk_config(34, 2), 5, "num_queues");
    cr_expect_eq(blk_config(36, 4), 8 * MV_MIB, "max_discard_sectors: 4 GiB");
    cr_expect_eq(blk_config(40, 4), 16, "max_discard_seg");
    cr_expect_eq(blk_config(44, 4), 8, "discard_sector_alignment");
    cr_expect_eq(blk_config(48, 4), 8 * MV_MIB, "max_write_zeroes_sectors");
    cr_expect_eq(blk_config(52, 4), 16, "max_write_zeroes_seg");
    cr_expect_eq(blk_config(56, 1), 1, "write_zeroes_may_unmap");
}

Test(blk, the_configuration_reads_the_same_at_each_offset_and_width_and_as_ones_beyond)
{
    static const unsigned sizes[] = {1, 2, 4, 8};
    uint8_t bytes[0x100 + 8];

    blk_make(0x1234567 * 512ull);
    blk_attach();
    memset(bytes, 0xff, sizeof(bytes));
    for (unsigned i = 0; i < 0x100; i++)
        bytes[i] = (uint8_t)blk_config(i, 1);
    cr_expect_eq(bytes[0], 0x67);
    for (unsigned i = CONFIG_SIZE; i < 0x100; i++)
        cr_expect_eq(bytes[i], 0xff);
    for (unsigned i = 0; i < MV_COUNT(sizes); i++)
        for (unsigned offset = 0; offset < 0x100; offset++) {
            uint64_t expected = 0;

            memcpy(&expected, bytes + offset, sizes[i]);
            cr_expect_eq(blk_config(offset, sizes[i]), expected, "%u bytes at %u", sizes[i],
                         offset);
        }
}

Test(blk, the_configuration_takes_no_writes_but_the_cache_mode_that_was_negotiated)
{
    static const unsigned sizes[] = {1, 2, 4, 8};
    uint8_t before[CONFIG_SIZE];

    blk_make(SIZE);
    blk_attach();
    blk_go(BLK_F_FLUSH);
    for (unsigned i = 0; i < CONFIG_SIZE; i++)
        before[i] = (uint8_t)blk_config(i, 1);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < MV_COUNT(sizes); i++)
            for (unsigned offset = 0; offset < 0x100; offset++)
                if (pass == 0 || offset != CONFIG_WRITEBACK || sizes[i] != 1)
                    rig_write(REG_CONFIG + offset, sizes[i], 0);
        for (unsigned i = 0; i < CONFIG_SIZE; i++)
            cr_expect_eq(blk_config(i, 1), before[i], "byte %u", i);
        rig_reset();
        blk_go(BLK_F_FLUSH | BLK_F_CONFIG_WCE);
    }
    rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 0xfe);
    cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 0);
    rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 0xff);
    cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 1);
}

/* ---- IN and OUT ---- */

Test(blk, what_is_written_is_in_the_file_and_is_read_again)
{
    static const struct {
        uint64_t sector;
        uint32_t size;
    } rows[] = {{0, 512}, {1, 512}, {7, 4096}, {SECTORS - 1, 512}, {100, 64 * 1024}, {0, SIZE}};

    blk_ready(SIZE);
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        uint32_t size = rows[i].size;

        blk_fill(blk_data(size), rows[i].sector * 512, size, i);
        cr_expect_eq(blk_request(BLK_OUT, rows[i].sector, size), BLK_OK);
        cr_expect_eq(blk.written, 1);
        cr_expect(blk_file_is(rows[i].sector * 512, size, i));
        memset(blk_data(size + 1), 0, size + 1);
        cr_expect_eq(blk_request(BLK_IN, rows[i].sector, size), BLK_OK);
        cr_expect_eq(blk.written, size + 1);
        cr_expect(blk_is(blk_data(size), rows[i].sector * 512, size, i));
        cr_expect_eq(blk_data(size + 1)[size], 0, "and not one byte more");
    }
}

Test(blk, sectors_beyond_the_end_are_refused)
{
    static const struct {
        uint64_t sector;
        uint32_t size;
        bool good;
    } rows[] = {
        {SECTORS - 1, 512, true},
        {SECTORS - 8, 4096, true},
        {0, SIZE, true},
        {SECTORS, 512, false},
        {SECTORS - 1, 1024, false}, /* straddles the end */
        {SECTORS - 7, 4096, false},
        {0, SIZE + 512, false},
        {1, SIZE, false},
        {SECTORS + 1, 512, false},
        {UINT64_MAX, 512, false},
        {UINT64_MAX, 1024, false},
        {UINT64_MAX / 512, 512, false},
        {UINT64_MAX / 512 + 1, 512, false}, /* times 512 it would be 0 */
        {UINT64_MAX / 512 + 2, 512, false},
        {1ull << 55, 512, false},
        {1ull << 63, 512, false},
    };

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        script_forget();
        memset(blk_data(rows[i].size), 0xaa, rows[i].size);
        cr_expect_eq(blk_request(BLK_IN, rows[i].sector, rows[i].size),
                     rows[i].good ? BLK_OK : BLK_IOERR, "row %u", i);
        cr_expect_eq(blk.written, rows[i].good ? rows[i].size + 1 : 0);
        blk_fill(blk_data(rows[i].size), rows[i].sector * 512, rows[i].size, 1);
        cr_expect_eq(blk_request(BLK_OUT, rows[i].sector, rows[i].size),
                     rows[i].good ? BLK_OK : BLK_IOERR, "row %u", i);
        cr_expect_eq(script_bytes(MV_IO_READ), rows[i].good ? rows[i].size : 0);
        cr_expect_eq(script_bytes(MV_IO_WRITE), rows[i].good ? rows[i].size : 0);
    }
    cr_expect(blk_file_is(0, SIZE, 1));
}

Test(blk, lengths_that_are_no_multiple_of_512_are_refused)
{
    static const uint32_t sizes[] = {1, 16, 511, 513, 1023, 4095, 4097, SIZE - 1};

    blk_ready(SIZE);
    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        cr_expect_eq(blk_request(BLK_IN, 0, sizes[i]), BLK_IOERR, "%u", sizes[i]);
        cr_expect_eq(blk_request(BLK_OUT, 0, sizes[i]), BLK_IOERR, "%u", sizes[i]);
    }
    cr_expect_eq(script.log_count, 0);
    cr_expect_eq(blk_request(BLK_IN, 0, 0), BLK_OK, "no bytes");
    cr_expect_eq(blk_request(BLK_OUT, SECTORS, 0), BLK_OK, "no bytes, at the end");
    cr_expect_eq(blk_request(BLK_OUT, SECTORS + 1, 0), BLK_IOERR, "beyond it");
}

Test(blk, buffers_of_any_cut_make_up_a_transfer)
{
    struct ring_part parts[256] = {{BLK_HEADER, 16, false}};
    uint32_t at = 0;

    blk_ready(SIZE);
    /* 254 buffers, some empty, of 65536 bytes in all, one byte apart from each other */
    for (unsigned i = 0; i < 254; i++) {
        uint32_t size = i == 253 ? 65536 - at : i % 3 ? 1 + i * 7 % 300 : i % 2;

        parts[1 + i] = (struct ring_part){RIG_DATA + at + i, size, false};
        blk_fill(rig_at(RIG_DATA + at + i, size), at, size, 3);
        at += size;
    }
    parts[255] = (struct ring_part){BLK_STATUS, 1, true};
    blk_put_header(BLK_OUT, 0);
    cr_expect_eq(blk_request_parts(parts, 256), BLK_OK);
    cr_expect(blk_file_is(0, 65536, 3));
    memset(blk_data(66000), 0xaa, 66000);
    for (unsigned i = 1; i < 255; i++)
        parts[i].writable = true;
    blk_put_header(BLK_IN, 0);
    cr_expect_eq(blk_request_parts(parts, 256), BLK_OK);
    cr_expect_eq(blk.written, 65537);
    at = 0;
    for (unsigned i = 1; i < 255; i++) {
        const uint8_t *bytes = rig_at(parts[i].at, parts[i].size + 1ull);

        cr_expect(blk_is(bytes, at, parts[i].size, 3));
        cr_expect_eq(bytes[parts[i].size], 0xaa, "the byte after buffer %u", i);
        at += parts[i].size;
    }
}

/* ---- header and status, however they are cut (2.7.4.1) ---- */

Test(blk, a_header_may_be_split_over_many_buffers)
{
    struct ring_part parts[20];

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    blk_put_header(BLK_IN, 5);
    for (unsigned i = 0; i < 16; i++)
        parts[i] = (struct ring_part){BLK_HEADER + i, 1, false};
    parts[16] = (struct ring_part){RIG_DATA, 0, false};
    parts[17] = (struct ring_part){RIG_DATA, 512, true};
    parts[18] = (struct ring_part){BLK_STATUS, 1, true};
    cr_expect_eq(blk_request_parts(parts, 19), BLK_OK);
    cr_expect(blk_is(blk_data(512), 5 * 512, 512, 1));
}

Test(blk, header_and_data_may_share_a_buffer_and_data_and_status_too)
{
    const struct ring_part out[] = {
        {RIG_DATA, 16 + 100, false}, {RIG_DATA + 116, 412 + 512, false}, {BLK_STATUS, 1, true}};
    const struct ring_part in[] = {{BLK_HEADER, 16, false}, {RIG_DATA, 513, true}};
    uint8_t *bytes = blk_data(2048);

    blk_ready(SIZE);
    *(struct blk_header *)bytes = (struct blk_header){.type = BLK_OUT, .sector = 3};
    blk_fill(bytes + 16, 3 * 512, 1024, 2);
    cr_expect_eq(blk_request_parts(out, 3), BLK_OK);
    cr_expect(blk_file_is(3 * 512, 1024, 2));
    blk_put_header(BLK_IN, 4);
    bytes[512] = BLK_NONE;
    bytes[513] = 0xaa;
    ring_offer_parts(&blk.rings[0], 0, in, 2);
    rig_set(REG_QUEUE_NOTIFY, 0);
    blk_wait_answers(0, 1);
    cr_expect(blk_is(bytes, 4 * 512, 512, 2));
    cr_expect(bytes[512] == BLK_OK && bytes[513] == 0xaa);
    cr_expect_eq(blk.written, 513);
}

Test(blk, the_status_is_the_last_writable_byte_whatever_is_empty_behind_it)
{
    const struct ring_part parts[] = {{BLK_HEADER, 16, false}, {RIG_DATA, 0, true},
                                      {RIG_DATA, 512, true},   {BLK_STATUS - 2, 3, true},
                                      {RIG_DATA, 0, true},     {RIG_DATA, 0, true}};
    const uint8_t *tail = rig_at(BLK_STATUS - 2, 3);

    blk_ready(SIZE);
    blk_put_header(BLK_FLUSH, 0);
    memset(rig_at(BLK_STATUS - 2, 3), 0x55, 3);
    cr_expect_eq(blk_request_parts(parts, 6), BLK_OK);
    cr_expect(tail[0] == 0x55 && tail[1] == 0x55);
    blk_put_header(BLK_IN, 0);
    cr_expect_eq(blk_request_parts(parts, 6), BLK_IOERR, "514 bytes");
}

Test(blk, without_a_byte_for_the_status_it_needs_a_reset)
{
    const struct ring_part header = {BLK_HEADER, 16, false};
    const struct ring_part empty[] = {header, {BLK_STATUS, 0, true}};

    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            blk_ready(SIZE);
        else
            blk_go(BLK_F_USUAL);
        blk_put_header(BLK_IN, 0);
        if (i == 0)
            ring_offer_parts(&blk.rings[0], 0, &header, 1);
        else
            ring_offer_parts(&blk.rings[0], 0, empty, 2);
        rig_set(REG_QUEUE_NOTIFY, 0);
        rig_turn();
        cr_expect(rig_needs_reset());
        cr_expect_eq(rig_get(REG_INTERRUPT_STATUS) & 2, 2);
        cr_expect_eq(ring_used(&blk.rings[0])[1], 0, "there is no answer");
        rig_reset();
    }
    blk_go(BLK_F_USUAL);
    cr_expect_eq(blk_request(BLK_IN, 0, 512), BLK_OK, "after it all is well");
}

Test(blk, a_header_that_is_too_short_is_an_error)
{
    const struct ring_part status = {BLK_STATUS, 1, true};

    blk_ready(SIZE);
    blk_put_header(BLK_FLUSH, 0);
    for (uint32_t size = 0; size < 16; size++) {
        const struct ring_part parts[] = {{BLK_HEADER, size, false}, status};

        cr_expect_eq(blk_request_parts(parts, 2), BLK_IOERR, "%u bytes", size);
        cr_expect_eq(blk.written, 1);
    }
    cr_expect_eq(blk_request_parts(&status, 1), BLK_IOERR, "none at all");
    cr_expect_eq(script.log_count, 0);
    cr_expect(!rig_needs_reset());
}

Test(blk, a_request_may_be_in_an_indirect_table)
{
    struct ring_descriptor *table = rig_at(RIG_DATA + 0x10000, 48);

    blk_make(SIZE);
    blk_attach();
    blk_go(BLK_F_USUAL | MV_RING_F_INDIRECT_DESC);
    blk_fill_file(0, SIZE, 1);
    blk_put_header(BLK_IN, 9);
    table[0] = (struct ring_descriptor){BLK_HEADER, 16, RING_NEXT, 1};
    table[1] = (struct ring_descriptor){RIG_DATA, 1024, RING_NEXT | RING_WRITE, 2};
    table[2] = (struct ring_descriptor){BLK_STATUS, 1, RING_WRITE, 0};
    for (unsigned i = 0; i < 256; i++) {
        ring_describe(&blk.rings[0], i, RIG_DATA + 0x10000, 48, RING_INDIRECT, 0);
        *(uint8_t *)rig_at(BLK_STATUS, 1) = BLK_NONE;
        ring_offer(&blk.rings[0], i);
        rig_set(REG_QUEUE_NOTIFY, 0);
        blk_wait_answers(0, 1);
        cr_expect_eq(*(uint8_t *)rig_at(BLK_STATUS, 1), BLK_OK);
        cr_expect(blk_is(blk_data(1024), 9 * 512, 1024, 1));
    }
}

Test(blk, buffers_of_the_wrong_direction_are_an_error)
{
    static const uint32_t changing[] = {BLK_OUT, BLK_DISCARD, BLK_WRITE_ZEROES};
    const struct ring_part in[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, 512, false}, {BLK_STATUS, 1, true}};
    const struct ring_part out[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, 512, true}, {BLK_STATUS, 1, true}};
    const struct ring_part both[] = {{BLK_HEADER, 16, false},
                                     {RIG_DATA, 512, false},
                                     {RIG_DATA + 4096, 512, true},
                                     {BLK_STATUS, 1, true}};

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    memset(blk_data(8192), 0, 8192);
    blk_put_header(BLK_IN, 0);
    cr_expect_eq(blk_request_parts(in, 3), BLK_IOERR);
    cr_expect_eq(blk_request_parts(both, 4), BLK_IOERR);
    blk_put_header(BLK_GET_ID, 0);
    cr_expect_eq(blk_request_parts(in, 3), BLK_IOERR);
    for (unsigned i = 0; i < MV_COUNT(changing); i++) {
        blk_put_header(changing[i], 0);
        cr_expect_eq(blk_request_parts(out, 3), BLK_IOERR);
        cr_expect_eq(blk_request_parts(both, 4), BLK_IOERR);
        cr_expect_eq(blk.written, 0, "the data in front of the status was not written");
    }
    cr_expect(blk_is_zero(blk_data(8192), 8192));
    cr_expect(blk_file_is(0, SIZE, 1));
    cr_expect_eq(script.log_count, 0);
}

Test(blk, unknown_types_are_unsupported)
{
    static const uint32_t more[] = {5,  6,    7,    9,          10,         12,        14,
                                    15, 0x10, 0x18, 0x80000000, 0x80000001, UINT32_MAX};

    blk_ready(SIZE);
    for (uint32_t type = 0; type < 32; type++)
        if (type != BLK_IN && type != BLK_OUT && type != BLK_FLUSH && type != BLK_GET_ID &&
            type != BLK_DISCARD && type != BLK_WRITE_ZEROES) {
            cr_expect_eq(blk_request(type, 0, 0), BLK_UNSUPP, "type %u", type);
            cr_expect_eq(blk.written, 1);
            cr_expect_eq(blk_request(type, 0, 512), BLK_UNSUPP, "type %u", type);
        }
    for (unsigned i = 0; i < MV_COUNT(more); i++)
        cr_expect_eq(blk_request(more[i], 0, 0), BLK_UNSUPP);
    cr_expect_eq(script.log_count, 0);
}

/* 2.7.8.2: no more than what was written from the first writable byte on. */
Test(blk, an_answer_does_not_claim_bytes_that_were_not_written)
{
    static const uint32_t types[] = {BLK_FLUSH, 3, 99};
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, 100, true}, {BLK_STATUS, 1, true}};

    blk_ready(SIZE);
    for (unsigned i = 0; i < MV_COUNT(types); i++) {
        blk_put_header(types[i], 0);
        blk_request_parts(parts, 3);
        cr_expect_eq(blk.written, 0, "type %u", types[i]);
    }
    blk_put_header(BLK_IN, 0);
    cr_expect_eq(blk_request_parts(parts, 3), BLK_IOERR);
    cr_expect_eq(blk.written, 0);
}

/* ---- GET_ID ---- */

static void expect_id(const char *serial, uint32_t size)
{
    const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, size, true}, {BLK_STATUS, 1, true}};
    char expected[20] = "";
    unsigned filled = (unsigned)mv_min(size, 20);

    memcpy(expected, serial, strnlen(serial, 20));
    memset(blk_data(64), 0xaa, 64);
    blk_put_header(BLK_GET_ID, 0);
    cr_expect_eq(blk_request_parts(parts, 3), BLK_OK);
    cr_expect_eq(memcmp(blk_data(64), expected, filled), 0, "%u bytes", size);
    for (unsigned i = filled; i < 64; i++)
        cr_expect_eq(blk_data(64)[i], 0xaa, "byte %u of %u", i, size);
    cr_expect_eq(blk.written, size <= 20 ? size + 1 : 20);
}

Test(blk, get_id_gives_the_serial_number_to_exactly_less_and_more_than_20_bytes)
{
    static const uint32_t sizes[] = {20, 1, 8, 19, 21, 32, 50};

    blk.disk.serial = "S-0123456789abcdefgh"; /* 20 characters: no zero behind */
    blk_ready(SIZE);
    for (unsigned i = 0; i < MV_COUNT(sizes); i++)
        expect_id(blk.disk.serial, sizes[i]);
    cr_expect_eq(blk_request(BLK_GET_ID, 0, 0), BLK_OK, "to nothing");
    cr_expect_eq(blk.written, 1);
}

Test(blk, get_id_fills_a_short_serial_number_and_none_with_zeros)
{
    blk.disk.serial = "x";
    blk_ready(SIZE);
    expect_id("x", 20);
}

Test(blk, get_id_of_a_disk_without_a_serial_number_is_zeros)
{
    blk_ready(SIZE);
    expect_id("", 20);
}

/* ---- FLUSH and the cache modes ---- */

Test(blk, flush_syncs_with_and_without_data)
{
    const struct ring_part out[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, 512, false}, {BLK_STATUS, 1, true}};
    const struct ring_part in[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, 512, true}, {BLK_STATUS, 1, true}};

    blk_ready(SIZE);
    cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
    cr_expect_eq(blk.written, 1);
    cr_expect_eq(blk_request(BLK_FLUSH, UINT64_MAX, 0), BLK_OK, "the sector has no meaning");
    blk_put_header(BLK_FLUSH, 0);
    cr_expect_eq(blk_request_parts(out, 3), BLK_OK);
    memset(blk_data(512), 0xaa, 512);
    cr_expect_eq(blk_request_parts(in, 3), BLK_OK);
    cr_expect_eq(blk_data(512)[0], 0xaa, "it gives nothing");
    cr_expect_eq(script_count(MV_IO_SYNC), 4);
    cr_expect_eq(script.log_count, 4);
}

static const struct {
    enum mv_disk_cache cache;
    uint64_t features;
    bool stable; /* writes are, when they complete */
    bool flush;  /* a flush does something */
} modes[] = {
    {MV_CACHE_WRITEBACK, BLK_F_FLUSH, false, true},
    {MV_CACHE_WRITEBACK, BLK_F_FLUSH | BLK_F_CONFIG_WCE, false, true},
    {MV_CACHE_WRITEBACK, 0, true, true}, /* a driver that cannot flush: 5.2.6.2 */
    {MV_CACHE_WRITEBACK, BLK_F_CONFIG_WCE, true, true},
    {MV_CACHE_WRITETHROUGH, BLK_F_FLUSH, true, true},
    {MV_CACHE_WRITETHROUGH, BLK_F_FLUSH | BLK_F_CONFIG_WCE, true, true},
    {MV_CACHE_WRITETHROUGH, 0, true, true},
    {MV_CACHE_UNSAFE, BLK_F_FLUSH, false, false},
    {MV_CACHE_UNSAFE, 0, false, false},
};

/* One write of each kind; each stable on its own or by a sync that follows. */
static void expect_stable(bool stable)
{
    const struct blk_range range = {.sector = 8, .sectors = 16};

    script_forget();
    cr_expect_eq(blk_request(BLK_OUT, 0, 4096), BLK_OK);
    cr_assert_eq(script.log_count, 1);
    cr_expect_eq(script.log[0].stable, stable);
    script_forget();
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &range, 1), BLK_OK);
    cr_expect_eq(script_count(MV_IO_SYNC), stable);
    cr_expect(!stable || script.log[script.log_count - 1].op == MV_IO_SYNC, "it comes last");
    script_forget();
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_OK);
    cr_expect_eq(script_count(MV_IO_SYNC), stable);
    script.errors[MV_IO_ZERO] = -EOPNOTSUPP; /* by writing zeros */
    script_forget();
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_OK);
    cr_expect_eq(script_count(MV_IO_WRITE), 1);
    cr_expect_eq(script_count(MV_IO_SYNC), stable);
    script.errors[MV_IO_ZERO] = 0;
    script_forget();
    cr_expect_eq(blk_request(BLK_IN, 0, 4096), BLK_OK);
    cr_expect_eq(script.log_count, 1, "a read has nothing to keep");
}

static void check_mode(unsigned row)
{
    blk.disk.cache = modes[row].cache;
    blk_make(SIZE);
    blk_attach();
    blk_go(modes[row].features);
    cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), modes[row].cache != MV_CACHE_WRITETHROUGH);
    expect_stable(modes[row].stable);
    script_forget();
    cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
    cr_expect_eq(script_count(MV_IO_SYNC), modes[row].flush, "row %u", row);
}

/* A device each: a mode is for its whole life. */
Test(blk, writeback_with_flush_is_stable_when_flushed)
{
    check_mode(0);
}

Test(blk, writeback_with_flush_and_config_wce_is_stable_when_flushed)
{
    check_mode(1);
}

Test(blk, writes_are_stable_for_a_driver_without_flush)
{
    check_mode(2);
}

Test(blk, writes_are_stable_for_a_driver_with_config_wce_but_no_flush)
{
    check_mode(3);
}

Test(blk, writethrough_is_stable_when_written)
{
    check_mode(4);
}

Test(blk, writethrough_with_config_wce_is_stable_when_written)
{
    check_mode(5);
}

Test(blk, writethrough_is_stable_for_a_driver_without_flush)
{
    check_mode(6);
}

Test(blk, unsafe_syncs_nothing)
{
    check_mode(7);
}

Test(blk, unsafe_syncs_nothing_for_a_driver_without_flush_either)
{
    check_mode(8);
}

Test(blk, a_driver_may_change_the_cache_mode_and_a_reset_changes_it_back)
{
    blk_make(SIZE);
    blk_attach();
    for (unsigned i = 0; i < 3; i++) {
        blk_go(BLK_F_FLUSH | BLK_F_CONFIG_WCE);
        cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 1);
        expect_stable(false);
        rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 0);
        expect_stable(true);
        rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 1);
        expect_stable(false);
        rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 0);
        rig_reset();
        cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 1);
    }
}

Test(blk, a_driver_may_change_writethrough_to_writeback_until_its_reset)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    blk_make(SIZE);
    blk_attach();
    blk_go(BLK_F_FLUSH | BLK_F_CONFIG_WCE);
    rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 1);
    expect_stable(false);
    rig_reset();
    blk_go(BLK_F_FLUSH);
    expect_stable(true);
}

Test(blk, a_reset_before_driver_ok_changes_the_cache_mode_back_too)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    blk_make(SIZE);
    blk_attach();
    rig_negotiate(BLK_F_FLUSH | BLK_F_CONFIG_WCE);
    rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 1);
    cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 1);
    rig_reset();
    cr_expect_eq(blk_config(CONFIG_WRITEBACK, 1), 0);
    blk_go(BLK_F_FLUSH);
    expect_stable(true);
}

Test(blk, the_cache_mode_may_be_set_before_driver_ok)
{
    blk_make(SIZE);
    blk_attach();
    rig_negotiate(BLK_F_FLUSH | BLK_F_CONFIG_WCE);
    rig_write(REG_CONFIG + CONFIG_WRITEBACK, 1, 0);
    ring_place(&blk.rings[0], RIG_RINGS, MV_QUEUE_MAX);
    rig_set_queue(0, &blk.rings[0]);
    rig_go();
    expect_stable(true);
}

/* ---- DISCARD and WRITE_ZEROES ---- */

static uint64_t file_blocks(void)
{
    struct stat st;

    cr_assert_eq(fstat(blk.file, &st), 0);
    return (uint64_t)st.st_blocks;
}

/* Whether the host's file system does this to a file. */
static bool host_can(int mode)
{
    uint64_t size = (uint64_t)lseek(blk.file, 0, SEEK_END);
    bool can = fallocate(blk.file, mode | FALLOC_FL_KEEP_SIZE, (off_t)size, 4096) == 0;

    cr_assert_eq(ftruncate(blk.file, (off_t)size), 0);
    return can;
}

Test(blk, discard_gives_room_back_to_the_host)
{
    const struct blk_range range = {.sector = 256, .sectors = 1024};
    uint64_t before;

    blk_ready(SIZE);
    if (!host_can(FALLOC_FL_PUNCH_HOLE))
        blk_skip("/tmp cannot punch holes");
    blk_fill_file(0, SIZE, 1);
    fsync(blk.file);
    before = file_blocks();
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &range, 1), BLK_OK);
    cr_expect_eq(blk.written, 1);
    cr_expect_leq(file_blocks() + 1000, before);
    cr_expect(blk_file_is(0, 256 * 512, 1) && blk_file_is_zero(256 * 512, 1024 * 512) &&
              blk_file_is(1280 * 512, SIZE - 1280 * 512, 1));
    cr_expect_eq(lseek(blk.file, 0, SEEK_END), SIZE, "its size stays");
}

Test(blk, write_zeroes_with_unmap_gives_room_back_to_the_host)
{
    const struct blk_range range = {.sector = 256, .sectors = 1024, .flags = 1};
    uint64_t before;

    blk_ready(SIZE);
    if (!host_can(FALLOC_FL_PUNCH_HOLE))
        blk_skip("/tmp cannot punch holes");
    blk_fill_file(0, SIZE, 1);
    fsync(blk.file);
    before = file_blocks();
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_OK);
    cr_expect_leq(file_blocks() + 1000, before);
    cr_expect(blk_file_is_zero(256 * 512, 1024 * 512));
}

Test(blk, write_zeroes_without_unmap_keeps_the_room)
{
    const struct blk_range range = {.sector = 256, .sectors = 1024};
    uint64_t before;

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    fsync(blk.file);
    before = file_blocks();
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_OK);
    fsync(blk.file);
    cr_expect_geq(file_blocks(), before);
    cr_expect(blk_file_is(0, 256 * 512, 1) && blk_file_is_zero(256 * 512, 1024 * 512) &&
              blk_file_is(1280 * 512, SIZE - 1280 * 512, 1));
    cr_expect_eq(script_count(MV_IO_DISCARD), 0);
}

/* Zeros, where the host cannot make them: one of the ranges in several steps. */
static void check_zeros_by_hand(void)
{
    const struct blk_range ranges[] = {{.sector = 1, .sectors = 9 * 2048 + 3},
                                       {.sector = 20000, .sectors = 1},
                                       {.sector = 20010, .sectors = 300}};

    blk_fill_file(0, 16 * SIZE, 1);
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, ranges, 3), BLK_OK);
    cr_expect_eq(script_count(MV_IO_ZERO), 1, "the host is asked once");
    cr_expect_eq(script_bytes(MV_IO_WRITE), (9 * 2048 + 3 + 1 + 300) * 512);
    cr_expect(blk_file_is(0, 512, 1) && blk_file_is(18436 * 512, 20000 * 512 - 18436 * 512, 1));
    cr_expect(blk_file_is_zero(512, 18435 * 512));
    cr_expect(blk_file_is_zero(20000 * 512, 512) && blk_file_is(20001 * 512, 9 * 512, 1));
    cr_expect(blk_file_is_zero(20010 * 512, 300 * 512));
    cr_expect(blk_file_is(20310 * 512, 16 * SIZE - 20310 * 512, 1));
}

Test(blk, write_zeroes_writes_them_where_the_host_cannot_make_them)
{
    blk.folder = "/dev/shm"; /* tmpfs has no ZERO_RANGE */
    blk_ready(16 * SIZE);
    if (host_can(FALLOC_FL_ZERO_RANGE))
        blk_skip("/dev/shm can make zeros");
    check_zeros_by_hand();
}

Test(blk, write_zeroes_writes_them_also_if_an_engine_says_so)
{
    blk_ready(16 * SIZE);
    script.errors[MV_IO_ZERO] = -EOPNOTSUPP;
    check_zeros_by_hand();
}

Test(blk, write_zeroes_with_unmap_writes_them_where_the_host_cannot_punch_holes)
{
    const struct blk_range range = {.sector = 8, .sectors = 100, .flags = 1};

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    script.errors[MV_IO_DISCARD] = -EOPNOTSUPP;
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_OK);
    cr_expect(blk_file_is_zero(8 * 512, 100 * 512));
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &(struct blk_range){8, 100, 0}, 1), BLK_UNSUPP,
                 "but a discard is not made up for");
}

Test(blk, ranges_may_be_16_in_one_request)
{
    struct blk_range ranges[17];

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    for (unsigned i = 0; i < 17; i++)
        ranges[i] = (struct blk_range){.sector = 10 * i, .sectors = 1 + i % 3};
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, ranges, 17), BLK_IOERR);
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, ranges, 17), BLK_IOERR);
    cr_expect(blk_file_is(0, SIZE, 1));
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, ranges, 16), BLK_OK);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t end = ranges[i].sector + ranges[i].sectors;

        cr_expect(blk_file_is_zero(512 * ranges[i].sector, 512ull * ranges[i].sectors));
        cr_expect(blk_file_is(512 * end, 512 * (10 * (i + 1) - end), 1));
    }
}

Test(blk, ranges_that_make_no_sense_are_refused_before_anything_is_done)
{
    static const struct {
        struct blk_range range;
        uint8_t discard, zeroes; /* the answers */
    } rows[] = {
        {{0, 0, 0}, BLK_IOERR, BLK_IOERR},
        {{SECTORS, 1, 0}, BLK_IOERR, BLK_IOERR},
        {{SECTORS - 1, 2, 0}, BLK_IOERR, BLK_IOERR},
        {{0, SECTORS + 1, 0}, BLK_IOERR, BLK_IOERR},
        {{0, UINT32_MAX, 0}, BLK_IOERR, BLK_IOERR},
        {{UINT64_MAX, 1, 0}, BLK_IOERR, BLK_IOERR},
        {{UINT64_MAX / 512 + 1, 1, 0}, BLK_IOERR, BLK_IOERR},
        {{0, 1, 2}, BLK_UNSUPP, BLK_UNSUPP},
        {{0, 1, 3}, BLK_UNSUPP, BLK_UNSUPP},
        {{0, 1, 1u << 31}, BLK_UNSUPP, BLK_UNSUPP},
        {{0, 1, UINT32_MAX}, BLK_UNSUPP, BLK_UNSUPP},
        {{0, 1, 1}, BLK_UNSUPP, BLK_OK}, /* 5.2.6.2: no unmap of a discard */
    };

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        const struct blk_range ranges[] = {{.sector = 100, .sectors = 8}, rows[i].range};

        if (rows[i].zeroes != BLK_OK)
            cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, ranges, 2), rows[i].zeroes, "%u", i);
        cr_expect_eq(blk_request_ranges(BLK_DISCARD, ranges, 2), rows[i].discard, "%u", i);
        cr_expect_eq(blk.written, 1);
    }
    cr_expect_eq(script.log_count, 0);
    cr_expect(blk_file_is(0, SIZE, 1));
}

Test(blk, ranges_come_whole)
{
    static const uint32_t sizes[] = {0, 1, 8, 15, 17, 24, 31, 33, 512};

    blk_ready(SIZE);
    memset(blk_data(512), 0, 512);
    ((struct blk_range *)blk_data(16))->sectors = 1;
    for (unsigned i = 0; i < MV_COUNT(sizes); i++) {
        cr_expect_eq(blk_request(BLK_DISCARD, 0, sizes[i]), BLK_IOERR, "%u bytes", sizes[i]);
        cr_expect_eq(blk_request(BLK_WRITE_ZEROES, 0, sizes[i]), BLK_IOERR, "%u bytes", sizes[i]);
    }
    cr_expect_eq(script.log_count, 0);
}

Test(blk, a_range_has_4_gib_at_most)
{
    struct blk_range range = {.sector = 16, .sectors = 8 * MV_MIB};

    blk_ready(8 * MV_GIB);
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &range, 1), BLK_OK);
    cr_expect_eq(script_bytes(MV_IO_DISCARD), 4 * MV_GIB);
    cr_expect_eq(script.log[0].offset, 16 * 512);
    range.sectors++;
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &range, 1), BLK_IOERR);
}

/* ---- steps ---- */

/* One after the other from `offset` on, none larger than `most`. */
static void expect_steps(enum mv_io_op op, uint64_t offset, uint64_t size, uint64_t most)
{
    for (unsigned i = 0; i < script.log_count; i++) {
        cr_assert_eq(script.log[i].op, op);
        cr_assert_eq(script.log[i].offset, offset);
        cr_assert(script.log[i].size > 0 && script.log[i].size <= most);
        offset += script.log[i].size;
        size -= script.log[i].size;
    }
    cr_assert_eq(size, 0);
}

/* Buffers of any length, which make up `size` bytes; returns how many. */
static unsigned cut_data(struct ring_part *parts, uint32_t size, bool writable, uint64_t *state)
{
    static const uint32_t lengths[] = {0, 1, 511, 512, 4095, 4096, 4097, 8192, 100000};
    unsigned count = 0;
    mv_gpa at = RIG_DATA;

    while (size) {
        uint32_t length = lengths[(rig_random(state) >> 33) % MV_COUNT(lengths)];

        if (length > size || count == 200)
            length = size;
        parts[count++] = (struct ring_part){at, length, writable};
        at += length;
        size -= length;
    }
    return count;
}

/* A disk that may have `in_flight` bytes in flight. */
static void check_steps(uint64_t in_flight)
{
    uint64_t state = in_flight, most = mv_min(in_flight / 2, 512 * MV_KIB);
    struct ring_part parts[210] = {{BLK_HEADER, 16, false}};

    blk.in_flight = in_flight;
    blk_ready(8 * SIZE);
    for (unsigned round = 0; round < 60; round++) {
        uint32_t size = 512 * (1 + (uint32_t)(rig_random(&state) >> 33) % 4096);
        uint64_t sector = (rig_random(&state) >> 33) % 8192;
        bool writes = round % 2;
        unsigned count = 1 + cut_data(parts + 1, size, !writes, &state);

        parts[count++] = (struct ring_part){BLK_STATUS, 1, true};
        if (writes)
            blk_fill(blk_data(size), 512 * sector, size, round);
        else
            blk_fill_file(512 * sector, size, round);
        blk_put_header(writes ? BLK_OUT : BLK_IN, sector);
        script_forget();
        cr_assert_eq(blk_request_parts(parts, count), BLK_OK);
        cr_assert_eq(blk.written, writes ? 1 : size + 1);
        expect_steps(writes ? MV_IO_WRITE : MV_IO_READ, 512 * sector, size, most);
        cr_assert(writes ? blk_file_is(512 * sector, size, round)
                         : blk_is(blk_data(size), 512 * sector, size, round));
    }
}

Test(blk, large_transfers_are_done_in_steps_wherever_they_cut_the_buffers)
{
    check_steps(MV_BLK_IN_FLIGHT);
}

Test(blk, transfers_are_done_in_small_steps_if_little_may_be_in_flight)
{
    check_steps(24 * MV_KIB);
}

Test(blk, transfers_are_done_page_by_page_if_hardly_anything_may_be_in_flight)
{
    check_steps(8 * MV_KIB);
}

Test(blk, an_error_in_any_step_is_the_answer_and_the_last_one)
{
    blk_ready(4 * SIZE);
    script.hold = true;
    for (unsigned good = 0; good < 4; good++) {
        blk_put_header(BLK_IN, 0);
        script_forget();
        ring_offer_parts(&blk.rings[0], 0,
                         (const struct ring_part[]){{BLK_HEADER, 16, false},
                                                    {RIG_DATA, 4 * SIZE, true},
                                                    {BLK_STATUS, 1, true}},
                         3);
        rig_set(REG_QUEUE_NOTIFY, 0);
        for (unsigned i = 0; i <= good; i++) {
            rig_turn();
            cr_assert_eq(script.started_count, 1, "one after the other");
            script.errors[MV_IO_READ] = i == good ? -EIO : 0;
            script_release(1);
        }
        blk_wait_answers(0, 1);
        cr_expect_eq(*(uint8_t *)rig_at(BLK_STATUS, 1), BLK_IOERR);
        cr_expect_eq(blk.written, 0);
        cr_expect_eq(script.log_count, good + 1);
    }
}

Test(blk, large_writes_that_are_to_be_stable_are_synced_when_the_last_step_is_done)
{
    blk.disk.cache = MV_CACHE_WRITETHROUGH;
    blk_ready(4 * SIZE);
    cr_expect_eq(blk_request(BLK_OUT, 0, 4 * SIZE), BLK_OK);
    cr_expect_eq(script_bytes(MV_IO_WRITE), 4 * SIZE);
    cr_expect_eq(script_count(MV_IO_SYNC), 1);
    cr_expect_eq(script.log[script.log_count - 1].op, MV_IO_SYNC);
    script.errors[MV_IO_SYNC] = -EIO;
    cr_expect_eq(blk_request(BLK_OUT, 0, 4 * SIZE), BLK_IOERR);
    script_forget();
    cr_expect_eq(blk_request(BLK_IN, 0, 4 * SIZE), BLK_OK, "a read has nothing to keep");
    cr_expect_eq(script_count(MV_IO_SYNC), 0);
}

Test(blk, a_large_discard_is_done_in_steps_that_leave_no_page_behind)
{
    struct blk_range range = {.sector = 16, .sectors = 8 * MV_MIB};

    blk_ready(8 * MV_GIB);
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &range, 1), BLK_OK);
    expect_steps(MV_IO_DISCARD, 16 * 512, 4 * MV_GIB, 16 * MV_MIB);
    for (unsigned i = 1; i < script.log_count; i++)
        cr_assert_eq(script.log[i].offset % MV_MIB, 0);
}

/* ---- read-only ---- */

Test(blk, a_read_only_disk_is_read_and_not_changed)
{
    const struct blk_range range = {.sector = 0, .sectors = 8};

    blk.disk.read_only = true;
    blk_make(SIZE);
    blk_fill_file(0, SIZE, 1);
    blk_attach();
    blk_go(BLK_F_RO);
    cr_expect_eq(blk_request(BLK_IN, 3, 1024), BLK_OK);
    cr_expect(blk_is(blk_data(1024), 3 * 512, 1024, 1));
    cr_expect_eq(blk_request(BLK_OUT, 0, 512), BLK_IOERR);
    cr_expect_eq(blk_request_ranges(BLK_DISCARD, &range, 1), BLK_IOERR);
    cr_expect_eq(blk_request_ranges(BLK_WRITE_ZEROES, &range, 1), BLK_IOERR);
    cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
    cr_expect_eq(blk_request(BLK_GET_ID, 0, 20), BLK_OK);
    cr_expect_eq(script.log_count, 1, "the read");
    cr_expect(blk_file_is(0, SIZE, 1));
}

/* ---- queues ---- */

Test(blk, each_queue_is_served)
{
    blk.queues = MV_QUEUES_MAX;
    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned queue = 0; queue < blk.queues; queue++)
            blk_offer(queue, queue % 64, BLK_IN, queue + round, 512);
        rig_set(REG_QUEUE_NOTIFY, 17);
        for (unsigned queue = 0; queue < blk.queues; queue++) {
            blk_wait_answers(queue, 1);
            cr_expect_eq(*blk_slot_status(queue, queue % 64), BLK_OK);
            cr_expect(blk_is(blk_slot_data(queue, queue % 64), 512 * (queue + round), 512, 1));
        }
    }
}

Test(blk, a_queue_that_is_not_set_up_is_not_touched)
{
    blk.queues = 3;
    blk_make(SIZE);
    blk_attach();
    rig_negotiate(BLK_F_USUAL);
    ring_place(&blk.rings[1], RIG_RINGS + RIG_RING, MV_QUEUE_MAX);
    rig_set_queue(1, &blk.rings[1]);
    rig_go();
    for (unsigned i = 0; i < 3; i++)
        rig_set(REG_QUEUE_NOTIFY, i);
    blk_offer(1, 0, BLK_FLUSH, 0, 0);
    rig_set(REG_QUEUE_NOTIFY, 1);
    blk_wait_answers(1, 1);
    cr_expect_eq(*blk_slot_status(1, 0), BLK_OK);
    cr_expect_eq(rig_get(REG_STATUS), STATUS_LIVE);
}

Test(blk, a_queue_may_be_full_of_requests)
{
    static const struct ring_part parts[] = {
        {BLK_HEADER, 16, false}, {RIG_DATA, 512, true}, {BLK_STATUS, 1, true}};
    struct ring_descriptor *table = rig_at(RIG_DATA + 0x10000, 48);

    blk_make(SIZE);
    blk_attach();
    blk_go(BLK_F_USUAL | MV_RING_F_INDIRECT_DESC);
    blk_put_header(BLK_IN, 0);
    for (unsigned i = 0; i < 3; i++)
        table[i] = (struct ring_descriptor){
            parts[i].at, parts[i].size,
            (uint16_t)((parts[i].writable ? RING_WRITE : 0) | (i < 2 ? RING_NEXT : 0)),
            (uint16_t)(i + 1)};
    script.hold = true;
    for (unsigned i = 0; i < 256; i++) {
        ring_describe(&blk.rings[0], i, RIG_DATA + 0x10000, 48, RING_INDIRECT, 0);
        ring_offer(&blk.rings[0], i);
    }
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    cr_expect_eq(script.started_count, 256);
    script_release(256);
    blk_wait_answers(0, 256);
}

Test(blk, a_broken_ring_needs_a_reset_and_works_after_it)
{
    blk.queues = 2;
    blk_ready(SIZE);
    ring_offer(&blk.rings[1], 256);
    rig_set(REG_QUEUE_NOTIFY, 1);
    rig_turn();
    cr_expect(rig_needs_reset());
    cr_expect_eq(atomic_load(&rig.interrupts), 1);
    rig_reset();
    blk_go(BLK_F_USUAL);
    cr_expect_eq(blk_request(BLK_FLUSH, 0, 0), BLK_OK);
}

Test(blk, requests_before_driver_ok_are_served_with_it)
{
    blk_make(SIZE);
    blk_attach();
    rig_negotiate(BLK_F_USUAL);
    ring_place(&blk.rings[0], RIG_RINGS, MV_QUEUE_MAX);
    rig_set_queue(0, &blk.rings[0]);
    blk_offer(0, 0, BLK_IN, 0, 512);
    rig_turn();
    cr_expect_eq(*blk_slot_status(0, 0), BLK_NONE);
    rig_go();
    blk_wait_answers(0, 1);
    cr_expect_eq(*blk_slot_status(0, 0), BLK_OK);
}

Test(blk, data_that_overwrites_the_ring_and_the_request_does_no_harm)
{
    const struct ring_part over_ring[] = {
        {BLK_HEADER, 16, false}, {RIG_RINGS, 8192, true}, {BLK_STATUS, 1, true}};
    const struct ring_part over_itself[] = {
        {BLK_HEADER, 16, false}, {BLK_HEADER, 4096, true}, {BLK_HEADER, 1, true}};

    blk_ready(SIZE);
    blk_fill_file(0, SIZE, 1);
    blk_put_header(BLK_IN, 0);
    ring_offer_parts(&blk.rings[0], 0, over_ring, 3);
    rig_set(REG_QUEUE_NOTIFY, 0);
    rig_turn();
    rig_reset();
    blk_go(BLK_F_USUAL);
    blk_put_header(BLK_IN, 0);
    ring_offer_parts(&blk.rings[0], 0, over_itself, 3);
    rig_set(REG_QUEUE_NOTIFY, 0);
    blk_wait_answers(0, 1);
    cr_expect_eq(*(uint8_t *)rig_at(BLK_HEADER, 1), BLK_OK, "the status is written last");
}
