/* SPDX-License-Identifier: MIT */
/* Fuzz target: the ELF loaders. */
#include "load.h"
#include "x86.h"

#include "oldpc/oldpc.h"

static int load_elf(struct mv_load *load, struct mv_error *err)
{
    int error = mv_elf_load(load, err);

    return error == MV_LOAD_NEXT ? mv_oldpc_load_elf(load, err) : error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load(data, size, load_elf);
    return 0;
}
