/* SPDX-License-Identifier: MIT */
/* Fuzz target: the loader for arm64, with its unpackers. */
#include "arch/arm64/arm64.h"
#include "load.h"

static int probe_and_load(struct mv_load *load, struct mv_error *err)
{
    return mv_arm64_load(load, FUZZ_TABLES, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load(data, size, probe_and_load);
    return 0;
}
