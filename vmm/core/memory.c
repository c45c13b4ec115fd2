/* SPDX-License-Identifier: MIT */
/* Guest memory: see memory.h. */
#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

/* Transparent huge pages need host and guest addresses with the same offset in a huge page. */
#define HUGE_PAGE (2 * MV_MIB)

int mv_mem_init(struct mv_mem *mem, const struct mv_region *regions, unsigned count)
{
    uint64_t total = 0, at;
    void *mapping;

    assert(count > 0 && count <= MV_MEM_REGIONS);
    memset(mem, 0, sizeof(*mem));
    for (unsigned i = 0; i < count; i++) {
        assert(regions[i].size > 0 && regions[i].size % MV_PAGE_SIZE == 0);
        if (mv_add_overflows(total, regions[i].size, &total))
            return -ENOMEM;
    }
    if (mv_add_overflows(total, HUGE_PAGE, &total))
        return -ENOMEM;
    mapping = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    if (mapping == MAP_FAILED)
        return -errno;
    mem->mapping = mapping;
    mem->mapped = total;
    mem->count = count;
    at = mv_align_up((uintptr_t)mapping, HUGE_PAGE) - (uintptr_t)mapping;
    for (unsigned i = 0; i < count; i++) {
        mem->regions[i] = regions[i];
        mem->regions[i].host = mem->mapping + at;
        at += regions[i].size;
    }
    /* The first 2 MiB hold a few scattered tables; clearing a huge page for them would be the
     * longest step of a short start.  Where the host has no huge pages, this fails harmlessly. */
    madvise(mem->regions[0].host, mv_min(mem->regions[0].size, HUGE_PAGE), MADV_NOHUGEPAGE);
    return 0;
}

void mv_mem_done(struct mv_mem *mem)
{
    if (mem->mapping)
        munmap(mem->mapping, mem->mapped);
    memset(mem, 0, sizeof(*mem));
}

int mv_mem_add(struct mv_mem *mem, const struct mv_region *region)
{
    uint64_t last;

    if (region->size == 0 || mv_add_overflows(region->base, region->size - 1, &last))
        return -EINVAL;
    if (mv_mem_overlaps(mem, region->base, region->size))
        return -EEXIST;
    if (mem->custom_count == MV_MEM_CUSTOM)
        return -ENOSPC;
    mem->custom[mem->custom_count++] = *region;
    return 0;
}

const struct mv_region *mv_mem_region(const struct mv_mem *mem, unsigned index)
{
    if (index < mem->count)
        return &mem->regions[index];
    index -= mem->count;
    return index < mem->custom_count ? &mem->custom[index] : NULL;
}

bool mv_mem_overlaps(const struct mv_mem *mem, mv_gpa base, uint64_t size)
{
    const struct mv_region *other;

    for (unsigned i = 0; (other = mv_mem_region(mem, i)); i++)
        if (base <= other->base + (other->size - 1) && other->base <= base + (size - 1))
            return true;
    return false;
}

mv_gpa mv_mem_last(const struct mv_mem *mem)
{
    const struct mv_region *one;
    mv_gpa last = 0;

    for (unsigned i = 0; (one = mv_mem_region(mem, i)); i++)
        last = mv_max(last, one->base + (one->size - 1));
    return last;
}

/* The region that contains [gpa, gpa + size), or NULL. */
static const struct mv_region *find(const struct mv_mem *mem, mv_gpa gpa, uint64_t size)
{
    const struct mv_region *one;

    for (unsigned i = 0; (one = mv_mem_region(mem, i)); i++)
        /* gpa + size is never formed, because it could wrap */
        if (gpa >= one->base && gpa - one->base < one->size &&
            size <= one->size - (gpa - one->base))
            return one;
    return NULL;
}

void *mv_mem_host(const struct mv_mem *mem, mv_gpa gpa, uint64_t size)
{
    const struct mv_region *one = find(mem, gpa, size);

    return one && !one->read_only ? one->host + (gpa - one->base) : NULL;
}

const void *mv_mem_look(const struct mv_mem *mem, mv_gpa gpa, uint64_t size)
{
    const struct mv_region *one = find(mem, gpa, size);

    return one ? one->host + (gpa - one->base) : NULL;
}

bool mv_mem_read(const struct mv_mem *mem, mv_gpa gpa, void *ret_data, size_t size)
{
    const void *host = mv_mem_look(mem, gpa, size);

    if (!host)
        return false;
    memcpy(ret_data, host, size);
    return true;
}

bool mv_mem_write(const struct mv_mem *mem, mv_gpa gpa, const void *data, size_t size)
{
    void *host = mv_mem_host(mem, gpa, size);

    if (!host)
        return false;
    memcpy(host, data, size);
    return true;
}

int mv_mem_load_file(struct mv_mem *mem, mv_gpa gpa, int fd, uint64_t offset, uint64_t size)
{
    uint8_t *host = mv_mem_host(mem, gpa, size);

    return host ? mv_read_at(fd, offset, host, size) : -EFAULT;
}
