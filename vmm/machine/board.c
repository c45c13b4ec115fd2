/* SPDX-License-Identifier: MIT */
/* The devices of a machine: see board.h.  Where things are is in the
 * architecture's layout.h, beside its drawing. */
#include "board.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "dev/uart.h"
#include "embed/custom_virtio.h"
#include "layout.h"
#include "virtio/blk.h"
#include "virtio/mmio.h"
#include "virtio/rng.h"

/* clang-format off */
static const struct mv_device_entry entries[] = {
    {{.name = "serial0", .compatible = "ns16550a", .node = "serial", .hid = "PNP0501",
      .acpi_name = "COM1", .space = MV_LAYOUT_SPACE, .base = MV_SERIAL_BASE, .bytes = 8,
      .irq = MV_SERIAL_IRQ, .clock = MV_UART_CLOCK, .console = true}, mv_serial_create},
    {{.name = "exit", .compatible = "minivmm,exit", .node = "exit", .space = MV_LAYOUT_SPACE,
      .base = MV_EXIT_BASE, .bytes = 1, .irq = MV_NO_IRQ}, mv_exit_create},
    {{.name = "boot-timer", .compatible = "minivmm,boot-timer", .node = "boot-timer",
      .space = MV_LAYOUT_SPACE, .base = MV_BOOT_TIMER_BASE, .bytes = 1, .irq = MV_NO_IRQ},
     mv_boot_timer_create},
    {{.name = "pvpanic", .compatible = "qemu,pvpanic-mmio", .node = "pvpanic", .hid = "QEMU0001",
      .acpi_name = "PEVT", .space = MV_LAYOUT_SPACE, .base = MV_PANIC_BASE, .bytes = 1,
      .irq = MV_NO_IRQ}, mv_panic_create},
};
/* clang-format on */

/* The next device, which is none yet. */
static struct mv_device *prepare(struct mv_board *board, const struct mv_device_desc *desc)
{
    struct mv_device *device = &board->devices[board->count];

    assert(board->count < MV_BOARD_DEVICES);
    device->desc = *desc;
    device->desc.size = sizeof(*desc);
    pthread_mutex_init(&device->lock, NULL);
    return device;
}

/* error: how creating it went. */
static int add(struct mv_board *board, struct mv_device *device, int error, struct mv_bus *bus)
{
    if (error) {
        pthread_mutex_destroy(&device->lock);
        return error;
    }
    board->count++;
    return mv_bus_add(bus, device);
}

static int cannot_create(const char *name, int code, struct mv_error *err)
{
    return mv_fail(err, code, NULL, NULL, "cannot create the device %s: %s", name, strerror(-code));
}

static int add_entries(struct mv_board *board, const struct mv_device_entry *table, unsigned count,
                       const struct mv_device_env *env, struct mv_bus *mmio, struct mv_bus *ports,
                       struct mv_error *err)
{
    struct mv_device_env ours = *env;

    for (unsigned i = 0; i < count; i++) {
        const struct mv_device_desc *desc = &table[i].desc;
        struct mv_device *device = prepare(board, desc);
        int error;

        ours.irq.line = desc->irq;
        error = add(board, device, table[i].create(device, &ours),
                    desc->space == MV_SPACE_PORT ? ports : mmio);
        if (error)
            return cannot_create(desc->name, error, err);
    }
    return 0;
}

int mv_board_init(struct mv_board *board, const struct mv_device_env *env, struct mv_bus *mmio,
                  struct mv_bus *ports, struct mv_error *err)
{
    unsigned more;
    const struct mv_device_entry *of_arch = mv_arch_devices(&more);
    int error;

    error = add_entries(board, entries, MV_COUNT(entries), env, mmio, ports, err);
    return error ? error : add_entries(board, of_arch, more, env, mmio, ports, err);
}

int mv_board_add_late(struct mv_board *board, const struct mv_arch *arch,
                      const struct mv_device_env *env, struct mv_bus *mmio, struct mv_bus *ports,
                      struct mv_error *err)
{
    unsigned count;
    const struct mv_device_entry *late = mv_arch_late_devices(arch, &count);
    int error = 0;

    for (unsigned i = 0; !error && i < count; i++) {
        const struct mv_device_desc *desc = &late[i].desc;

        if (mv_bus_is_free(desc->space == MV_SPACE_PORT ? ports : mmio, desc->base, desc->bytes))
            error = add_entries(board, &late[i], 1, env, mmio, ports, err);
    }
    return error;
}

/* All slots are alike, but for their names. */
static struct mv_device_desc take_slot(struct mv_board *board, const char *name)
{
    unsigned index = board->slot_count++;
    struct mv_slot *slot = &board->slots[index];

    snprintf(slot->name, sizeof(slot->name), "%s", name);
    snprintf(slot->acpi_name, sizeof(slot->acpi_name), "VR%02u", index % 100);
    return (struct mv_device_desc){
        .name = slot->name,
        .compatible = "virtio,mmio",
        .node = "virtio",
        .hid = "LNRO0005",
        .acpi_name = slot->acpi_name,
        .space = MV_SPACE_MMIO,
        .base = MV_VIRTIO_BASE + index * MV_VIRTIO_STRIDE,
        .bytes = MV_VIRTIO_MMIO_SIZE,
        .irq = mv_virtio_irq(index),
        .coherent = true,
    };
}

/* For all slots at once: memory of the guest's is cheaper in one piece. */
static bool map_pages(struct mv_board *board)
{
    uint64_t size = MV_DISKS_MAX * MV_VIRTIO_STRIDE;
    void *pages;

    if (board->pages.host || !MV_LAYOUT_PAGES)
        return true;
    pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return false;
    board->pages = (struct mv_region){.base = MV_VIRTIO_BASE, .size = size, .host = pages};
    return true;
}

/* error: how creating virtio went, which is taken, on failure too. */
static int fill_slot(struct mv_board *board, const struct mv_device_env *env, const char *name,
                     int error, struct mv_virtio *virtio, struct mv_bus *mmio, struct mv_error *err)
{
    struct mv_device_env ours = *env;
    const struct mv_device_desc desc = take_slot(board, name);
    struct mv_device *device;

    if (!error && !map_pages(board)) {
        mv_virtio_destroy(virtio);
        error = -ENOMEM;
    }
    if (error)
        return cannot_create(name, error, err);
    device = prepare(board, &desc);
    ours.irq.line = desc.irq;
    ours.page = board->pages.host ? board->pages.host + (desc.base - board->pages.base) : NULL;
    error = add(board, device, mv_virtio_mmio_create(device, &ours, virtio), mmio);
    return error ? cannot_create(name, error, err) : 0;
}

int mv_board_add_disk(struct mv_board *board, const struct mv_device_env *env,
                      const struct mv_disk *disk, size_t disks, unsigned queues,
                      struct mv_bus *mmio, struct mv_error *err)
{
    const char name[] = {'v', 'd', (char)('a' + board->slot_count), '\0'};
    struct mv_virtio *virtio = NULL;
    struct mv_disk_file image;
    const char *warning = NULL;
    struct mv_blk_setup setup = {
        .name = name,
        .image = &image,
        .disk = disk,
        .queues = disk->queues ? disk->queues : (unsigned)mv_min(queues, MV_QUEUES_MAX),
        .in_flight = MV_BLK_IN_FLIGHT / disks,
        .engines = mv_blk_engines(disk),
        .loop = env->loop,
        .log = env->log,
    };
    int error = mv_disk_file_open(disk, &image, &warning, err);

    if (error)
        return error;
    if (warning)
        mv_log(env->log, MV_LOG_WARNING, "the disk %s: %s", disk->path, warning);
    if (disk->cache == MV_CACHE_UNSAFE)
        mv_log(env->log, MV_LOG_WARNING,
               "the disk %s has cache=unsafe: the guest's flushes are ignored, and a crash of the "
               "host can corrupt it",
               disk->path);
    error = mv_blk_create(&setup, &virtio);
    return fill_slot(board, env, name, error, virtio, mmio, err);
}

int mv_board_add_built_in(struct mv_board *board, const struct mv_device_env *env,
                          const struct mv_config *config, struct mv_bus *mmio, struct mv_error *err)
{
    const struct {
        const char *name;
        bool wanted;
        int (*create)(struct mv_virtio **ret_virtio);
    } built_in[] = {
        {"rng0", config->rng, mv_rng_create},
    };
    int error = 0;

    for (unsigned i = 0; !error && i < MV_COUNT(built_in); i++) {
        struct mv_virtio *virtio = NULL;

        if (!built_in[i].wanted)
            continue;
        error = built_in[i].create(&virtio);
        error = fill_slot(board, env, built_in[i].name, error, virtio, mmio, err);
    }
    return error;
}

/* ---- custom devices ---- */

int mv_board_add_virtio(struct mv_board *board, const struct mv_device_env *env,
                        const struct mv_custom_virtio *custom, struct mv_bus *mmio,
                        struct mv_error *err)
{
    struct mv_virtio *virtio = NULL;
    int error = mv_custom_virtio_create(custom, &virtio);
    char name[12];

    snprintf(name, sizeof(name), "virtio%u", board->virtio_count % 100);
    error = fill_slot(board, env, name, error, virtio, mmio, err);
    if (error)
        return error;
    mv_virtio_own(virtio, true);
    board->virtio[board->virtio_count++] = virtio;
    *custom->ret_virtio = virtio;
    return 0;
}

/* A copy, in a buffer of the board's; false: it is too long. */
static bool keep(char *to, size_t size, const char **word)
{
    size_t length;

    if (!*word)
        return true;
    length = strlen(*word);
    if (length >= size)
        return false;
    memcpy(to, *word, length + 1);
    *word = to;
    return true;
}

static bool keep_words(struct mv_custom_words *words, struct mv_device_desc *desc)
{
    return keep(words->name, sizeof(words->name), &desc->name) &&
           keep(words->compatible, sizeof(words->compatible), &desc->compatible) &&
           keep(words->node, sizeof(words->node), &desc->node) &&
           keep(words->hid, sizeof(words->hid), &desc->hid) &&
           keep(words->acpi_name, sizeof(words->acpi_name), &desc->acpi_name);
}

static int check_custom(const struct mv_board *board, const struct mv_custom_device *custom,
                        struct mv_error *err)
{
    const struct mv_device_desc *desc = custom->desc;

    if (!desc || !desc->name || !*desc->name || !custom->ops || !custom->ops->read ||
        !custom->ops->write)
        return mv_fail(err, -EINVAL, NULL, "give it a name, a read function and a write function",
                       "custom device %u is incomplete", board->custom_count);
    if (desc->bytes == 0)
        return mv_fail(err, -EINVAL, NULL, "give its registers a size",
                       "the device %s has no registers", desc->name);
    if ((desc->compatible && !desc->node) ||
        (desc->hid && (!desc->acpi_name || strlen(desc->acpi_name) != 4)))
        return mv_fail(err, -EINVAL, NULL,
                       "compatible needs node; hid needs acpi_name, of four characters",
                       "the description of the device %s is incomplete", desc->name);
    for (unsigned i = 0; i < board->count; i++)
        if (strcmp(board->devices[i].desc.name, desc->name) == 0)
            return mv_fail(err, -EEXIST, NULL, "choose another name",
                           "a device named %s already exists", desc->name);
    return 0;
}

/* The first of the free pages (MMIO), or of the free ports by 16, where it fits. */
static uint64_t find_base(const struct mv_bus *bus, enum mv_space space, uint64_t size)
{
    uint64_t first = space == MV_SPACE_PORT ? MV_CUSTOM_PORT : MV_CUSTOM_BASE;
    uint64_t end = space == MV_SPACE_PORT ? 0x10000 : MV_CUSTOM_END;
    uint64_t step = space == MV_SPACE_PORT ? 16 : MV_PAGE_SIZE;

    for (uint64_t at = first; size <= end - first && at <= end - size; at += step)
        if (mv_bus_is_free(bus, at, size))
            return at;
    return MV_ANY_BASE;
}

int mv_board_check_irq(const struct mv_board *board, int irq)
{
    if (irq < 0 || irq > MV_CUSTOM_LAST_IRQ)
        return -EINVAL;
    for (unsigned i = 0; i < board->count; i++)
        if (board->devices[i].desc.irq == irq && !board->devices[i].is_custom)
            return -EBUSY;
    return mv_layout_irq_is_ours(irq) ? -EBUSY : 0;
}

/* Neither a device has it, nor does one that is still to be added ask for it. */
static bool irq_is_free(const struct mv_board *board, const struct mv_custom_device *later,
                        size_t count, int irq)
{
    for (unsigned i = 0; i < board->count; i++)
        if (board->devices[i].desc.irq == irq)
            return false;
    for (size_t i = 0; i < count; i++)
        if (later[i].desc && later[i].desc->irq == irq)
            return false;
    return true;
}

/* MV_ANY_IRQ: there is none. */
static int find_irq(const struct mv_board *board, const struct mv_custom_device *later,
                    size_t count)
{
    for (int irq = MV_CUSTOM_FIRST_IRQ; irq <= MV_CUSTOM_LAST_IRQ; irq++)
        if (irq_is_free(board, later, count, irq))
            return irq;
    return MV_ANY_IRQ;
}

/* "9 to 20, 23": what MV_ANY_IRQ may become. */
static void list_free(const struct mv_board *board, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "free lines:");

    for (int first = MV_CUSTOM_FIRST_IRQ, last; first <= MV_CUSTOM_LAST_IRQ; first = last + 1) {
        last = first;
        if (!irq_is_free(board, NULL, 0, first))
            continue;
        while (last < MV_CUSTOM_LAST_IRQ && irq_is_free(board, NULL, 0, last + 1))
            last++;
        used += (size_t)snprintf(text + used, size - used, last > first ? "%s %d to %d" : "%s %d",
                                 used > sizeof("free lines:") ? "," : "", first, last);
    }
}

static int place_irq(const struct mv_board *board, const struct mv_device_env *env,
                     const struct mv_custom_device *later, size_t count,
                     struct mv_device_desc *desc, struct mv_error *err)
{
    char hint[200];
    int error;

    if (desc->irq == MV_NO_IRQ)
        return 0;
    if (!env->irq.set)
        return mv_fail(err, -EINVAL, NULL,
                       "give the device no interrupt line, or take a machine "
                       "that is not bare",
                       "the device %s asks for an interrupt line, and a bare machine has no "
                       "interrupt controller",
                       desc->name);
    if (desc->irq == MV_ANY_IRQ)
        desc->irq = find_irq(board, later, count);
    if (desc->irq == MV_ANY_IRQ)
        return mv_fail(err, -ENOSPC, NULL, "use fewer devices or disks",
                       "no interrupt line is left for the device %s", desc->name);
    error = mv_board_check_irq(board, desc->irq);
    if (!error && !irq_is_free(board, NULL, 0, desc->irq))
        error = -EBUSY;
    if (!error)
        return 0;
    list_free(board, hint, sizeof(hint));
    return mv_fail(err, error, NULL, hint,
                   error == -EBUSY
                       ? "the device %s cannot have interrupt line %d: another device has it"
                       : "the device %s cannot have interrupt line %d: it does not exist",
                   desc->name, desc->irq);
}

static int place_custom(const struct mv_mem *mem, const struct mv_bus *bus,
                        struct mv_device_desc *desc, struct mv_error *err)
{
    if (desc->base == MV_ANY_BASE)
        desc->base = find_base(bus, desc->space, desc->bytes);
    if (desc->base == MV_ANY_BASE)
        return mv_fail(err, -ENOSPC, NULL, "use fewer or smaller ones",
                       "no address range is free for the device %s", desc->name);
    if (desc->space == MV_SPACE_MMIO)
        for (unsigned i = 0; i < mem->count; i++)
            if (desc->base < mem->regions[i].base + mem->regions[i].size &&
                mem->regions[i].base < desc->base + desc->bytes)
                return mv_fail(err, -EEXIST, NULL, "leave it to the machine to place it (ANY_BASE)",
                               "the device %s at %#llx would overlap memory", desc->name,
                               (unsigned long long)desc->base);
    return 0;
}

/* The first of them. */
static int add_custom(struct mv_board *board, const struct mv_device_env *env,
                      const struct mv_custom_device *custom, size_t count, struct mv_bus *mmio,
                      struct mv_bus *ports, struct mv_error *err)
{
    struct mv_device_desc desc;
    struct mv_device *device;
    struct mv_bus *bus;
    int error = check_custom(board, custom, err);

    if (error)
        return error;
    desc = *custom->desc;
    bus = desc.space == MV_SPACE_PORT ? ports : mmio;
    if (!keep_words(&board->custom[board->custom_count], &desc))
        return mv_fail(err, -EINVAL, NULL,
                       "at most: name 15 characters, compatible 47, node 31, hid 8, acpi_name 4",
                       "a string in the description of the device %s is too long",
                       custom->desc->name);
    error = place_custom(env->mem, bus, &desc, err);
    if (!error)
        error = place_irq(board, env, custom + 1, count - 1, &desc, err);
    if (error)
        return error;
    device = prepare(board, &desc);
    board->custom[board->custom_count].ops = *custom->ops;
    device->ops = &board->custom[board->custom_count].ops;
    device->state = custom->state;
    device->is_custom = true;
    board->custom_count++;
    error = add(board, device, 0, bus);
    if (error)
        return mv_fail(err, error, NULL, "leave it to the machine to place it (ANY_BASE)",
                       "the device %s, %llu bytes at %#llx, would overlap another device",
                       desc.name, (unsigned long long)desc.bytes, (unsigned long long)desc.base);
    return 0;
}

int mv_board_add_custom(struct mv_board *board, const struct mv_device_env *env,
                        const struct mv_custom_device *custom, size_t count, struct mv_bus *mmio,
                        struct mv_bus *ports, struct mv_error *err)
{
    int error = 0;

    for (size_t i = 0; !error && i < count; i++)
        error = add_custom(board, env, custom + i, count - i, mmio, ports, err);
    return error;
}

bool mv_board_is_free(const struct mv_board *board, const struct mv_bus *mmio, uint64_t base,
                      uint64_t size)
{
    const struct mv_region *pages = &board->pages;
    uint64_t last = base + (size - 1);

    return mv_bus_is_free(mmio, base, size) && !mv_layout_is_reserved(base, last) &&
           !(pages->host && base < pages->base + pages->size && last >= pages->base);
}

void mv_board_disown(struct mv_board *board)
{
    static const struct mv_device_ops nothing;

    for (unsigned i = 0; i < board->count; i++)
        if (board->devices[i].is_custom)
            board->devices[i].ops = &nothing;
    for (unsigned i = 0; i < board->virtio_count; i++)
        mv_virtio_own(board->virtio[i], false);
}

void mv_board_done(struct mv_board *board)
{
    while (board->count) {
        struct mv_device *device = &board->devices[--board->count];

        if (device->ops->destroy)
            device->ops->destroy(device->state);
        pthread_mutex_destroy(&device->lock);
    }
    if (board->pages.host)
        munmap(board->pages.host, board->pages.size);
    board->pages.host = NULL;
}

bool mv_board_flush(struct mv_board *board)
{
    bool done = true;

    for (unsigned i = 0; i < board->count; i++)
        done &= mv_device_flush(&board->devices[i]);
    return done;
}

void mv_board_stop(struct mv_board *board)
{
    for (unsigned i = 0; i < board->count; i++)
        mv_device_stop(&board->devices[i]);
}

void mv_board_quiesce(struct mv_board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct mv_device *device = &board->devices[i];

        if (!device->ops->quiesce)
            continue;
        pthread_mutex_lock(&device->lock);
        device->ops->quiesce(device->state);
        pthread_mutex_unlock(&device->lock);
    }
}

void mv_board_rescan(struct mv_board *board)
{
    for (unsigned i = 0; i < board->count; i++) {
        struct mv_device *device = &board->devices[i];

        if (!device->ops->rescan)
            continue;
        pthread_mutex_lock(&device->lock);
        device->ops->rescan(device->state);
        pthread_mutex_unlock(&device->lock);
    }
}
