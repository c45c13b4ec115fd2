/* SPDX-License-Identifier: MIT */
#include "gdb_rig.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/util.h"

static void require(struct gdb_rig *rig, bool good, const char *what)
{
    if (!good && !rig->wrong)
        rig->wrong = what;
}

static void on_send(void *context, const char *bytes, size_t size)
{
    struct gdb_rig *rig = context;

    require(rig, rig->protocol.attached, "nothing is sent to nobody");
    if (size > sizeof(rig->out) - rig->out_size) {
        require(rig, false, "an answer is at most a packet");
        return;
    }
    memcpy(rig->out + rig->out_size, bytes, size);
    rig->out_size += size;
}

static uint8_t *find_register(struct gdb_rig *rig, unsigned cpu, const struct mv_gdb_register *of)
{
    size_t number = (size_t)(of - rig->protocol.arch->registers);

    require(rig, rig->protocol.stopped && cpu < RIG_CPUS && of->ours && number < RIG_REGISTERS,
            "registers of a vCPU that is held");
    return rig->registers[cpu % RIG_CPUS][number % RIG_REGISTERS];
}

static int on_get_register(void *context, unsigned cpu, const struct mv_gdb_register *of,
                           uint8_t *bytes)
{
    memcpy(bytes, find_register(context, cpu, of), 16);
    return strcmp(of->name, "absent") == 0 ? -EOPNOTSUPP : 0;
}

static int on_set_registers(void *context, unsigned cpu, const struct mv_gdb_value *values,
                            size_t count)
{
    struct gdb_rig *rig = context;

    require(rig, count > 0 && count <= MV_REGISTERS_MAX, "as many registers as there are");
    rig->register_sets++;
    for (size_t i = 0; !rig->refused && i < count; i++)
        memcpy(find_register(rig, cpu, values[i].of), values[i].bytes, 16);
    return rig->refused;
}

static uint8_t *find_memory(struct gdb_rig *rig, unsigned cpu, uint64_t address, size_t size)
{
    require(rig, rig->protocol.stopped && cpu < RIG_CPUS, "memory of a vCPU that is held");
    require(rig, size > 0 && size <= MV_GDB_PACKET / 2, "no more memory than a packet has");
    require(rig, size - 1 <= UINT64_MAX - address, "memory does not wrap");
    if (address >= RIG_TOP)
        return rig->top + (address - RIG_TOP);
    if (address < RIG_MEMORY || address - RIG_MEMORY > sizeof(rig->memory) ||
        size > sizeof(rig->memory) - (address - RIG_MEMORY))
        return NULL;
    return rig->memory + (address - RIG_MEMORY);
}

static int on_read(void *context, unsigned cpu, uint64_t address, void *ret_data, size_t size)
{
    const uint8_t *at = find_memory(context, cpu, address, size);

    if (at)
        memcpy(ret_data, at, size);
    return at ? 0 : -EFAULT;
}

static int on_write(void *context, unsigned cpu, uint64_t address, const void *data, size_t size)
{
    uint8_t *at = find_memory(context, cpu, address, size);

    if (at)
        memcpy(at, data, size);
    return at ? 0 : -EFAULT;
}

static int on_debug(void *context, unsigned cpu, const struct mv_debug *debug)
{
    struct gdb_rig *rig = context;

    require(rig, rig->protocol.stopped && cpu < RIG_CPUS, "points of a vCPU that is held");
    require(rig, debug->count <= MV_DEBUG_POINTS, "not too many points");
    if (!rig->refused)
        rig->debug[cpu % RIG_CPUS] = *debug;
    return rig->refused;
}

static void on_resume(void *context)
{
    ((struct gdb_rig *)context)->resumes++;
}

static void on_interrupt(void *context)
{
    struct gdb_rig *rig = context;

    require(rig, !rig->protocol.stopped, "only what runs is interrupted");
    rig->interrupts++;
}

static void on_leave(void *context)
{
    ((struct gdb_rig *)context)->leaves++;
}

static void on_kill(void *context)
{
    ((struct gdb_rig *)context)->kills++;
}

static const struct mv_gdb_target target = {
    .send = on_send,
    .get_register = on_get_register,
    .set_registers = on_set_registers,
    .read = on_read,
    .write = on_write,
    .debug = on_debug,
    .resume = on_resume,
    .interrupt = on_interrupt,
    .leave = on_leave,
    .kill = on_kill,
};

void gdb_rig_init(struct gdb_rig *rig, const struct mv_gdb_arch *arch)
{
    memset(rig, 0, sizeof(*rig));
    mv_gdb_protocol_init(&rig->protocol, &target, rig, arch, RIG_CPUS);
    require(rig, arch->count <= RIG_REGISTERS, "there is room for the registers");
    for (size_t i = 0; i < sizeof(rig->memory); i++)
        rig->memory[i] = (uint8_t)i;
}

/* $BODY#SUM: its length, or 0. */
static size_t packet_length(const char *at, size_t size)
{
    const char *end = memchr(at, '#', size);
    unsigned sum = 0;
    char wanted[4];

    if (*at != '$' || !end || end + 3 > at + size || end - at - 1 > MV_GDB_PACKET)
        return 0;
    for (const char *byte = at + 1; byte < end; byte++) {
        if (*byte == '$' || *byte == '*')
            return 0;
        sum += (uint8_t)*byte;
    }
    snprintf(wanted, sizeof(wanted), "#%02x", sum & 0xff);
    return memcmp(end, wanted, 3) == 0 ? (size_t)(end + 3 - at) : 0;
}

void gdb_rig_check_output(struct gdb_rig *rig)
{
    for (size_t at = 0, length; at < rig->out_size; at += length) {
        length = rig->out[at] == '+' || rig->out[at] == '-'
                     ? 1
                     : packet_length(rig->out + at, rig->out_size - at);
        if (length == 0) {
            require(rig, false, "what comes out is packets");
            break;
        }
    }
    rig->out_size = 0;
}
