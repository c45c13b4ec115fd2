/* SPDX-License-Identifier: MIT */
/*
 * Writes bytes of ACPI tables, and AML, the machine language of the DSDT (ACPI 6.4, chapter 20).
 * Device descriptions need only five of its constructs: Scope, Device, Name, Package, and a buffer
 * of resource descriptors (6.4).
 */
#ifndef MV_AML_H
#define MV_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "minivmm/device.h"

enum {
    AML_NAME = 0x08,
    AML_BYTE = 0x0a,
    AML_DWORD = 0x0c,
    AML_STRING = 0x0d,
    AML_SCOPE = 0x10,
    AML_BUFFER = 0x11,
    AML_PACKAGE = 0x12,
    AML_EXT = 0x5b,
    AML_EXT_DEVICE = 0x82,
};

/* A growing run of bytes; after an overflow, nothing more is written. */
struct mv_aml {
    uint8_t *data;
    size_t size, at;
    bool overflow;
};

void mv_aml_put(struct mv_aml *w, const void *data, size_t size);
void mv_aml_byte(struct mv_aml *w, unsigned value);

/* A little-endian number of `size` bytes. */
void mv_aml_number(struct mv_aml *w, uint64_t value, size_t size);

/* Begin and end whatever starts with a PkgLength (20.2.4).  end takes what begin returned. */
size_t mv_aml_begin(struct mv_aml *w);
void mv_aml_end(struct mv_aml *w, size_t start);

/* Name (name, ...): write the value next. */
void mv_aml_name(struct mv_aml *w, const char *name);

/* Device (...), from a description that has hid and acpi_name. */
void mv_aml_device(struct mv_aml *w, const struct mv_device_desc *desc, unsigned uid);

#endif
