/* SPDX-License-Identifier: MIT */
/*
 * Writes the tables of a machine with custom devices: one of its own kind, one
 * that is not to be listed, and a virtio device.  Prints the first one's place and line.
 * Usage: custom_tables PATH, as for mv_machine_dump_tables
 */
#include <stdio.h>

#include "minivmm/device.h"
#include "minivmm/virtio.h"

static uint64_t read_nothing(void *state, uint64_t offset, unsigned size)
{
    (void)state, (void)offset, (void)size;
    return UINT64_MAX;
}

static void write_nothing(void *state, uint64_t offset, unsigned size, uint64_t value)
{
    (void)state, (void)offset, (void)size, (void)value;
}

static void notify(void *state)
{
    (void)state;
}

int main(int argc, char **argv)
{
    static const struct mv_device_ops ops = {
        .size = sizeof(ops), .read = read_nothing, .write = write_nothing};
    static const struct mv_virtio_ops virtio_ops = {
        .size = sizeof(virtio_ops), .id = 4, .notify = notify};
    static const struct mv_device_desc bell = {.size = sizeof(bell),
                                               .name = "bell",
                                               .compatible = "minivmm,test",
                                               .node = "bell",
                                               .hid = "MVTS0001",
                                               .acpi_name = "BELL",
                                               .base = MV_ANY_BASE,
                                               .bytes = 0x800,
                                               .irq = MV_ANY_IRQ};
    static const struct mv_device_desc secret = {.size = sizeof(secret),
                                                 .name = "secret",
                                                 .base = MV_ANY_BASE,
                                                 .bytes = 8,
                                                 .irq = MV_NO_IRQ};
    static const struct mv_custom_device devices[] = {
        {.size = sizeof(devices[0]), .desc = &bell, .ops = &ops},
        {.size = sizeof(devices[0]), .desc = &secret, .ops = &ops}};
    struct mv_virtio *handle = NULL;
    const struct mv_custom_virtio virtio = {
        .size = sizeof(virtio), .ops = &virtio_ops, .queues = 1, .ret_virtio = &handle};
    const struct mv_config config = {.size = sizeof(config),
                                     .tables_only = true,
                                     .devices = devices,
                                     .device_count = 2,
                                     .virtio = &virtio,
                                     .virtio_count = 1};
    struct mv_machine *machine = NULL;
    struct mv_device_desc found = {.size = sizeof(found)};
    struct mv_error err = {0};
    int status = 1;

    if (argc != 2 || mv_machine_create(&config, &machine, &err) < 0 ||
        mv_machine_dump_tables(machine, argv[1], &err) < 0)
        fprintf(stderr, "%s\n", err.tried);
    else if (handle && mv_machine_device(machine, "bell", &found))
        status = printf("0x%08llx %d\n", (unsigned long long)found.base, found.irq) < 0;
    mv_machine_destroy(machine);
    return status;
}
