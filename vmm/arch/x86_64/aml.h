/* SPDX-License-Identifier: MIT */
/*
 * Writes ACPI's tables and what is in them byte by byte, and the machine language of the DSDT (ACPI
 * 6.4, chapter 20), of which a description of devices needs five constructs only: Scope, Device,
 * Name, Package, and a buffer of resource descriptors (6.4).
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

/* A growing run of bytes; once it has overflowed, nothing is written any more. */
struct mv_aml {
    uint8_t *data;
    size_t size, at;
    bool overflow;
};

void mv_aml_put(struct mv_aml *w, const void *data, size_t size);
void mv_aml_byte(struct mv_aml *w, unsigned value);

/* A number of so many bytes, the low one first. */
void mv_aml_number(struct mv_aml *w, uint64_t value, size_t size);

/* A package (20.2.4) from its length to its end: end gets what begin has returned. */
size_t mv_aml_begin(struct mv_aml *w);
void mv_aml_end(struct mv_aml *w, size_t start);

/* Name (name, ...): what follows is its value. */
void mv_aml_name(struct mv_aml *w, const char *name);

/* Device (...), from its description: which has hid and acpi_name. */
void mv_aml_device(struct mv_aml *w, const struct mv_device_desc *desc, unsigned uid);

#endif
