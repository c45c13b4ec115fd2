/* SPDX-License-Identifier: MIT */
/* A vCPU's registers and memory: the portable part of minivmm/vcpu.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arch_debug.h"
#include "core/util.h"
#include "debug.h"

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

int mv_vcpu_get_bytes(struct mv_vcpu *vcpu, size_t number, void *ret_bytes)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    size_t count;

    if (!borrowed)
        return -EBUSY;
    mv_arch_registers(&count);
    return number < count ? mv_arch_get_register(vcpu, number, ret_bytes) : -ENOENT;
}

int mv_vcpu_get_registers(struct mv_vcpu *vcpu, struct mv_register_value *ret_values, size_t most)
{
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    size_t count, have = 0;
    const struct mv_register *all = mv_arch_registers(&count);
    int error = !borrowed ? -EBUSY : mv_vcpu_is_undecided(vcpu) ? 0 : mv_vcpu_complete_io(vcpu);

    for (size_t i = 0; !error && i < count; i++) {
        uint64_t bits[2] = {0};

        error = mv_arch_get_register(vcpu, i, bits);
        if (!error && have < most)
            ret_values[have] = (struct mv_register_value){all[i].name, bits[0], bits[1]};
        have += !error;
        error = error == -EOPNOTSUPP ? 0 : error;
    }
    return error ? error : (int)have;
}

/* ---- setting registers ---- */

enum { HINT = sizeof(((struct mv_error *)0)->hint) };

/* The registers to set, and their previous values. */
struct change {
    struct mv_vcpu *vcpu;
    struct mv_error *err;
    size_t count;
    struct mv_register_bits *wanted, *before;
};

/* Sets hint to the first rule that the refused state violates; if none is known, to `otherwise`. */
static void find_hint(struct mv_vcpu *vcpu, const char *otherwise, char hint[HINT])
{
    FILE *to = fmemopen(hint, HINT - 1, "w");

    if (to) {
        mv_arch_explain_state(vcpu, to);
        fclose(to);
        hint[strcspn(hint, "\n")] = 0;
    }
    if (!to || !*hint)
        snprintf(hint, HINT, "%s", otherwise);
}

static int refuse(const struct change *change, size_t which, int code)
{
    size_t count;
    char hint[HINT] = "";

    if (code == -EINVAL)
        find_hint(change->vcpu, "see the processor's manual for the values that it can have", hint);
    if (which == change->count)
        return mv_fail(change->err, code, NULL, hint, "these registers cannot be set: %s",
                       strerror(-code));
    return mv_fail(change->err, code, NULL, hint, "the register %s cannot be set to %#llx: %s",
                   mv_arch_registers(&count)[change->wanted[which].number].name,
                   (unsigned long long)change->wanted[which].bits[0], strerror(-code));
}

static int check_kept(const struct change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        const struct mv_register_bits *wanted = &change->wanted[i];
        struct mv_register_bits now = {.number = wanted->number};
        int error = mv_arch_get_register(change->vcpu, now.number, now.bits);
        char hint[HINT] = "";
        size_t count;

        if (error)
            return refuse(change, i, error);
        if (mv_arch_is_kept(wanted, &now))
            continue;
        find_hint(change->vcpu,
                  "this KVM does not keep it: set the registers that depend on each other at once",
                  hint);
        return mv_fail(change->err, -EINVAL, NULL, hint,
                       "the register %s was set to %#llx and reads back as %#llx",
                       mv_arch_registers(&count)[now.number].name,
                       (unsigned long long)wanted->bits[0], (unsigned long long)now.bits[0]);
    }
    return 0;
}

/* Sets all registers, or on failure none. */
static int apply(const struct change *change)
{
    struct mv_vcpu *vcpu = change->vcpu;
    MV_BORROWED borrowed = mv_vcpu_borrow(vcpu);
    size_t failed = change->count;
    struct mv_synced refused;
    int error = borrowed ? mv_vcpu_complete_io(vcpu) : -EBUSY;

    for (size_t i = 0; !error && i < change->count; i++) {
        change->before[i] = (struct mv_register_bits){.number = change->wanted[i].number};
        error = mv_arch_get_register(vcpu, change->before[i].number, change->before[i].bits);
        failed = error ? i : failed;
    }
    if (error)
        return refuse(change, failed, error);
    error = mv_arch_set_registers(vcpu, change->wanted, change->count, &failed);
    if (error)
        refuse(change, failed, error);
    else
        error = check_kept(change);
    refused = error == -EINVAL ? mv_debugger(vcpu)->refused : (struct mv_synced){0};
    if (error)
        mv_arch_set_registers(vcpu, change->before, change->count, &failed);
    mv_debugger(vcpu)->refused = refused;
    return error;
}

static int set_one(struct mv_vcpu *vcpu, size_t number, const void *bytes, size_t size)
{
    struct mv_register_bits wanted = {.number = number}, before;

    memcpy(wanted.bits, bytes, size);
    return apply(&(struct change){.vcpu = vcpu, .count = 1, .wanted = &wanted, .before = &before});
}

int mv_vcpu_set(struct mv_vcpu *vcpu, const char *name, uint64_t value)
{
    unsigned bits;
    size_t number;
    int error = find_register(name, &number, &bits);

    if (!error && (bits > 64 || (bits < 64 && value >> bits)))
        error = -ERANGE;
    return error ? error : set_one(vcpu, number, &value, sizeof(value));
}

int mv_vcpu_set_bytes(struct mv_vcpu *vcpu, size_t number, const void *bytes)
{
    size_t count;
    const struct mv_register *all = mv_arch_registers(&count);

    return number < count ? set_one(vcpu, number, bytes, (all[number].bits + 7) / 8) : -ENOENT;
}

/* Whether the value fits in a register of this width. */
static bool fits(const struct mv_register_value *value, unsigned bits)
{
    if (bits > 64)
        return bits == 128 || !(value->high >> (bits - 64));
    return !value->high && (bits == 64 || !(value->value >> bits));
}

int mv_vcpu_set_registers(struct mv_vcpu *vcpu, const struct mv_register_value *values,
                          size_t count, struct mv_error *err)
{
    struct mv_register_bits wanted[MV_REGISTERS_MAX], before[MV_REGISTERS_MAX];

    if (count > MV_REGISTERS_MAX)
        return mv_fail(err, -EINVAL, NULL, "set each register once",
                       "%zu registers: there are not that many", count);
    for (size_t i = 0; i < count; i++) {
        unsigned bits;

        if (!values[i].name || find_register(values[i].name, &wanted[i].number, &bits) < 0)
            return mv_fail(err, -ENOENT, NULL, "names are in lower case, as the manuals have them",
                           "there is no register %s", values[i].name ? values[i].name : "(null)");
        if (!fits(&values[i], bits))
            return mv_fail(err, -ERANGE, NULL, NULL,
                           "the register %s has %u bits, and the value has more", values[i].name,
                           bits);
        wanted[i].bits[0] = values[i].value;
        wanted[i].bits[1] = values[i].high;
    }
    return apply(&(struct change){
        .vcpu = vcpu, .err = err, .count = count, .wanted = wanted, .before = before});
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

/* Two passes over the pages: nothing is copied unless all of them are mapped. */
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
