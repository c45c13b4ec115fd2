/* SPDX-License-Identifier: MIT */
/* Replaces all other files here when minivmm is built without debug. */
#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/vcpu.h"
#include "machine/config.h"
#include "minivmm/trace.h"
#include "step.h"

#define HINT "build it with the part debug (-DMINIVMM_PARTS)"

int mv_debug_check(const struct mv_config *config, struct mv_error *err)
{
    if (config->single_step || config->trace_records)
        return mv_fail(err, -ENOSYS, NULL, HINT,
                       "this minivmm was built without debug: it takes no single steps and traces");
    return 0;
}

const struct mv_observer mv_debug_observer = {0};

const char *mv_tables(void)
{
    return "";
}

int mv_machine_dump_tables(const struct mv_machine *machine, const char *path, struct mv_error *err)
{
    (void)machine, (void)path;
    return mv_fail(err, -ENOSYS, NULL, HINT,
                   "this minivmm was built without debug: it writes no tables");
}

int mv_vcpu_step(struct mv_vcpu *vcpu, bool on)
{
    (void)vcpu, (void)on;
    return -ENOSYS;
}

/* ---- registers ---- */

const struct mv_register *mv_registers(size_t *ret_count)
{
    *ret_count = 0;
    return NULL;
}

int mv_vcpu_get(struct mv_vcpu *vcpu, const char *name, uint64_t *ret_value)
{
    (void)vcpu, (void)name, (void)ret_value;
    return -ENOSYS;
}

int mv_vcpu_get_bytes(struct mv_vcpu *vcpu, size_t number, void *ret_bytes)
{
    (void)vcpu, (void)number, (void)ret_bytes;
    return -ENOSYS;
}

int mv_vcpu_get_registers(struct mv_vcpu *vcpu, struct mv_register_value *ret_values, size_t most)
{
    (void)vcpu, (void)ret_values, (void)most;
    return -ENOSYS;
}

int mv_vcpu_set(struct mv_vcpu *vcpu, const char *name, uint64_t value)
{
    (void)vcpu, (void)name, (void)value;
    return -ENOSYS;
}

int mv_vcpu_set_bytes(struct mv_vcpu *vcpu, size_t number, const void *bytes)
{
    (void)vcpu, (void)number, (void)bytes;
    return -ENOSYS;
}

int mv_vcpu_set_registers(struct mv_vcpu *vcpu, const struct mv_register_value *values,
                          size_t count, struct mv_error *err)
{
    (void)vcpu, (void)values, (void)count;
    return mv_fail(err, -ENOSYS, NULL, HINT,
                   "this minivmm was built without debug: it sets no registers");
}

/* ---- memory ---- */

int mv_vcpu_translate(struct mv_vcpu *vcpu, uint64_t address, struct mv_walk *ret_walk)
{
    (void)vcpu, (void)address, (void)ret_walk;
    return -ENOSYS;
}

int mv_vcpu_read(struct mv_vcpu *vcpu, uint64_t address, void *ret_data, size_t size)
{
    (void)vcpu, (void)address, (void)ret_data, (void)size;
    return -ENOSYS;
}

int mv_vcpu_write(struct mv_vcpu *vcpu, uint64_t address, const void *data, size_t size)
{
    (void)vcpu, (void)address, (void)data, (void)size;
    return -ENOSYS;
}

/* ---- debugging ---- */

int mv_vcpu_debug(struct mv_vcpu *vcpu, const struct mv_debug *debug)
{
    (void)vcpu, (void)debug;
    return -ENOSYS;
}

int mv_vcpu_pass_breakpoint(struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return -ENOSYS;
}

bool mv_machine_breakpoints_work(const struct mv_machine *machine)
{
    (void)machine;
    return false;
}

int mv_vcpu_disassemble(struct mv_vcpu *vcpu, uint64_t address, char *ret_text, size_t size)
{
    (void)vcpu, (void)address, (void)ret_text, (void)size;
    return -ENOSYS;
}

/* ---- reports ---- */

char *mv_vcpu_explain(struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return NULL;
}

char *mv_machine_report(const struct mv_machine *machine)
{
    (void)machine;
    return NULL;
}

int mv_machine_explain(const struct mv_machine *machine, char **ret_text)
{
    (void)machine, (void)ret_text;
    return -ENOSYS;
}

uint64_t mv_machine_trace_count(const struct mv_machine *machine, unsigned vcpu, uint64_t *ret_lost)
{
    (void)machine, (void)vcpu;
    if (ret_lost)
        *ret_lost = 0;
    return 0;
}

size_t mv_machine_trace(const struct mv_machine *machine, unsigned vcpu, uint64_t first,
                        struct mv_trace_record *ret_records, size_t most)
{
    (void)machine, (void)vcpu, (void)first, (void)ret_records, (void)most;
    return 0;
}

const char *mv_exit_name(uint32_t reason)
{
    (void)reason;
    return "(other)";
}
