/* SPDX-License-Identifier: MIT */
/* Fuzz target: flat kernels by Multiboot. */
#include "load.h"
#include "x86.h"

#include "oldpc/oldpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load(data, size, mv_multiboot_load);
    return 0;
}
