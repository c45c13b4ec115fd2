/* SPDX-License-Identifier: MIT */
/* Fuzz target: the loader for arm64, with its unpackers. */
#include <errno.h>

#include "load.h"

static int probe_and_load(struct mv_load *load, struct mv_error *err)
{
    enum mv_image_kind kind =
        mv_image_probe(load->files, MV_IMAGE_ARM64 | MV_IMAGE_GZIP | MV_IMAGE_ZBOOT, "a hint", err);

    return kind ? mv_arm64_load(load, kind, FUZZ_TABLES, err) : -ENOEXEC;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_load(data, size, probe_and_load);
    return 0;
}
