/* SPDX-License-Identifier: MIT */
/*
 * The reader of device trees: see fdt_read.h.
 *
 *   header        magic, totalsize, off_dt_struct, off_dt_strings ...: cells of 4 bytes
 *   structure     tokens, each on a cell:
 *     1 BEGIN_NODE  name, padded
 *     2 END_NODE
 *     3 PROP        size of the value, offset of the name in the strings, value, padded
 *     4 NOP
 *     9 END
 *   strings       names of properties
 */
#include "fdt_read.h"

enum { MAGIC = 0xd00dfeed };
enum { TOTALSIZE = 4, OFF_DT_STRUCT = 8, OFF_DT_STRINGS = 12 };
enum { BEGIN_NODE = 1, PROP = 3, NOP = 4, END = 9 };

/* Byte by byte, as the numbers are big-endian; nor does it mind where they lie. */
uint64_t fdt_number(const uint8_t *from, uint32_t size)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < size; i++)
        value = value << 8 | from[i];
    return value;
}

static uint32_t cell(const uint8_t *from)
{
    return (uint32_t)fdt_number(from, 4);
}

bool fdt_is_one(const void *tree)
{
    return cell(tree) == MAGIC;
}

uint32_t fdt_size(const void *tree)
{
    return cell((const uint8_t *)tree + TOTALSIZE);
}

/* The size of the text with the zero at its end, in whole cells. */
static uint32_t padded_text(const uint8_t *text)
{
    uint32_t size = 0;

    while (text[size])
        size++;
    return (size + 4) & ~3u;
}

/* The token that follows this one. */
static const uint8_t *next_token(const uint8_t *at)
{
    switch (cell(at)) {
    case BEGIN_NODE: return at + 4 + padded_text(at + 4);
    case PROP: return at + 12 + ((cell(at + 4) + 3) & ~3u);
    default: return at + 4;
    }
}

static struct fdt_node find_node(const uint8_t *tree, const uint8_t *at)
{
    while (cell(at) != BEGIN_NODE) {
        if (cell(at) == END)
            return (struct fdt_node){.tree = tree};
        at = next_token(at);
    }
    return (struct fdt_node){.tree = tree, .at = at, .name = (const char *)at + 4};
}

struct fdt_node fdt_first(const void *tree)
{
    const uint8_t *bytes = tree;

    return find_node(bytes, bytes + cell(bytes + OFF_DT_STRUCT));
}

struct fdt_node fdt_next(struct fdt_node node)
{
    return find_node(node.tree, next_token(node.at));
}

static bool is_same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

bool fdt_is_named(struct fdt_node node, const char *name)
{
    const char *at = node.name;

    while (*name && *at == *name)
        at++, name++;
    return !*name && (!*at || *at == '@');
}

/* A node's own properties come before the nodes in it (5.4.2). */
struct fdt_value fdt_property(struct fdt_node node, const char *name)
{
    const char *names = (const char *)node.tree + cell(node.tree + OFF_DT_STRINGS);

    for (const uint8_t *at = next_token(node.at);; at = next_token(at)) {
        if (cell(at) != PROP && cell(at) != NOP)
            return (struct fdt_value){0};
        if (cell(at) == PROP && is_same(names + cell(at + 8), name))
            return (struct fdt_value){.data = at + 12, .size = cell(at + 4)};
    }
}

bool fdt_has_type(struct fdt_node node, const char *type)
{
    struct fdt_value value = fdt_property(node, "device_type");

    return value.data && is_same((const char *)value.data, type);
}

bool fdt_is_compatible(struct fdt_node node, const char *word)
{
    struct fdt_value list = fdt_property(node, "compatible");

    for (uint32_t at = 0; at < list.size;) {
        if (is_same((const char *)list.data + at, word))
            return true;
        while (at < list.size && list.data[at])
            at++;
        at++;
    }
    return false;
}
