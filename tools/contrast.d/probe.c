/* SPDX-License-Identifier: MIT */
/*
 * probe: says what it sees and what it is let do, as a process, in a container, or as the first
 * process of a virtual machine.  It asserts nothing: everything is tried, and what changed nothing
 * by being tried.  Whose the things are that it sees is for isolation.py to judge, which compares
 * with what the same program saw on the host.
 *
 *     probe [vm | vm-reboot] WHAT [ARGUMENT]... [and WHAT [ARGUMENT]...]...
 *
 *         observe          what it sees, what it can open, which privileged calls succeed
 *         calls            which system calls the seccomp filters above it let through
 *         call NUMBER [ARGUMENT]...   what the kernel answers this one
 *         memory MIB       takes so much memory, 1 MiB after the other
 *         cpu MS           uses all CPUs for so long
 *         forks N          starts so many processes, which sleep, and ends them
 *         listen PORT MS   listens on 0.0.0.0:PORT for so long
 *         panic            tries to make the kernel panic
 *
 * vm: it is process 1 of a machine whose root is an initramfs: mounts what it needs, and at the end
 * powers the machine off, or restarts it.
 *
 * Prints lines "probe: KEY=VALUE".  A value that is the answer of a call is "ok" or the name of its
 * error.  The last line of each WHAT is "probe: end=ok".  proc(5), capabilities(7), namespaces(7),
 * seccomp(2).
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 8192, PATH = 256, MIB = 1 << 20, UNANSWERED = 255 };

/* Where proc is mounted: a container need not have one, or not where it usually is. */
static char proc[PATH] = "/proc";

/* ---- what it says ---- */

/* One write for each line, so that nothing gets between. */
__attribute__((format(printf, 2, 3))) static void say(const char *key, const char *format, ...)
{
    static char line[LINE];
    va_list arguments;
    size_t begin = (size_t)snprintf(line, sizeof(line), "probe: %s=", key), end;

    va_start(arguments, format);
    vsnprintf(line + begin, sizeof(line) - begin - 1, format, arguments);
    va_end(arguments);
    for (end = begin; line[end]; end++) {
        if ((unsigned char)line[end] < ' ')
            line[end] = ' ';
    }
    line[end++] = '\n';
    for (size_t at = 0; at < end;) {
        ssize_t n = write(STDOUT_FILENO, line + at, end - at);
        if (n < 0 && errno != EINTR)
            return;
        at += n > 0 ? (size_t)n : 0;
    }
}

static const char *error_name(int error)
{
    const char *name = strerrorname_np(error);

    return error == 0 ? "ok" : name ? name : "an error without a name";
}

/* What a call has answered, -1 meaning that errno tells. */
static int error_of(long answer)
{
    return answer < 0 ? errno : 0;
}

/* ---- files ---- */

static const char *in_proc(const char *name)
{
    static char path[2 * PATH];

    snprintf(path, sizeof(path), "%s/%s", proc, name);
    return path;
}

/* The text of a small file; false, and an empty text, if it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t length = 0;

    for (ssize_t n = fd < 0 ? 0 : 1; n > 0 && length < size - 1;) {
        n = read(fd, text + length, size - 1 - length);
        length += n > 0 ? (size_t)n : 0;
    }
    text[length] = '\0';
    if (fd >= 0)
        close(fd);
    return length > 0;
}

static void say_text(const char *key, const char *path)
{
    char text[LINE / 2];

    if (read_text(path, text, sizeof(text))) {
        text[strcspn(text, "\n")] = '\0';
        say(key, "%s", text);
    }
}

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error = error_of(fd);

    if (fd >= 0)
        close(fd);
    return error;
}

/* Adds a word to a list of them; the list ends with "..." if it is full. */
__attribute__((format(printf, 3, 4))) static void add_word(char *list, size_t size,
                                                           const char *format, ...)
{
    char word[PATH];
    va_list arguments;
    size_t length = strlen(list);

    va_start(arguments, format);
    vsnprintf(word, sizeof(word), format, arguments);
    va_end(arguments);
    if (length + strlen(word) + 6 < size)
        snprintf(list + length, size - length, "%s%s", length ? "," : "", word);
    else if (length + 5 < size && !strstr(list, "..."))
        snprintf(list + length, size - length, ",...");
}

/* ---- questions: each is asked by a child, since a filter may kill who asks ---- */

struct question {
    const char *key;
    int (*ask)(void); /* returns 0 or errno */
};

/* Runs it in a child: 0 or errno, and -N if signal N killed the child. */
static int ask_in_child(int (*ask)(void))
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(ask());
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return UNANSWERED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void say_answers(const char *prefix, const struct question *questions, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int answer = ask_in_child(questions[i].ask);
        char key[PATH];

        snprintf(key, sizeof(key), "%s%s", prefix, questions[i].key);
        if (answer == UNANSWERED)
            say(key, "unanswered");
        else if (answer < 0)
            say(key, "killed by signal %d", -answer);
        else
            say(key, "%s", error_name(answer));
    }
}

/* ---- observe: the kernel, and who we are ---- */

static void observe_kernel(void)
{
    struct utsname name;

    if (uname(&name) == 0) {
        say("release", "%s", name.release);
        say("version", "%s", name.version);
        say("machine", "%s", name.machine);
        say("hostname", "%s", name.nodename);
    }
    say_text("boot_id", in_proc("sys/kernel/random/boot_id"));
}

/* By system calls and not from /proc/self/status, which need not be there. */
static void observe_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{0}, {0}};
    uint64_t bounding = 0;
    int last = 0;

    for (int cap; (cap = prctl(PR_CAPBSET_READ, last, 0, 0, 0)) >= 0 && last < 64; last++)
        bounding |= (uint64_t)cap << last;
    if (syscall(SYS_capget, &header, data) == 0)
        say("cap_effective", "%#llx",
            (unsigned long long)data[1].effective << 32 | data[0].effective);
    say("cap_bounding", "%#llx", (unsigned long long)bounding);
    say("cap_all", "%d", last); /* so many the kernel has */
}

static void observe_identity(void)
{
    char text[1024], map[1024] = "";
    char *line, *rest = text;

    say("pid", "%d", getpid());
    say("uid", "%u", geteuid());
    say("gid", "%u", getegid());
    read_text(in_proc("self/uid_map"), text, sizeof(text));
    while ((line = strsep(&rest, "\n"))) {
        unsigned inside, outside, count;
        if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3)
            add_word(map, sizeof(map), "%u %u %u", inside, outside, count);
    }
    if (map[0])
        say("uid_map", "%s", map);
    observe_capabilities();
    say("no_new_privs", "%d", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("seccomp", "%d", prctl(PR_GET_SECCOMP, 0, 0, 0, 0)); /* -1: the kernel has none */
    say_text("apparmor", in_proc("self/attr/current"));
}

static void observe_namespaces(void)
{
    static const char *const names[] = {"cgroup", "ipc",  "mnt",  "net",
                                        "pid",    "time", "user", "uts"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[PATH], key[PATH], text[PATH];
        ssize_t length;

        snprintf(path, sizeof(path), "self/ns/%s", names[i]);
        snprintf(key, sizeof(key), "ns_%s", names[i]);
        length = readlink(in_proc(path), text, sizeof(text) - 1);
        text[length < 0 ? 0 : length] = '\0';
        if (length > 0)
            say(key, "%s", text);
    }
}

/* ---- observe: processes, mounts, network, CPUs, memory ---- */

static void observe_processes(void)
{
    DIR *folder = opendir(proc);
    struct dirent *entry;
    int seen = 0, reached = 0;
    char text[32];
    ssize_t length = readlink(in_proc("self"), text, sizeof(text) - 1);

    while (folder && (entry = readdir(folder))) {
        pid_t pid = atoi(entry->d_name);

        if (pid <= 0)
            continue;
        seen++;
        if (pid != getpid() && kill(pid, 0) == 0)
            reached++;
    }
    if (folder)
        closedir(folder);
    if (seen) {
        say("processes", "%d", seen);
        say("processes_reached", "%d", reached); /* a signal could be sent to so many others */
    }
    text[length < 0 ? 0 : length] = '\0';
    if (length > 0)
        say("proc_self", "%s", text); /* another number than pid: that proc is not of our own */
    say("kill_1", "%s", error_name(error_of(kill(1, 0))));
}

static void observe_mounts(void)
{
    static char text[64 * 1024];
    struct stat root;
    struct statvfs system;
    char type[PATH] = "", *line, *rest = text;
    int count = 0;

    read_text(in_proc("self/mountinfo"), text, sizeof(text));
    while ((line = strsep(&rest, "\n"))) { /* 22 1 0:21 / /mnt options ... - type source options */
        char at[PATH];
        char *end = strstr(line, " - ");

        if (!end || sscanf(line, "%*s %*s %*s %*s %255s", at) != 1)
            continue;
        count++;
        if (strcmp(at, "/") == 0)
            sscanf(end, " - %255s", type); /* the last one is on top */
    }
    if (count)
        say("mounts", "%d", count);
    if (type[0])
        say("root_type", "%s", type);
    if (stat("/", &root) == 0)
        say("root_device", "%u:%u:%llu", major(root.st_dev), minor(root.st_dev),
            (unsigned long long)root.st_ino);
    if (statvfs("/", &system) == 0)
        say("root_writable", "%s",
            system.f_flag & ST_RDONLY ? "EROFS" : error_name(error_of(access("/", W_OK))));
}

static void observe_network(void)
{
    static char text[64 * 1024];
    char names[LINE / 2] = "", *line, *rest = text;
    struct ifreq request = {0};
    int any = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (read_text(in_proc("self/net/dev"), text, sizeof(text))) { /* lines "  lo: ..." */
        while ((line = strsep(&rest, "\n"))) {
            char name[PATH];
            if (strchr(line, ':') && sscanf(line, " %255[^:]", name) == 1)
                add_word(names, sizeof(names), "%s", name);
        }
    } else {
        for (request.ifr_ifindex = 1; request.ifr_ifindex < 256; request.ifr_ifindex++) {
            int index = request.ifr_ifindex; /* it is in a union with others */
            if (ioctl(any, SIOCGIFNAME, &request) == 0)
                add_word(names, sizeof(names), "%s", request.ifr_name);
            request.ifr_ifindex = index;
        }
    }
    close(any);
    any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    say("interfaces", "%s", names);
    say("inet", "%s", error_name(error_of(any)));
    if (any >= 0)
        close(any);
}

/* What cgroup2 says within the cgroup that we are in, where it is mounted. */
static void observe_cgroup(void)
{
    static const char *const names[] = {"memory.max", "pids.max", "cpu.max"};
    char text[1024], folder[1024 + PATH] = "/sys/fs/cgroup", *own;

    if (!read_text(in_proc("self/cgroup"), text, sizeof(text)) || !(own = strstr(text, "0::")))
        return;
    own[strcspn(own, "\n")] = '\0';
    say("cgroup", "%s", own + 3);
    snprintf(folder, sizeof(folder), "/sys/fs/cgroup%s", own + 3);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[sizeof(folder) + PATH], key[PATH];

        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        snprintf(key, sizeof(key), "cgroup_%s", names[i]);
        key[strcspn(key, ".")] = '_';
        say_text(key, path);
    }
}

static int cpus_of_ours(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);
}

static void observe_resources(void)
{
    static char text[256 * 1024];
    struct sysinfo info;
    int processors = 0;

    say("cpus", "%d", cpus_of_ours());
    if (read_text(in_proc("cpuinfo"), text, sizeof(text))) {
        for (char *at = text; (at = strstr(at, "processor\t:")); at++)
            processors++;
        say("cpuinfo", "%d", processors);
    }
    if (sysinfo(&info) == 0)
        say("memory_kib", "%llu", (unsigned long long)info.totalram * info.mem_unit / 1024);
    if (read_text(in_proc("meminfo"), text, sizeof(text))) {
        unsigned long long total; /* it may be made up: lxcfs */
        if (sscanf(text, "MemTotal: %llu", &total) == 1)
            say("meminfo_kib", "%llu", total);
    }
    observe_cgroup();
}

/* ---- observe: devices ---- */

/* The devices of memory and null, of terminals, of random numbers: they reach nothing. */
static bool is_harmless(const struct stat *node)
{
    unsigned kind = major(node->st_rdev), which = minor(node->st_rdev);

    if (!S_ISCHR(node->st_mode))
        return false;
    return (kind == 1 && (which == 3 || which == 5 || (which >= 7 && which <= 9))) ||
           (kind == 5 && (which == 0 || which == 2)) || (kind >= 136 && kind <= 143);
}

/* Whether opening changes nothing; it starts a watchdog, for example, and hangs up a line. */
static bool may_be_opened(const struct stat *node)
{
    static const unsigned char known[][2] = {
        {1, 1},    /* mem */
        {1, 4},    /* port */
        {1, 11},   /* kmsg */
        {5, 1},    /* console */
        {10, 200}, /* net/tun */
        {10, 229}, /* fuse */
        {10, 232}, /* kvm */
    };

    if (S_ISBLK(node->st_mode))
        return true;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (major(node->st_rdev) == known[i][0] && minor(node->st_rdev) == known[i][1])
            return true;
    }
    return false;
}

struct devices { /* names, with commas between */
    int count;
    char harmless[LINE / 4], untried[LINE / 4];
    char disks[LINE / 4], opened[LINE / 4], refused[LINE / 4];
};

static void try_device(struct devices *d, const char *path, const struct stat *node)
{
    const char *name = path + strlen("/dev/");
    int error = try_open(path, O_RDONLY);

    if (error)
        add_word(d->refused, sizeof(d->refused), "%s %s", name, error_name(error));
    else if (S_ISBLK(node->st_mode))
        add_word(d->disks, sizeof(d->disks), "%s", name);
    else
        add_word(d->opened, sizeof(d->opened), "%s", name);
}

static void walk_devices(struct devices *d, const char *folder, int depth)
{
    DIR *stream = opendir(folder);
    struct dirent *entry;

    while (stream && (entry = readdir(stream))) {
        char path[PATH + 300];
        const char *name = path + strlen("/dev/");
        struct stat node;

        if (snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name) >= (int)sizeof(path) ||
            entry->d_name[0] == '.' || lstat(path, &node) < 0)
            continue;
        if (S_ISDIR(node.st_mode) && depth > 0)
            walk_devices(d, path, depth - 1);
        if (!S_ISCHR(node.st_mode) && !S_ISBLK(node.st_mode))
            continue;
        d->count++;
        if (is_harmless(&node))
            add_word(d->harmless, sizeof(d->harmless), "%s", name);
        else if (may_be_opened(&node))
            try_device(d, path, &node);
        else
            add_word(d->untried, sizeof(d->untried), "%s", name);
    }
    if (stream)
        closedir(stream);
}

static void observe_devices(void)
{
    static struct devices d;

    walk_devices(&d, "/dev", 2);
    say("devices", "%d", d.count);
    say("devices_harmless", "%s", d.harmless);
    say("devices_untried", "%s", d.untried);
    say("devices_disks", "%s", d.disks); /* opened */
    say("devices_opened", "%s", d.opened);
    say("devices_refused", "%s", d.refused);
}

/* A disk of this kernel, or 240:0: the numbers from 240 are for experiments, so that there is
 * none and no module is asked for.  The answer ENXIO then means that it would have been opened. */
static dev_t some_disk(void)
{
    char text[LINE], *line, *rest = text;

    read_text(in_proc("partitions"), text, sizeof(text));
    while ((line = strsep(&rest, "\n"))) {
        unsigned kind, which;
        if (sscanf(line, " %u %u", &kind, &which) == 2)
            return makedev(kind, which);
    }
    return makedev(240, 0);
}

/* Makes a device node, opens it and removes it.  EACCES at opening means that the file system is
 * mounted with nodev; there may be another one. */
static void try_node(const char *key, mode_t type, dev_t device)
{
    static const char *const folders[] = {"/tmp", "/dev/shm", "/run", "/dev", "/", "."};
    int made = ENOENT, opened = EACCES;
    char open_key[PATH];

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && opened == EACCES; i++) {
        char path[PATH];
        int error;

        snprintf(path, sizeof(path), "%s/.probe-%d", folders[i], getpid());
        error = error_of(mknod(path, type | 0600, device));
        if (error == 0) {
            opened = try_open(path, O_RDONLY);
            unlink(path);
        }
        if (made != 0 && (error == 0 || made == ENOENT || made == EROFS)) /* what says most */
            made = error;
    }
    say(key, "%s", error_name(made));
    if (made == 0) {
        snprintf(open_key, sizeof(open_key), "%s_opened", key);
        say(open_key, "%s", error_name(opened));
    }
}

static void observe_nodes(void)
{
    dev_t disk = some_disk();

    say("disk", "%u:%u", major(disk), minor(disk));
    try_node("node_disk", S_IFBLK, disk);
    try_node("node_mem", S_IFCHR, makedev(1, 1));
}

/* ---- observe: what the kernel is asked for ---- */

static int ask_kcore(void)
{
    char bytes[16];
    int fd = open(in_proc("kcore"), O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return errno;
    n = read(fd, bytes, sizeof(bytes));
    return n < 0 ? errno : n > 0 ? 0 : ENODATA; /* nothing in it: something else lies over it */
}

static int ask_core_pattern(void)
{
    return try_open(in_proc("sys/kernel/core_pattern"), O_WRONLY);
}

static int ask_sysrq(void)
{
    return try_open(in_proc("sysrq-trigger"), O_WRONLY);
}

static int ask_dmesg(void)
{
    char text[64];
    enum { SYSLOG_ACTION_READ_ALL = 3 };

    return error_of(klogctl(SYSLOG_ACTION_READ_ALL, text, sizeof(text)));
}

/* Who may load a module is asked before the module is looked at.  ENOEXEC: it is none. */
static int ask_module(void)
{
    char nonsense[] = "this is no module";

    return error_of(syscall(SYS_init_module, nonsense, sizeof(nonsense), ""));
}

static int ask_clock_settime(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return errno;
    return error_of(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

/* Neither time nor zone: only whether we may is looked at. */
static int ask_settimeofday(void)
{
    return error_of(syscall(SYS_settimeofday, NULL, NULL));
}

#ifdef SYS_iopl
static int ask_iopl(void)
{
    return error_of(syscall(SYS_iopl, 3)); /* ends with the child */
}

static int ask_ioperm(void)
{
    return error_of(syscall(SYS_ioperm, 0x80, 1, 1));
}
#endif

static int ask_hostname(void)
{
    struct utsname name;

    if (uname(&name) < 0)
        return errno;
    return error_of(sethostname(name.nodename, strlen(name.nodename)));
}

static int ask_user_namespace(void)
{
    return error_of(unshare(CLONE_NEWUSER));
}

static int ask_bpf(void)
{
    union bpf_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};

    return error_of(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

/* All that runs on CPU 0, and not only of ours. */
static int ask_perf(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CPU_CLOCK};

    return error_of(syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0));
}

static int ask_userfaultfd(void)
{
    return error_of(syscall(SYS_userfaultfd, O_CLOEXEC));
}

static int ask_io_uring(void)
{
    struct io_uring_params params = {0};

    return error_of(syscall(SYS_io_uring_setup, 1, &params));
}

static const struct question of_proc[] = {
    {"kcore", ask_kcore},
    {"core_pattern", ask_core_pattern},
    {"sysrq", ask_sysrq},
};

static const struct question of_the_kernel[] = {
    {"dmesg", ask_dmesg},
    {"module", ask_module},
    {"clock_settime", ask_clock_settime},
    {"settimeofday", ask_settimeofday},
#ifdef SYS_iopl
    {"iopl", ask_iopl},
    {"ioperm", ask_ioperm},
#endif
    {"hostname_set", ask_hostname},
    {"user_namespace", ask_user_namespace},
    {"bpf", ask_bpf},
    {"perf", ask_perf},
    {"userfaultfd", ask_userfaultfd},
    {"io_uring", ask_io_uring},
};

/* ---- proc ---- */

static int mount_proc(const char *where)
{
    return error_of(mount("proc", where, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
}

static bool have_proc(void)
{
    return access(in_proc("self/status"), F_OK) == 0;
}

static bool proc_mounted, proc_made; /* by us */

static void leave_proc(void)
{
    if (proc_mounted)
        umount2(proc, MNT_DETACH);
    if (proc_made)
        rmdir(proc);
}

/* Where there is none, it is mounted, and so seen that it can be. */
static void need_proc(void)
{
    static const char *const folders[] = {"/proc", "/tmp/.probe", "/dev/shm/.probe", "/run/.probe",
                                          "./.probe"};
    int error = ENOENT;

    if (have_proc()) {
        say("proc", "ok");
        return;
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        int made = error_of(mkdir(folders[i], 0755));

        error = made && made != EEXIST ? made : mount_proc(folders[i]);
        if (error == 0) {
            snprintf(proc, sizeof(proc), "%s", folders[i]);
            proc_mounted = true;
            proc_made = made == 0;
            say("proc", "mounted at %s", folders[i]);
            return;
        }
        if (made == 0)
            rmdir(folders[i]);
    }
    say("proc", "%s", error_name(error));
}

/* A proc that nothing was laid over: who may mount one goes round the masks.  In a namespace of
 * mounts of its own if that is possible, so that it is gone when this process is. */
static int mount_fresh_proc(void)
{
    int error;

    if (unshare(CLONE_NEWNS) == 0)
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    error = mount_proc("/proc");
    if (error == 0)
        strcpy(proc, "/proc");
    return error;
}

static int ask_fresh_proc(void)
{
    int error = mount_fresh_proc();

    say("fresh_proc", "%s", error_name(error));
    if (error == 0)
        say_answers("fresh_", of_proc, sizeof(of_proc) / sizeof(of_proc[0]));
    return 0;
}

static void observe(void)
{
    need_proc();
    observe_kernel();
    observe_identity();
    observe_namespaces();
    observe_processes();
    observe_mounts();
    observe_devices();
    observe_nodes();
    observe_network();
    observe_resources();
    say_answers("", of_proc, sizeof(of_proc) / sizeof(of_proc[0]));
    say_answers("", of_the_kernel, sizeof(of_the_kernel) / sizeof(of_the_kernel[0]));
    if (ask_in_child(ask_fresh_proc) != 0)
        say("fresh_proc", "unanswered");
    leave_proc();
}

/* ---- calls ----
 *
 * A child puts a filter over itself that refers every system call to a listener: us.  Of all
 * filters' answers the kernel takes the one with precedence, seccomp(2):
 *
 *     KILL  TRAP  ERRNO | USER_NOTIF | TRACE  LOG  ALLOW
 *      refused by one   |   to us    |  let through by all above
 *
 * So what other filters refuse never comes to us, and what they let through comes to us and is
 * answered with an error that no kernel knows, and is executed in no case.
 *
 * The arguments are all zero. A filter may look at them (at clone, personality, socket and few
 * others most do); what it says of other arguments is not found out.
 *
 * Child and parent share their table of files, through which the listener comes to us, and a page,
 * through which the answers do: the child can make no call that would be answered by another.
 */

/* The system calls of Linux 6.1, without those that are only numbers (nfsservctl, for example). */
/* clang-format off */
#define CALLS_OF_ALL(C) \
C(accept) C(accept4) C(acct) C(add_key) C(adjtimex) C(bind) C(bpf) C(brk) C(capget) C(capset) C(chdir) C(chroot) \
C(clock_adjtime) C(clock_getres) C(clock_gettime) C(clock_nanosleep) C(clock_settime) C(clone) C(clone3) C(close) \
C(close_range) C(connect) C(copy_file_range) C(delete_module) C(dup) C(dup3) C(epoll_create1) C(epoll_ctl) \
C(epoll_pwait) C(epoll_pwait2) C(eventfd2) C(execve) C(execveat) C(exit) C(exit_group) C(faccessat) C(faccessat2) \
C(fadvise64) C(fallocate) C(fanotify_init) C(fanotify_mark) C(fchdir) C(fchmod) C(fchmodat) C(fchown) C(fchownat) \
C(fcntl) C(fdatasync) C(fgetxattr) C(finit_module) C(flistxattr) C(flock) C(fremovexattr) C(fsconfig) C(fsetxattr) \
C(fsmount) C(fsopen) C(fspick) C(fstat) C(fstatfs) C(fsync) C(ftruncate) C(futex) C(futex_waitv) C(get_mempolicy) \
C(get_robust_list) C(getcpu) C(getcwd) C(getdents64) C(getegid) C(geteuid) C(getgid) C(getgroups) C(getitimer) \
C(getpeername) C(getpgid) C(getpid) C(getppid) C(getpriority) C(getrandom) C(getresgid) C(getresuid) C(getrlimit) \
C(getrusage) C(getsid) C(getsockname) C(getsockopt) C(gettid) C(gettimeofday) C(getuid) C(getxattr) C(init_module) \
C(inotify_add_watch) C(inotify_init1) C(inotify_rm_watch) C(io_cancel) C(io_destroy) C(io_getevents) \
C(io_pgetevents) C(io_setup) C(io_submit) C(io_uring_enter) C(io_uring_register) C(io_uring_setup) C(ioctl) \
C(ioprio_get) C(ioprio_set) C(kcmp) C(kexec_file_load) C(kexec_load) C(keyctl) C(kill) C(landlock_add_rule) \
C(landlock_create_ruleset) C(landlock_restrict_self) C(lgetxattr) C(linkat) C(listen) C(listxattr) C(llistxattr) \
C(lookup_dcookie) C(lremovexattr) C(lseek) C(lsetxattr) C(madvise) C(mbind) C(membarrier) C(memfd_create) \
C(memfd_secret) C(migrate_pages) C(mincore) C(mkdirat) C(mknodat) C(mlock) C(mlock2) C(mlockall) C(mmap) C(mount) \
C(mount_setattr) C(move_mount) C(move_pages) C(mprotect) C(mq_getsetattr) C(mq_notify) C(mq_open) C(mq_timedreceive) \
C(mq_timedsend) C(mq_unlink) C(mremap) C(msgctl) C(msgget) C(msgrcv) C(msgsnd) C(msync) C(munlock) C(munlockall) \
C(munmap) C(name_to_handle_at) C(nanosleep) C(open_by_handle_at) C(open_tree) C(openat) C(openat2) \
C(perf_event_open) C(personality) C(pidfd_getfd) C(pidfd_open) C(pidfd_send_signal) C(pipe2) C(pivot_root) \
C(pkey_alloc) C(pkey_free) C(pkey_mprotect) C(ppoll) C(prctl) C(pread64) C(preadv) C(preadv2) C(prlimit64) \
C(process_madvise) C(process_mrelease) C(process_vm_readv) C(process_vm_writev) C(pselect6) C(ptrace) C(pwrite64) \
C(pwritev) C(pwritev2) C(quotactl) C(quotactl_fd) C(read) C(readahead) C(readlinkat) C(readv) C(reboot) C(recvfrom) \
C(recvmmsg) C(recvmsg) C(remap_file_pages) C(removexattr) C(renameat) C(renameat2) C(request_key) C(restart_syscall) \
C(rseq) C(rt_sigaction) C(rt_sigpending) C(rt_sigprocmask) C(rt_sigqueueinfo) C(rt_sigreturn) C(rt_sigsuspend) \
C(rt_sigtimedwait) C(rt_tgsigqueueinfo) C(sched_get_priority_max) C(sched_get_priority_min) C(sched_getaffinity) \
C(sched_getattr) C(sched_getparam) C(sched_getscheduler) C(sched_rr_get_interval) C(sched_setaffinity) \
C(sched_setattr) C(sched_setparam) C(sched_setscheduler) C(sched_yield) C(seccomp) C(semctl) C(semget) C(semop) \
C(semtimedop) C(sendfile) C(sendmmsg) C(sendmsg) C(sendto) C(set_mempolicy) C(set_mempolicy_home_node) \
C(set_robust_list) C(set_tid_address) C(setdomainname) C(setfsgid) C(setfsuid) C(setgid) C(setgroups) \
C(sethostname) C(setitimer) C(setns) C(setpgid) C(setpriority) C(setregid) C(setresgid) C(setresuid) C(setreuid) \
C(setrlimit) C(setsid) C(setsockopt) C(settimeofday) C(setuid) C(setxattr) C(shmat) C(shmctl) C(shmdt) C(shmget) \
C(shutdown) C(sigaltstack) C(signalfd4) C(socket) C(socketpair) C(splice) C(statfs) C(statx) C(swapoff) C(swapon) \
C(symlinkat) C(sync) C(sync_file_range) C(syncfs) C(sysinfo) C(syslog) C(tee) C(tgkill) C(timer_create) \
C(timer_delete) C(timer_getoverrun) C(timer_gettime) C(timer_settime) C(timerfd_create) C(timerfd_gettime) \
C(timerfd_settime) C(times) C(tkill) C(truncate) C(umask) C(umount2) C(uname) C(unlinkat) C(unshare) \
C(userfaultfd) C(utimensat) C(vhangup) C(vmsplice) C(wait4) C(waitid) C(write) C(writev)

#if defined(__x86_64__)
#define CALLS_OF_ARCH(C) \
C(access) C(alarm) C(arch_prctl) C(chmod) C(chown) C(creat) C(dup2) C(epoll_create) C(epoll_wait) C(eventfd) C(fork) \
C(futimesat) C(getdents) C(getpgrp) C(inotify_init) C(ioperm) C(iopl) C(lchown) C(link) C(lstat) C(mkdir) C(mknod) \
C(modify_ldt) C(newfstatat) C(open) C(pause) C(pipe) C(poll) C(readlink) C(rename) C(rmdir) C(select) C(signalfd) \
C(stat) C(symlink) C(sysfs) C(time) C(unlink) C(ustat) C(utime) C(utimes) C(vfork)
#else
#define CALLS_OF_ARCH(C) C(newfstatat)
#endif
/* clang-format on */

static const struct call {
    const char *name;
    long number;
} calls[] = {
#define CALL(call) {#call, __NR_##call},
    CALLS_OF_ALL(CALL) CALLS_OF_ARCH(CALL)};

enum { CALLS = sizeof(calls) / sizeof(calls[0]), OUR_ERROR = 2222, UNTRIED = 1, KILLED = 2 };

static struct answers {
    _Atomic int listener; /* the number of its file, or -errno; 0: not yet */
    _Atomic int at;       /* the call that is being made */
    _Atomic bool done;
    _Atomic long answer[CALLS];
} * answers;

/* With nothing of a library around it, and all arguments zero. */
static long bare_call(long number)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(0L), "S"(0L), "d"(0L), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return number;
#else
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = 0, x1 __asm__("x1") = 0, x2 __asm__("x2") = 0;
    register long x3 __asm__("x3") = 0, x4 __asm__("x4") = 0, x5 __asm__("x5") = 0;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#endif
}

static _Noreturn void make_calls(int from)
{
    struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
    struct sock_fprog program = {.len = 1, .filter = code};
    long listener;

    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    listener =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    answers->listener = listener < 0 ? -errno : (int)listener;
    if (listener < 0)
        _exit(1);
    for (int i = from; i < CALLS; i++) {
        answers->at = i;
        answers->answer[i] = bare_call(calls[i].number);
    }
    answers->done = true;
    for (;;) /* every way to end or to wait is a call, so the parent ends it */
        ;
}

static void answer_calls(int listener)
{
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    struct seccomp_notif call = {0};

    if (poll(&ready, 1, 1) != 1 || !(ready.revents & POLLIN))
        return;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0) {
        struct seccomp_notif_resp response = {.id = call.id, .error = -OUR_ERROR};
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
    }
}

/* Tries the calls from that on, up to the last one or to the one that the child is killed by.
 * Returns the next one to try, or -errno if there can be no listener. */
static int try_calls(int from)
{
    int status, listener, next = CALLS;
    bool dead = false;
    pid_t child;

    answers->listener = 0;
    answers->at = from;
    answers->done = false;
    /* As fork does, but the files are shared. */
    child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        make_calls(from);
    if (child < 0)
        return -errno;
    while (!dead && !answers->done) {
        if (answers->listener > 0)
            answer_calls(answers->listener);
        else
            usleep(1000);
        dead = waitpid(child, &status, WNOHANG) == child;
    }
    listener = answers->listener;
    if (dead && listener > 0) {
        answers->answer[answers->at] = KILLED;
        next = answers->at + 1;
    }
    if (!dead) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
    }
    if (listener > 0)
        close(listener);
    return listener > 0 ? next : listener < 0 ? listener : -ESRCH;
}

static void say_calls(void)
{
    static char refused[LINE / 2], killed[LINE / 2];
    int reached = 0;

    for (int i = 0; i < CALLS; i++) {
        long answer = answers->answer[i];

        if (answer == -OUR_ERROR)
            reached++;
        else if (answer == KILLED)
            add_word(killed, sizeof(killed), "%s", calls[i].name);
        else
            add_word(refused, sizeof(refused), answer == -EPERM ? "%s" : "%s %s", calls[i].name,
                     answer < 0 ? error_name((int)-answer) : "answered");
    }
    say("calls", "%d", reached);
    say("calls_of", "%d", CALLS);
    say("calls_refused", "%s", refused); /* with EPERM where nothing else is said */
    say("calls_killed", "%s", killed);
}

static void probe_calls(void)
{
    answers =
        mmap(NULL, sizeof(*answers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answers == MAP_FAILED) {
        say("calls_error", "%s", error_name(errno));
        return;
    }
    for (int i = 0; i < CALLS; i++)
        answers->answer[i] = UNTRIED;
    for (int next = 0; next < CALLS;) {
        next = try_calls(next);
        if (next < 0) { /* ENOSYS: no seccomp in this kernel; EBUSY: there is a listener already */
            say("calls_error", "%s", error_name(-next));
            return;
        }
    }
    say_calls();
}

/* ---- one call, with arguments ---- */

static long one_call[7]; /* its number, and its arguments */

static int make_call(void)
{
    return error_of(syscall(one_call[0], one_call[1], one_call[2], one_call[3], one_call[4],
                            one_call[5], one_call[6]));
}

static void probe_call(int count, char **words)
{
    static const struct question question = {"call", make_call};

    for (int i = 0; i < count; i++)
        one_call[i] = strtol(words[i], NULL, 0);
    say_answers("", &question, 1);
}

/* ---- memory, cpu, forks, listen ---- */

static _Noreturn void take_memory(long mib, _Atomic long *taken)
{
    int fd = open(in_proc("self/oom_score_adj"), O_WRONLY | O_CLOEXEC);

    if (fd >= 0 && write(fd, "1000", 4) == 4) /* let it be this process */
        close(fd);
    while (*taken < mib) {
        char *more = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (more == MAP_FAILED)
            _exit(errno);
        memset(more, 0x5a, MIB);
        ++*taken;
        say("memory", "%ld", *taken);
    }
    _exit(0);
}

/* In a child: process 1 of a machine is never killed for its memory. But a container may be ended
 * as a whole, so the child says how far it came. */
static void probe_memory(long mib)
{
    _Atomic long *taken =
        mmap(NULL, sizeof(*taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sysinfo info;
    int status;
    pid_t child;

    if (sysinfo(&info) == 0)
        say("memory_of_mib", "%llu", (unsigned long long)info.totalram * info.mem_unit / MIB);
    child = taken == MAP_FAILED ? -1 : fork();
    if (child == 0)
        take_memory(mib, taken);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        say("memory_end", "%s", error_name(errno));
    else if (WIFSIGNALED(status))
        say("memory_end", "killed by signal %d", WTERMSIG(status));
    else
        say("memory_end", "%s", error_name(WEXITSTATUS(status)));
}

static double seconds(clockid_t clock)
{
    struct timespec now = {0};

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double spin_until;

static void *spin(void *unused)
{
    while (seconds(CLOCK_MONOTONIC) < spin_until)
        ;
    return unused;
}

static void probe_cpu(long ms)
{
    enum { THREADS_MAX = 256 };
    pthread_t threads[THREADS_MAX];
    double begin = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID), took;
    int wanted = cpus_of_ours(), count = 0;

    spin_until = begin + (double)ms / 1000;
    while (count < wanted - 1 && count < THREADS_MAX &&
           pthread_create(&threads[count], NULL, spin, NULL) == 0)
        count++;
    spin(NULL);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    took = seconds(CLOCK_MONOTONIC) - begin;
    used = seconds(CLOCK_PROCESS_CPUTIME_ID) - used;
    say("cpu_threads", "%d", count + 1);
    say("cpu", "%.0f", 100 * used / took); /* percent of one */
}

static void probe_forks(long wanted)
{
    pid_t *children = calloc((size_t)wanted + 1, sizeof(*children));
    long count = 0;
    int error = 0;

    while (children && count < wanted) {
        pid_t child = fork();

        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
            for (;;)
                pause();
        }
        if (child < 0) {
            error = errno;
            break;
        }
        children[count++] = child;
    }
    for (long i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    for (long i = 0; i < count; i++)
        waitpid(children[i], NULL, 0);
    free(children);
    say("forks", "%ld", count);
    say("forks_of", "%ld", wanted);
    say("forks_end", "%s", error_name(error));
}

static void bring_lo_up(int fd)
{
    struct ifreq lo = {.ifr_name = "lo"};

    if (ioctl(fd, SIOCGIFFLAGS, &lo) < 0 || lo.ifr_flags & IFF_UP)
        return;
    lo.ifr_flags |= IFF_UP;
    ioctl(fd, SIOCSIFFLAGS, &lo);
}

static void probe_listen(long port, long ms)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), error = error_of(fd);

    if (fd >= 0) {
        bring_lo_up(fd);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 8) < 0)
            error = errno;
    }
    say("listen", "%s", error_name(error));
    say("listen_from", "%.3f", seconds(CLOCK_REALTIME));
    usleep((useconds_t)ms * 1000); /* in any case: the host looks for us meanwhile */
    say("listen_to", "%.3f", seconds(CLOCK_REALTIME));
    if (fd >= 0)
        close(fd);
}

/* ---- panic ---- */

static int write_word(const char *path, const char *word)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), error = error_of(fd);

    if (fd >= 0) {
        error = write(fd, word, 1) == 1 ? 0 : errno;
        close(fd);
    }
    return error;
}

/* Comes back if the kernel lives on. */
static void try_panic(const char *which)
{
    int error = write_word(in_proc("sys/kernel/sysrq"), "1");

    say("panic_sysrq", "%s: %s", which, error_name(error));
    say("panic_try", "%s: sysrq-trigger", which);
    tcdrain(STDOUT_FILENO);
    error = write_word(in_proc("sysrq-trigger"), "c");
    say("panic_refused", "%s: %s", which, error ? error_name(error) : "ok, and nothing happened");
}

static int panic_with_fresh_proc(void)
{
    int error = mount_fresh_proc();

    if (error)
        say("panic_refused", "a proc of its own: mount %s", error_name(error));
    else
        try_panic("a proc of its own");
    return 0;
}

static void probe_panic(bool in_vm)
{
    need_proc();
    try_panic("proc");
    if (ask_in_child(panic_with_fresh_proc) < 0)
        say("panic_refused", "a proc of its own: killed");
    leave_proc();
    if (in_vm) { /* a kernel has no life without its first process; kernels without SysRq are common
                  */
        say("panic_try", "the end of process 1");
        tcdrain(STDOUT_FILENO);
        _exit(1);
    }
}

/* ---- as the first process of a virtual machine ---- */

static void begin_machine(void)
{
    static const char *const mounts[][2] = {
        {"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}};

    for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
        mkdir(mounts[i][1], 0755);
        mount(mounts[i][0], mounts[i][1], mounts[i][0], 0, NULL); /* what it has not is then seen */
    }
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) { /* the initramfs had no console */
        int fd = open("/dev/console", O_RDWR | O_NOCTTY);

        for (int i = 0; fd >= 0 && i < 3; i++)
            dup2(fd, i);
    }
}

static _Noreturn void end_machine(bool restart)
{
    tcdrain(STDOUT_FILENO);
    sync();
    reboot(restart ? RB_AUTOBOOT : RB_POWER_OFF);
    for (;;)
        pause();
}

static bool run_one(int count, char **words, bool in_vm)
{
    const char *what = count > 0 ? words[0] : "";
    long first = count > 1 ? atol(words[1]) : 0, second = count > 2 ? atol(words[2]) : 0;

    if (strcmp(what, "observe") == 0 && count == 1)
        observe();
    else if (strcmp(what, "calls") == 0 && count == 1)
        probe_calls();
    else if (strcmp(what, "call") == 0 && count > 1 && count <= 8)
        probe_call(count - 1, words + 1);
    else if (strcmp(what, "memory") == 0 && first > 0)
        probe_memory(first);
    else if (strcmp(what, "cpu") == 0 && first > 0)
        probe_cpu(first);
    else if (strcmp(what, "forks") == 0 && first > 0)
        probe_forks(first);
    else if (strcmp(what, "listen") == 0 && first > 0 && first < 65536)
        probe_listen(first, second);
    else if (strcmp(what, "panic") == 0 && count == 1)
        probe_panic(in_vm);
    else
        return false;
    say("end", "ok");
    return true;
}

/* One after the other, with "and" between them. */
static bool run(int count, char **words, bool in_vm)
{
    int length = 0;

    while (length < count && strcmp(words[length], "and") != 0)
        length++;
    if (!run_one(length, words, in_vm))
        return false;
    return length == count || run(count - length - 1, words + length + 1, in_vm);
}

int main(int argc, char **argv)
{
    bool restart = false, in_vm = false, good;
    int first = 1;

    /* Before the word may be others, which a monitor gave the kernel, and the kernel did not know.
     */
    for (int i = 1; i < argc && !in_vm; i++) {
        restart = strcmp(argv[i], "vm-reboot") == 0;
        in_vm = restart || strcmp(argv[i], "vm") == 0;
        if (in_vm)
            first = i + 1;
    }
    if (in_vm)
        begin_machine();
    good = run(argc - first, argv + first, in_vm);
    if (!good)
        say("error", "usage: probe [vm | vm-reboot] observe | calls | call NUMBER [ARGUMENT]... | "
                     "memory MIB | cpu MS | forks N | listen PORT MS | panic [and ...]");
    if (in_vm)
        end_machine(restart);
    return good ? 0 : 2;
}
