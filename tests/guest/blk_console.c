/* SPDX-License-Identifier: MIT */
/*
 * Does to the disk what the serial line says, a command a line, and answers with
 * a line: "ok", "status N", or what it has read.  The numbers are decimal.
 *
 *   r SECTOR COUNT SEED   read: "ok" if the sectors are filled by SEED, SEED + 1..., "zero" if all
 *                         is, else "other"
 *   w SECTOR COUNT SEED   write
 *   f                     flush
 *   d SECTOR COUNT        discard
 *   z SECTOR COUNT        write zeroes
 *   c                     "capacity N changes N": sectors, and interrupts for a changed
 * configuration i N                   waits for the N-th such interrupt, then as c b N the cache's
 * mode: 1 write back, 0 write through q                     ends the machine
 *
 * loop=N: instead, from number N on, writes block after block, flushes (unless
 * flush=0) and says "flushed N"; with wait=1 it waits for a byte then.
 */
#include "virtio.h"

enum {
    DATA_AREA = RAM + 0x1000000,
    SECTORS_MOST = 4096,
    LOOP_FIRST = 64,
    LOOP_BLOCKS = 64,
    LOOP_SECTORS = 8
};

static struct disk disk;

static void get_line(char *line, unsigned size)
{
    unsigned length = 0;
    uint8_t byte;

    while ((byte = get_byte()) != '\n')
        if (length < size - 1)
            line[length++] = (char)byte;
    line[length] = '\0';
}

static uint64_t next_number(const char **rest)
{
    uint64_t value = 0;

    while (**rest && (**rest < '0' || **rest > '9'))
        (*rest)++;
    for (; **rest >= '0' && **rest <= '9'; (*rest)++)
        value = value * 10 + (uint64_t)(**rest - '0');
    return value;
}

static void report(uint8_t status)
{
    if (status == S_OK)
        print("ok\n");
    else
        print("status %u\n", (unsigned)status);
}

static void read_back(uint64_t sector, unsigned count, uint64_t seed)
{
    uint8_t *data = memory(DATA_AREA), status;
    unsigned good = 0;

    memset(data, 0x77, count * SECTOR);
    status = request(&disk, T_IN, sector, data, count * SECTOR);
    if (status != S_OK) {
        report(status);
        return;
    }
    while (good < count && is_filled(data + good * SECTOR, seed + good))
        good++;
    print(good == count ? "ok\n" : is_zero(data, count * SECTOR) ? "zero\n" : "other\n");
}

static uint8_t write(uint64_t sector, unsigned count, uint64_t seed)
{
    uint8_t *data = memory(DATA_AREA);

    for (unsigned i = 0; i < count; i++)
        fill(data + i * SECTOR, seed + i);
    return request(&disk, T_OUT, sector, data, count * SECTOR);
}

static uint8_t change(unsigned type, uint64_t sector, uint64_t count)
{
    uint64_t *range = memory(DATA_AREA);

    range[0] = sector;
    range[1] = count;
    return request(&disk, type, 0, range, 16);
}

static void tell_capacity(void)
{
    interrupts_on();
    pause();
    interrupts_off();
    print("capacity %lu changes %u\n", disk_capacity(&disk), disk.config_changes);
}

static void obey(const char *line)
{
    const char *rest = line + 1;
    uint64_t sector = next_number(&rest), count = next_number(&rest), seed = next_number(&rest);

    must(count <= SECTORS_MOST || (*line != 'r' && *line != 'w'));
    switch (*line) {
    case 'r': read_back(sector, (unsigned)count, seed); break;
    case 'w': report(write(sector, (unsigned)count, seed)); break;
    case 'f': report(request(&disk, T_FLUSH, 0, NULL, 0)); break;
    case 'd': report(change(T_DISCARD, sector, count)); break;
    case 'z': report(change(T_WRITE_ZEROES, sector, count)); break;
    case 'i':
        while (disk.config_changes < sector)
            wait_for_interrupt();
        tell_capacity();
        break;
    case 'c': tell_capacity(); break;
    case 'b':
        write8(disk.base + V_CONFIG + C_WRITEBACK, (uint8_t)sector);
        print("ok\n");
        break;
    case 'q': finish(0);
    default: print("what?\n");
    }
}

static void loop(uint64_t number)
{
    bool flushes = option("flush", 1), waits = option("wait", 0);

    for (;; number++) {
        must_be(write(LOOP_FIRST + number % LOOP_BLOCKS * LOOP_SECTORS, LOOP_SECTORS,
                      number * LOOP_SECTORS),
                S_OK);
        if (flushes)
            must_be(request(&disk, T_FLUSH, 0, NULL, 0), S_OK);
        print("flushed %lu\n", number);
        if (waits)
            get_byte();
    }
}

void test(void)
{
    static char line[80];

    interrupts_init();
    disk_init(&disk, 0);
    disk_interrupts(&disk);
    disk_start(&disk, disk_offers(&disk), 16);
    disk.queue.avail->flags = NO_INTERRUPT;
    if (option("loop", UINT64_MAX) != UINT64_MAX)
        loop(option("loop", 0));
    print("ready\n");
    for (;;) {
        get_line(line, sizeof(line));
        obey(line);
    }
}
