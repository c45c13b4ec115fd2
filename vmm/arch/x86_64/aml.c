/* SPDX-License-Identifier: MIT */
/* AML: see aml.h. */
#include "aml.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

void mv_aml_put(struct mv_aml *w, const void *data, size_t size)
{
    if (size > w->size - w->at)
        w->overflow = true;
    if (w->overflow)
        return;
    memcpy(w->data + w->at, data, size);
    w->at += size;
}

void mv_aml_number(struct mv_aml *w, uint64_t value, size_t size)
{
    mv_aml_put(w, &value, size);
}

void mv_aml_byte(struct mv_aml *w, unsigned value)
{
    mv_aml_number(w, value, 1);
}

/* The PkgLength always takes three bytes (20.2.4): it can be patched at the end, and holds lengths
 * below 2^20 bytes.  It counts itself. */
size_t mv_aml_begin(struct mv_aml *w)
{
    mv_aml_number(w, 0, 3);
    return w->at - 3;
}

void mv_aml_end(struct mv_aml *w, size_t start)
{
    size_t length = w->at - start;

    if (w->overflow)
        return;
    assert(length < 1u << 20);
    w->data[start] = (uint8_t)(0x80 | (length & 0x0f));
    w->data[start + 1] = (uint8_t)(length >> 4);
    w->data[start + 2] = (uint8_t)(length >> 12);
}

void mv_aml_name(struct mv_aml *w, const char *name)
{
    mv_aml_byte(w, AML_NAME);
    mv_aml_put(w, name, 4);
}

static void put_byte(struct mv_aml *w, unsigned value)
{
    mv_aml_byte(w, AML_BYTE);
    mv_aml_byte(w, value);
}

/* _HID: an EISA ID such as PNP0501 is compressed into a DWord (19.3.4); an ACPI ID such as LNRO0005
 * is a string. */
static void put_hid(struct mv_aml *w, const char *hid)
{
    mv_aml_name(w, "_HID");
    if (strlen(hid) != 7) {
        mv_aml_byte(w, AML_STRING);
        mv_aml_put(w, hid, strlen(hid) + 1);
        return;
    }
    mv_aml_byte(w, AML_DWORD);
    mv_aml_byte(w, (unsigned)((hid[0] - 0x40) << 2 | (hid[1] - 0x40) >> 3));
    mv_aml_byte(w, (unsigned)((hid[1] & 7) << 5 | (hid[2] - 0x40)));
    mv_aml_number(w, htobe16((uint16_t)strtoul(hid + 3, NULL, 16)), 2);
}

static void put_resources(struct mv_aml *w, const struct mv_device_desc *desc)
{
    bool is_port = desc->space == MV_SPACE_PORT, has_irq = desc->irq >= 0;
    size_t package;

    mv_aml_name(w, "_CRS");
    mv_aml_byte(w, AML_BUFFER);
    package = mv_aml_begin(w);
    put_byte(w, (is_port ? 8u : 12u) + (has_irq ? 9u : 0u) + 2u);
    if (is_port) { /* 6.4.2.5 I/O port: 16-bit decoding, minimum and maximum base, alignment */
        mv_aml_put(w, "\x47\x01", 2);
        mv_aml_number(w, desc->base, 2);
        mv_aml_number(w, desc->base, 2);
        mv_aml_byte(w, 1);
        mv_aml_number(w, desc->bytes, 1);
    } else { /* 6.4.3.4 32-bit fixed memory, writable */
        mv_aml_put(w, "\x86\x09\x00\x01", 4);
        mv_aml_number(w, desc->base, 4);
        mv_aml_number(w, desc->bytes, 4);
    }
    if (has_irq) { /* 6.4.3.6 extended interrupt: consumer, edge, active high, exclusive; one */
        mv_aml_put(w, "\x89\x06\x00\x03\x01", 5);
        mv_aml_number(w, (unsigned)desc->irq, 4);
    }
    mv_aml_put(w, "\x79\x00", 2); /* 6.4.2.9 end tag, no checksum */
    mv_aml_end(w, package);
}

void mv_aml_device(struct mv_aml *w, const struct mv_device_desc *desc, unsigned uid)
{
    size_t package;

    mv_aml_byte(w, AML_EXT);
    mv_aml_byte(w, AML_EXT_DEVICE);
    package = mv_aml_begin(w);
    mv_aml_put(w, desc->acpi_name, 4);
    put_hid(w, desc->hid);
    mv_aml_name(w, "_UID");
    put_byte(w, uid);
    put_resources(w, desc);
    mv_aml_end(w, package);
}
