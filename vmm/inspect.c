/* SPDX-License-Identifier: MIT */
/* Registers, memory and instructions as a vCPU has them: the portable part of minivmm/vcpu.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "util.h"
#include "vcpu.h"

/* ---- registers ---- */

const struct mv_register *mv_registers(size_t *ret_count)
{
    return mv_arch_registers(ret_count);
}

static int find_register(const char *name, size_t *ret_number, unsigned *ret_bits)
{
    size_t count;
    const struct mv_register *all = mv_arch_registers(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0) {
            *ret_number = i;
            *ret_bits = all[i].bits;
            return 0;
        }
    return -ENOENT;
}

int mv_vcpu_get(struct mv_vcpu *vcpu, const char *name, uint64_t *ret_value)
{
    uint64_t value = 0;
    unsigned bits;
    size_t number;
    int error = find_register(name, &number, &bits);

    if (!error && bits > 64)
        error = -ERANGE;
    if (!error)
        error = mv_vcpu_get_bytes(vcpu, number, &value);
    if (!error)
        *ret_value = value;
    return error;
}

int mv_vcpu_set(struct mv_vcpu *vcpu, const char *name, uint64_t value)
{
    unsigned bits;
    size_t number;
    int error = find_register(name, &number, &bits);

    if (!error && bits > 64)
        error = -ERANGE;
    return error ? error : mv_vcpu_set_bytes(vcpu, number, &value);
}

int mv_vcpu_get_bytes(struct mv_vcpu *vcpu, size_t number, void *ret_bytes)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    size_t count;

    if (!borrowed)
        return -EBUSY;
    mv_arch_registers(&count);
    return number < count ? mv_arch_get_register(vcpu, number, ret_bytes) : -ENOENT;
}

int mv_vcpu_set_bytes(struct mv_vcpu *vcpu, size_t number, const void *bytes)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    size_t count;
    int error;

    if (!borrowed)
        return -EBUSY;
    mv_arch_registers(&count);
    if (number >= count)
        return -ENOENT;
    error = mv_vcpu_settle(vcpu);
    return error ? error : mv_arch_set_register(vcpu, number, bytes);
}

char *mv_vcpu_explain(struct mv_vcpu *vcpu)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    char *text = NULL;
    size_t size;
    FILE *to = borrowed ? open_memstream(&text, &size) : NULL;

    if (!to)
        return NULL;
    mv_arch_explain_state(vcpu, to);
    return fclose(to) == 0 ? text : NULL;
}

/* ---- memory ---- */

int mv_vcpu_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);

    return borrowed ? mv_arch_translate(vcpu, address, ret_walk) : -EBUSY;
}

/* Page by page; nothing is copied before all of it is known to be mapped. */
static int copy(struct mv_vcpu *vcpu, uint64_t address, void *data, size_t size, bool write)
{
    const struct mv_mem *mem = vcpu->host->mem;
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);

    if (!borrowed)
        return -EBUSY;
    for (int pass = 0; pass < 2; pass++)
        for (size_t done = 0; done < size;) {
            uint64_t at = address + done;
            size_t part = mv_min(size - done, MV_PAGE_SIZE - at % MV_PAGE_SIZE);
            struct mv_walk walk;
            int error = mv_arch_translate(vcpu, at, &walk);

            if (error)
                return error;
            if (!walk.mapped || !(write ? mv_mem_host(mem, walk.address, part)
                                        : mv_mem_look(mem, walk.address, part)))
                return -EFAULT;
            if (pass == 1 && write)
                mv_mem_write(mem, walk.address, (uint8_t *)data + done, part);
            else if (pass == 1)
                mv_mem_read(mem, walk.address, (uint8_t *)data + done, part);
            done += part;
        }
    return 0;
}

int mv_vcpu_read(struct mv_vcpu *vcpu, uint64_t address, void *ret_data, size_t size)
{
    return copy(vcpu, address, ret_data, size, false);
}

int mv_vcpu_write(struct mv_vcpu *vcpu, uint64_t address, const void *data, size_t size)
{
    return copy(vcpu, address, (void *)(uintptr_t)data, size, true);
}

/* ---- debugging ---- */

int mv_vcpu_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    int error = borrowed ? mv_arch_set_debug(vcpu, debug) : -EBUSY;

    if (!error)
        vcpu->debug = *debug;
    return error;
}

bool mv_machine_breakpoints_work(const struct mv_machine *machine)
{
    (void)machine;
    return mv_arch_breakpoints_work();
}
