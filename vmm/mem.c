/* SPDX-License-Identifier: MIT */
/* Guest memory: see mem.h. */
#include "mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util.h"

/* Below this, mapping a file costs more than copying it. */
#define MAP_AT_LEAST (64 * MV_KIB)

/* Transparent huge pages need host and guest addresses that agree in the low
 * bits of a huge page. */
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
    /* The first huge page's worth holds tables here and there; to clear all of it
     * for those would be the longest step of a short start.  Where the host has
     * no such pages, the call fails, and that is just as well. */
    madvise(mem->regions[0].host, mv_min(mem->regions[0].size, HUGE_PAGE), MADV_NOHUGEPAGE);
    return 0;
}

void mv_mem_done(struct mv_mem *mem)
{
    if (mem->mapping)
        munmap(mem->mapping, mem->mapped);
    memset(mem, 0, sizeof(*mem));
}

void *mv_mem_host(const struct mv_mem *mem, mv_gpa gpa, uint64_t size)
{
    for (unsigned i = 0; i < mem->count; i++) {
        const struct mv_region *region = &mem->regions[i];

        /* Written so that nothing can wrap: gpa + size is never formed. */
        if (gpa >= region->base && gpa - region->base < region->size &&
            size <= region->size - (gpa - region->base))
            return region->host + (gpa - region->base);
    }
    return NULL;
}

bool mv_mem_read(const struct mv_mem *mem, mv_gpa gpa, void *ret_data, size_t size)
{
    const void *host = mv_mem_host(mem, gpa, size);

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
    uint64_t whole = mv_align_down(size, MV_PAGE_SIZE);
    bool aligned = gpa % MV_PAGE_SIZE == 0 && offset % MV_PAGE_SIZE == 0;
    uint8_t last;
    int error;

    if (!host)
        return -EFAULT;
    if (!aligned || whole < MAP_AT_LEAST)
        return mv_read_at(fd, offset, host, size);
    /* mmap does not tell that the file ends too early. */
    error = mv_read_at(fd, offset + whole - 1, &last, 1);
    if (error)
        return error;
    if (mmap(host, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
             (off_t)offset) == MAP_FAILED)
        return mv_read_at(fd, offset, host, size); /* a file system without mmap */
    return mv_read_at(fd, offset + whole, host + whole, size - whole);
}
