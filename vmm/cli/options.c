/* SPDX-License-Identifier: MIT */
/* The command line of minivmm: see options.h. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/util.h"
#include "minivmm/minivmm.h"
#include "minivmm/trace.h"

#define DEFAULT_CONSOLE "console=ttyS0"
#define DEFAULT_PANIC   "panic=-1"
#define DEFAULT_TRACE   (1u << 20) /* records for each vCPU */

const char mv_help_text[] =
    "usage: minivmm [options] [-k] KERNEL\n"
    "       minivmm trace [options] TRACE\n"
    "       minivmm explain [options] [-k] KERNEL\n"
    "Boots a kernel in a virtual machine, with its serial console on this terminal.\n"
    "explain: checks the vCPU's state before, and after a crash tells in words what happened.\n"
    "\n"
    "  -k, --kernel FILE    x86-64: bzImage (vmlinuz), an ELF vmlinux with a PVH note, a\n"
    "                       Multiboot 1 kernel, or a bare ELF executable;\n"
    "                       arm64: Image, Image.gz, or vmlinuz of the EFI zboot form\n"
    "  -i, --initrd FILE    initial RAM disk; may be given again: one behind the other\n"
    "  -a, --append WORDS   kernel command line; may be given again to add more.\n"
    "                       " DEFAULT_CONSOLE " and " DEFAULT_PANIC " are put before it,\n"
    "                       unless it has such words itself; before a Multiboot kernel's its name\n"
    "  -m, --memory SIZE    guest memory: 512M, 2G, 1T (MB and MiB are M); a bare number is MiB "
    "(256M)\n"
    "  -c, --cpus N         number of vCPUs (1)\n"
    "  -d, --disk FILE[,WORD...]\n"
    "                       a disk (virtio-blk) from a raw image or block device; may be given\n"
    "                       again: vda, vdb...  Words, separated by commas (in FILE: two):\n"
    "                         ro           read-only, may be shared\n"
    "                         direct       past the host's page cache\n"
    "                         serial=ID    serial number, up to 20 characters\n"
    "                         queues=N     number of queues (one for each vCPU)\n"
    "                         cache=MODE   writeback (the default: stable when the guest\n"
    "                                      flushes), writethrough, or unsafe (never)\n"
    "                         io=HOW       uring or threads (the first where possible)\n"
    "      --rng            an entropy device (virtio-rng): random bytes of the host's\n"
    "      --timeline FILE  write when each step of the start and end happened\n"
    "      --trace FILE[,records=N]\n"
    "                       write every exit with its times, the newest N (1048576) of each\n"
    "                       vCPU, for: minivmm trace FILE\n"
    "      --dump-acpi DIR  (x86-64) write the ACPI tables into this folder, and end; needs\n"
    "                       neither a kernel nor KVM\n"
    "      --dump-dtb FILE  (arm64) the same with the device tree\n"
    "      --step           single-step the guest, to find a triple fault (very slow)\n"
    "      --gdb unix:PATH  wait for GDB (target remote PATH) before the first instruction; or\n"
    "                       at IPv4:PORT, which every local user can reach; (x86-64) with ,32\n"
    "                       or ,64 behind it, if the symbols are of other code than the file\n"
    "  -v, --verbose        say what is done\n"
    "  -h, --help           this text\n"
    "  -V, --version        version\n"
    "\n"
    "Keys: Ctrl-A x quits, Ctrl-A b sends a break, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h helps.\n"
    "Exit status: 0 power-off or Ctrl-A x, 1 error, 2 usage, 240 reboot, 241 guest panic,\n"
    "242 triple fault, 243 KVM internal error or BIOS call, 128+N signal N; else what the\n"
    "guest wrote to its exit device (x86-64: port 0xf4, arm64: address 0x1010000).\n"
    "Signal USR1 makes it look at the disks' sizes again.\n"
    "Example: minivmm -k /boot/vmlinuz -i initrd.img -m 512M -c 2 -a 'root=/dev/ram0 quiet'\n"
    "Example: minivmm -k vmlinuz -d root.img -a 'root=/dev/vda rw'\n";

/* Requires a digit first: strtoull would accept "-1" and " 1". */
static bool parse_number(const char *text, const char **ret_rest, uint64_t *ret_value)
{
    char *rest;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *ret_value = strtoull(text, &rest, 10);
    *ret_rest = rest;
    return errno == 0;
}

bool mv_parse_size(const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "KMGT";
    const char *rest, *power;
    uint64_t value, unit;

    if (!parse_number(text, &rest, &value))
        return false;
    power = *rest ? strchr(units, toupper((unsigned char)*rest)) : units + 1;
    if (!power)
        return false;
    if (*rest && tolower((unsigned char)*++rest) == 'i') /* M, MB, Mi and MiB are the same */
        rest++;
    if (*rest && strcasecmp(rest, "b") != 0)
        return false;
    unit = MV_KIB << 10 * (power - units);
    if (value > INT64_MAX / unit)
        return false;
    *ret_bytes = value * unit;
    return true;
}

static bool fail(char message[2][256], const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(char message[2][256], const char *hint, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(message[0], 256, format, args);
    va_end(args);
    snprintf(message[1], 256, "%s", hint);
    return false;
}

/* Adds words to a command line, with a space between. */
static bool add_words(char **line, const char *words)
{
    char *longer;
    int length =
        *line && **line ? asprintf(&longer, "%s %s", *line, words) : asprintf(&longer, "%s", words);

    if (length < 0)
        return false;
    free(*line);
    *line = longer;
    return true;
}

/* Whether a word of the line begins with this. */
static bool has_word(const char *line, const char *beginning)
{
    for (const char *at = strstr(line, beginning); at; at = strstr(at + 1, beginning))
        if (at == line || isspace((unsigned char)at[-1]))
            return true;
    return false;
}

/* The words that show a Linux guest's console and end it after a panic, unless the given ones set
 * these parameters. */
static const char *linux_words(const char *given)
{
    bool console = given && has_word(given, "console="), panic = given && has_word(given, "panic=");

    if (console)
        return panic ? NULL : DEFAULT_PANIC;
    return panic ? DEFAULT_CONSOLE : DEFAULT_CONSOLE " " DEFAULT_PANIC;
}

static bool set_memory(struct mv_options *options, const char *text, char message[2][256])
{
    if (!mv_parse_size(text, &options->memory))
        return fail(
            message,
            "give a number with K, M, G or T, such as 512M (512MB and 512MiB mean the same)",
            "bad memory size: %s", text);
    if (options->memory < MV_MINIMUM_MEMORY)
        return fail(message, "give it at least 16M", "too little memory: %s", text);
    if (options->memory % MV_PAGE_SIZE)
        return fail(message, "give a multiple of 4K", "bad memory size: %s", text);
    return true;
}

static bool set_cpus(struct mv_options *options, const char *text, char message[2][256])
{
    const char *rest;
    uint64_t value;

    if (!parse_number(text, &rest, &value) || *rest || value == 0 || value > INT_MAX)
        return fail(message, "give a number, 1 or more", "bad number of CPUs: %s", text);
    options->cpus = (unsigned)value;
    return true;
}

static bool set_once(const char **slot, const char *value, const char *what, char message[2][256])
{
    if (*slot)
        return fail(message, "name one", "two %s: %s and %s", what, *slot, value);
    *slot = value;
    return true;
}

static bool add_initrd(struct mv_options *options, const char *path, char message[2][256])
{
    if (!options->initrd)
        options->initrd = path;
    else if (options->initrd_count == MV_INITRDS_MAX)
        return fail(message, "put them together with cat",
                    "too many initrds: at most %d are supported", 1 + MV_INITRDS_MAX);
    else
        options->initrds[options->initrd_count++] = path;
    return true;
}

/* The next part of an option's value, up to a comma; two commas stand for one. */
static char *next_part(char **rest)
{
    char *from = *rest, *to = from, *part = from;

    if (!from)
        return NULL;
    for (; *from; from++) {
        if (*from == ',' && from[1] != ',')
            break;
        if (*from == ',')
            from++;
        *to++ = *from;
    }
    *rest = *from ? from + 1 : NULL;
    *to = '\0';
    return part;
}

/* The value in `word`, if it is key=value with this key; else NULL. */
static const char *value_of(const char *word, const char *key)
{
    size_t length = strlen(key);

    return strncmp(word, key, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

static bool choose(const char *value, const char *const *names, unsigned count, int *ret_choice)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(value, names[i]) == 0) {
            *ret_choice = (int)i;
            return true;
        }
    return false;
}

static bool set_disk_word(struct mv_disk *disk, const char *word, char message[2][256])
{
    static const char *const caches[] = {
        [MV_CACHE_WRITEBACK] = "writeback",
        [MV_CACHE_WRITETHROUGH] = "writethrough",
        [MV_CACHE_UNSAFE] = "unsafe",
    };
    static const char *const ios[] = {
        [MV_DISK_IO_AUTO] = "auto",
        [MV_DISK_IO_URING] = "uring",
        [MV_DISK_IO_THREADS] = "threads",
    };
    const char *value, *rest;
    uint64_t number;
    int choice;

    if (strcmp(word, "ro") == 0) {
        disk->read_only = true;
    } else if (strcmp(word, "direct") == 0) {
        disk->direct = true;
    } else if ((value = value_of(word, "serial")) != NULL) {
        if (!*value || strlen(value) > MV_SERIAL_MAX)
            return fail(message, "", "a disk's serial number has 1 to %d characters: %s",
                        MV_SERIAL_MAX, value);
        disk->serial = value;
    } else if ((value = value_of(word, "queues")) != NULL) {
        if (!parse_number(value, &rest, &number) || *rest || number == 0 || number > MV_QUEUES_MAX)
            return fail(message, "", "a disk has 1 to %d queues: %s", MV_QUEUES_MAX, value);
        disk->queues = (unsigned)number;
    } else if ((value = value_of(word, "cache")) != NULL) {
        if (!choose(value, caches, MV_COUNT(caches), &choice))
            return fail(message, "writeback, writethrough or unsafe", "unknown cache mode: %s",
                        value);
        disk->cache = (enum mv_disk_cache)choice;
    } else if ((value = value_of(word, "io")) != NULL) {
        if (!choose(value, ios, MV_COUNT(ios), &choice))
            return fail(message, "auto, uring or threads", "unknown I/O engine: %s", value);
        disk->io = (enum mv_disk_io)choice;
    } else {
        return fail(message,
                    "ro, direct, serial=, queues=, cache= or io=; a comma in a path is "
                    "written twice",
                    "unknown disk option: %s", word);
    }
    return true;
}

static bool add_disk(struct mv_options *options, const char *text, char message[2][256])
{
    struct mv_disk *disk = &options->disks[options->disk_count];
    char *rest, *word;

    if (options->disk_count == MV_DISKS_MAX)
        return fail(message, "", "too many disks: at most %d are supported", MV_DISKS_MAX);
    rest = strdup(text);
    if (!rest)
        return fail(message, "", "no memory");
    options->disk_words[options->disk_count++] = rest;
    *disk = (struct mv_disk){.size = sizeof(*disk), .path = next_part(&rest)};
    if (!*disk->path)
        return fail(message, "for example: -d root.img", "a disk without a file: %s", text);
    while ((word = next_part(&rest)) != NULL)
        if (!set_disk_word(disk, word, message))
            return false;
    return true;
}

static bool set_trace(struct mv_options *options, const char *text, char message[2][256])
{
    char *rest = strdup(text), *word;

    if (!rest)
        return fail(message, "", "no memory");
    free(options->trace_words);
    options->trace_words = rest;
    options->trace_records = DEFAULT_TRACE;
    options->trace = next_part(&rest);
    if (!*options->trace)
        return fail(message, "for example: --trace boot.trace", "a trace without a file: %s", text);
    while ((word = next_part(&rest)) != NULL) {
        const char *value = value_of(word, "records"), *end;
        uint64_t number;

        if (!value)
            return fail(message, "records=; a comma in a path is written twice",
                        "unknown trace option: %s", word);
        if (!parse_number(value, &end, &number) || *end || number == 0 || number > MV_TRACE_MAX)
            return fail(message, "1048576 is the default", "a trace has 1 to %u records: %s",
                        MV_TRACE_MAX, value);
        options->trace_records = (size_t)number;
    }
    return true;
}

/* ADDRESS[,32|,64] */
static void set_gdb(struct mv_options *options, char *text)
{
    char *comma = strrchr(text, ',');

    options->gdb = text;
    options->gdb_bits = 0;
    if (comma && (strcmp(comma, ",32") == 0 || strcmp(comma, ",64") == 0)) {
        options->gdb_bits = comma[1] == '3' ? 32 : 64;
        *comma = '\0';
    }
}

static bool set_dump(struct mv_options *options, const char *tables, char message[2][256])
{
    if (*mv_tables() && strcmp(tables, mv_tables()) != 0) /* without debug there are none */
        return fail(message,
                    strcmp(tables, "dtb") == 0 ? "--dump-acpi DIR writes its ACPI tables"
                                               : "--dump-dtb FILE writes its device tree",
                    "not available on this architecture: --dump-%s", tables);
    return set_once(&options->dump, optarg, "places for the tables", message);
}

static bool set_option(struct mv_options *options, int option, const char *word,
                       char message[2][256])
{
    switch (option) {
    case 'k': return set_once(&options->kernel, optarg, "kernels", message);
    case 'i': return add_initrd(options, optarg, message);
    case 'a': return add_words(&options->append, optarg) || fail(message, "", "no memory");
    case 'm': return set_memory(options, optarg, message);
    case 'c': return set_cpus(options, optarg, message);
    case 'd': return add_disk(options, optarg, message);
    case 't': options->timeline = optarg; return true;
    case 'T': return set_trace(options, optarg, message);
    case 'r': options->rng = true; return true;
    case 's': options->step = true; return true;
    case 'g': set_gdb(options, optarg); return true;
    case 'A': return set_dump(options, "acpi", message);
    case 'D': return set_dump(options, "dtb", message);
    case 'v': options->verbose = true; return true;
    case 'h': options->action = MV_ACTION_HELP; return true;
    case 'V': options->action = MV_ACTION_VERSION; return true;
    case ':':
        return fail(message, "minivmm --help lists the options", "option %s needs a value", word);
    default: return fail(message, "minivmm --help lists the options", "unknown option: %s", word);
    }
}

bool mv_options_parse(int argc, char **argv, struct mv_options *options, char message[2][256])
{
    static const struct option long_options[] = {
        {"kernel", required_argument, NULL, 'k'},
        {"initrd", required_argument, NULL, 'i'},
        {"append", required_argument, NULL, 'a'},
        {"memory", required_argument, NULL, 'm'},
        {"cpus", required_argument, NULL, 'c'},
        {"disk", required_argument, NULL, 'd'},
        {"rng", no_argument, NULL, 'r'},
        {"timeline", required_argument, NULL, 't'},
        {"trace", required_argument, NULL, 'T'},
        {"step", no_argument, NULL, 's'},
        {"gdb", required_argument, NULL, 'g'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {"dump-acpi", required_argument, NULL, 'A'},
        {"dump-dtb", required_argument, NULL, 'D'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    static const char short_options[] = ":k:i:a:m:c:d:vhV";
    int option;

    *options = (struct mv_options){.action = MV_ACTION_RUN};
    if (argc > 1 && strcmp(argv[1], "explain") == 0) {
        options->explain = true;
        argc--;
        argv++;
    }
    opterr = 0;
    optind = 0; /* glibc: restart, for callers that parse twice */
    while ((option = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        /* The word in error.  Within a group such as -qv, getopt has not passed it yet, but
         * optopt has the letter. */
        const char letter[] = {'-', (char)optopt, '\0'};
        const char *word = option == '?' && optopt && !strchr(short_options, optopt)
                               ? letter
                               : argv[optind > 1 ? optind - 1 : 1];

        if (!set_option(options, option, word, message))
            return false;
        if (options->action != MV_ACTION_RUN)
            return true;
    }
    for (; optind < argc; optind++)
        if (!set_once(&options->kernel, argv[optind], "kernels", message))
            return false;
    if (!options->kernel && !options->dump)
        return fail(message, "for example: minivmm -k /boot/vmlinuz; minivmm --help says more",
                    "no kernel is named");
    options->linux_append = linux_words(options->append);
    return true;
}

void mv_options_done(struct mv_options *options)
{
    free(options->append);
    options->append = NULL;
    free(options->trace_words);
    options->trace_words = NULL;
    while (options->disk_count)
        free(options->disk_words[--options->disk_count]);
}
