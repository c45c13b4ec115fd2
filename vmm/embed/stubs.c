/* SPDX-License-Identifier: MIT */
/* Replaces all other files here when minivmm is built without embed. */
#include <errno.h>

#include "arch/arch.h"
#include "core/vcpu.h"
#include "dev/devices.h"

static int check(const struct mv_config *config, struct mv_error *err)
{
    if (config->device_count + config->memory_count + config->hook_count > 0 || config->flat ||
        config->timeline)
        return mv_fail(err, -ENOSYS, NULL, "build it with the part embed (-DMINIVMM_PARTS)",
                       "this minivmm was built without embed: it takes no flat binaries, custom "
                       "devices, custom memory and hooks, and shows no timeline");
    return 0;
}

const struct mv_device_source mv_custom_devices = {.check = check};
const struct mv_observer mv_embed_observer = {0};

int mv_arch_load_flat(struct mv_arch *arch, struct mv_mem *mem, const struct mv_flat *flat,
                      struct mv_error *err)
{
    (void)arch, (void)mem, (void)flat, (void)err;
    return -ENOSYS; /* never called: check refuses flat binaries */
}

uint64_t mv_device_read_into(void *reader, uint64_t offset, unsigned size)
{
    (void)reader, (void)offset, (void)size;
    return UINT64_MAX;
}

int mv_vcpu_run(struct mv_vcpu *vcpu, enum mv_until until, int64_t timeout,
                struct mv_exit *ret_exit)
{
    (void)vcpu, (void)until, (void)timeout, (void)ret_exit;
    return -ENOSYS;
}

int mv_machine_set_irq(struct mv_machine *machine, int irq, bool level)
{
    (void)machine, (void)irq, (void)level;
    return -ENOSYS;
}

struct mv_vcpu *mv_machine_vcpu(const struct mv_machine *machine, unsigned index)
{
    (void)machine, (void)index;
    return NULL;
}

unsigned mv_vcpu_index(const struct mv_vcpu *vcpu)
{
    (void)vcpu;
    return 0;
}

const char *mv_exit_kind_name(enum mv_exit_kind kind)
{
    (void)kind;
    return "(unknown)";
}

/* ---- inspection ---- */

size_t mv_machine_timeline(const struct mv_machine *machine, struct mv_mark *ret_marks, size_t most)
{
    (void)machine, (void)ret_marks, (void)most;
    return 0;
}

bool mv_machine_device(const struct mv_machine *machine, const char *name,
                       struct mv_device_desc *ret_desc)
{
    (void)machine, (void)name, (void)ret_desc;
    return false;
}

unsigned mv_machine_devices(const struct mv_machine *machine, unsigned index,
                            struct mv_device_desc *ret_desc)
{
    (void)machine, (void)index, (void)ret_desc;
    return 0;
}

unsigned mv_machine_memory_map(const struct mv_machine *machine, unsigned index,
                               uint64_t *ret_address, uint64_t *ret_size)
{
    (void)machine, (void)index, (void)ret_address, (void)ret_size;
    return 0;
}

int mv_machine_read(const struct mv_machine *machine, uint64_t address, void *ret_data, size_t size)
{
    (void)machine, (void)address, (void)ret_data, (void)size;
    return -ENOSYS;
}

int mv_machine_write(struct mv_machine *machine, uint64_t address, const void *data, size_t size)
{
    (void)machine, (void)address, (void)data, (void)size;
    return -ENOSYS;
}

void *mv_machine_memory(struct mv_machine *machine, uint64_t address, size_t size)
{
    (void)machine, (void)address, (void)size;
    return NULL;
}
