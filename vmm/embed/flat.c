/* SPDX-License-Identifier: MIT */
/* Flat binaries: the part common to all architectures. */
#include <errno.h>

#include "core/log.h"
#include "embed.h"

int mv_flat_put(const struct mv_flat *flat, mv_gpa address, struct mv_mem *mem,
                struct mv_error *err)
{
    if (!mv_mem_write(mem, address, flat->code, flat->bytes))
        return mv_fail(err, -ENOMEM, NULL, "give the machine more memory, or another address",
                       "%zu bytes of code at %#llx do not fit into memory", flat->bytes,
                       (unsigned long long)address);
    return 0;
}
