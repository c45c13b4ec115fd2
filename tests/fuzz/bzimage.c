/* SPDX-License-Identifier: MIT */
/* Fuzz target: recognizing a file, and the bzImage loader. */
#include <errno.h>

#include "load.h"
#include "x86.h"

static int probe_and_load(struct mv_load *load, struct mv_error *err)
{
    switch (mv_image_probe(load->files, MV_IMAGE_BZIMAGE | MV_IMAGE_ELF, "a hint", err)) {
    case MV_IMAGE_BZIMAGE: return mv_bzimage_load(load, err);
    case MV_IMAGE_ELF: return mv_elf_load(load, err);
    default: return -ENOEXEC;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load(data, size, probe_and_load);
    return 0;
}
