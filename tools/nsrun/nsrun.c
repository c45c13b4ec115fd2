/* SPDX-License-Identifier: MIT */
/*
 * nsrun: a container by hand.  Runs a command as what people call a container, which is not a
 * thing that the kernel knows: it is a process that was started with
 *
 *   namespaces     it sees processes, mounts, network, host name ... of its own
 *   pivot_root     its root is a folder, and nothing outside of that has a name
 *   a cgroup       what it may use, together with all that it starts
 *   a user of its own   root inside is an ordinary user outside
 *   seccomp        system calls that it is not to make fail
 *
 *     nsrun [-m BYTES] [-p PROCESSES] ROOT COMMAND [ARGUMENT]...
 *
 * Exit status: that of the command, 128 + N if signal N ended it; 125: nsrun itself has failed,
 * 127: the command could not be started.  The kernel's documentation: namespaces(7),
 * pivot_root(2), cgroups(7), user_namespaces(7), seccomp(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAILED = 125, NOT_STARTED = 127, NOBODY = 65534 };

static char cgroup[64];

static _Noreturn void die(const char *what, const char *name)
{
    fprintf(stderr, "nsrun: %s %s: %s\n", what, name, strerror(errno));
    if (cgroup[0])
        rmdir(cgroup);
    _exit(FAILED);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        die("cannot write", path);
    close(fd);
}

/* ---- what it may use ---- */

static int make_cgroup(const char *memory, const char *processes)
{
    int fd;

    if (memory || processes) /* the controllers have to be on for the groups below the first one */
        write_file("/sys/fs/cgroup", "cgroup.subtree_control", "+memory +pids");
    snprintf(cgroup, sizeof(cgroup), "/sys/fs/cgroup/nsrun-%d", getpid());
    if (mkdir(cgroup, 0755) < 0)
        die("cannot make the cgroup", cgroup);
    if (memory) {
        write_file(cgroup, "memory.max", memory);
        write_file(cgroup, "memory.oom.group", "1"); /* who takes more is killed, with all others */
        if (access("/proc/swaps", F_OK) == 0)
            write_file(cgroup, "memory.swap.max", "0");
    }
    if (processes)
        write_file(cgroup, "pids.max", processes);
    fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        die("cannot open", cgroup);
    return fd;
}

/* ---- who it is: root inside, and outside the user who started it.  If that is root, then
 * nobody: some of what the kernel lets root do it does not ask namespaces about. ---- */

static void map_ids(pid_t child)
{
    bool is_root = geteuid() == 0;
    char folder[32], map[32];

    snprintf(folder, sizeof(folder), "/proc/%d", child);
    snprintf(map, sizeof(map), "0 %d 1", is_root ? NOBODY : (int)geteuid());
    write_file(folder, "uid_map", map);
    if (!is_root)
        write_file(folder, "setgroups", "deny"); /* user_namespaces(7): needed before gid_map */
    snprintf(map, sizeof(map), "0 %d 1", is_root ? NOBODY : (int)getegid());
    write_file(folder, "gid_map", map);
}

static void become_root_of_its_own(bool was_root)
{
    if ((was_root && setgroups(0, NULL) < 0) || setgid(0) < 0 || setuid(0) < 0)
        die("cannot become", "root of the container");
    /* Nobody is to be left behind if nsrun is killed. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        die("cannot ask for", "a signal");
}

/* ---- what it sees ---- */

static void enter(const char *root)
{
    /* Only now: the new root of cgroups is the one that it is in. */
    if (unshare(CLONE_NEWCGROUP) < 0)
        die("cannot start", "a namespace of cgroups");
    /* What is mounted here from now on stays here. */
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        die("cannot make private", "/");
    /* pivot_root wants a mount point. */
    if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0)
        die("cannot enter", root);
    if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        die("cannot mount", "proc (the root needs an empty folder of that name)");
    /* The old root is put onto the new one, and then taken away. */
    if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        die("cannot change the root to", root);
    if (sethostname("container", 9) < 0)
        die("cannot set the name", "container");
}

/* ---- what it may ask the kernel for ----
 *
 * What takes an instance out of its namespaces, makes new ones, in which it would be let do what a
 * user is not, or changes what no namespace divides.  Docker's list says the same the other way
 * round: it names what is allowed. */

#define ANSWER(error)        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define REFUSE(call, error)  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), ANSWER(error)
#define DENY(call)           REFUSE(call, EPERM)
#define UNLESS(call, length) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, length)
#define ALLOW                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* The kernel, too, takes 32 bits of these. */
#define FIRST_ARGUMENT         BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]))
#define DENY_ARGUMENT(test, k) BPF_JUMP(BPF_JMP | test | BPF_K, k, 0, 1), ANSWER(EPERM)

/* clone(2) has no flag for a namespace of time: the signal is in its place. */
#define NAMESPACES                                                                                \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
     CLONE_NEWNET)

enum { NEWEST = 450 }; /* the last call of Linux 6.1; those after it nobody here has looked at */

static void forbid(void)
{
    /* A program for the kernel's BPF machine; it sees struct seccomp_data. */
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NSRUN_AUDIT_ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), /* other numbers than below */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* x86-64 has all of them twice */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        /* clang-format off */
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, NEWEST, 0, 1), ANSWER(ENOSYS),
        /* Its flags are in memory, where no filter can look; libraries then take clone. */
        REFUSE(clone3, ENOSYS),
        /* namespaces and mounts */
        DENY(unshare), DENY(setns), DENY(mount), DENY(umount2), DENY(pivot_root), DENY(open_tree),
        DENY(move_mount), DENY(fsopen), DENY(fsconfig), DENY(fsmount), DENY(fspick),
        DENY(mount_setattr), DENY(open_by_handle_at), DENY(fanotify_init), DENY(quotactl),
        DENY(quotactl_fd),
        /* the kernel and its keys */
        DENY(init_module), DENY(finit_module), DENY(delete_module), DENY(kexec_load),
        DENY(kexec_file_load), DENY(reboot), DENY(swapon), DENY(swapoff), DENY(acct), DENY(syslog),
        DENY(add_key), DENY(request_key), DENY(keyctl), DENY(vhangup),
        /* the clock, and where memory lies */
        DENY(settimeofday), DENY(clock_settime), DENY(adjtimex), DENY(clock_adjtime), DENY(mbind),
        DENY(set_mempolicy), DENY(set_mempolicy_home_node), DENY(migrate_pages), DENY(move_pages),
        /* other processes */
        DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev), DENY(process_madvise),
        DENY(kcmp), DENY(pidfd_getfd), DENY(personality),
        /* where the kernel had most of its holes */
        DENY(bpf), DENY(perf_event_open), DENY(lookup_dcookie), DENY(userfaultfd),
        DENY(io_uring_setup), DENY(io_uring_enter), DENY(io_uring_register),
#ifdef SYS_iopl /* x86-64 alone */
        DENY(iopl), DENY(ioperm), DENY(sysfs), DENY(ustat), DENY(uselib), DENY(modify_ldt),
#endif
        /* Arguments last: what is loaded here takes the number's place. */
        UNLESS(clone, 4), FIRST_ARGUMENT, DENY_ARGUMENT(BPF_JSET, NAMESPACES), ALLOW,
        /* Ways to a hypervisor, and to the kernel's ciphers, that no namespace divides. */
        UNLESS(socket, 6), FIRST_ARGUMENT, DENY_ARGUMENT(BPF_JEQ, AF_VSOCK),
        DENY_ARGUMENT(BPF_JEQ, AF_ALG), ALLOW,
        ALLOW,
        /* clang-format on */
    };
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        die("cannot install", "the filter of system calls");
}

/* ---- all of it ---- */

static _Noreturn void be_container(int ready, bool was_root, const char *root, char **command)
{
    char byte;

    if (read(ready, &byte, 1) != 1) /* until map_ids is done */
        _exit(FAILED);
    enter(root);
    become_root_of_its_own(was_root);
    /* No file of the caller's is a way out, and its terminal takes no words from inside. */
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0 || setsid() < 0)
        die("cannot let go of", "the caller's files and terminal");
    forbid();
    execvp(command[0], command);
    fprintf(stderr, "nsrun: cannot start %s: %s\n", command[0], strerror(errno));
    _exit(NOT_STARTED);
}

int main(int argc, char **argv)
{
    const char *memory = NULL, *processes = NULL;
    int option, status, ready[2];
    struct clone_args args = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS |
                 CLONE_NEWIPC | CLONE_NEWTIME | CLONE_INTO_CGROUP,
        .exit_signal = SIGCHLD,
    };
    bool was_root = geteuid() == 0;
    pid_t child;

    while ((option = getopt(argc, argv, "+m:p:")) != -1) {
        if (option == 'm')
            memory = optarg;
        else if (option == 'p')
            processes = optarg;
        else
            optind = argc;
    }
    if (argc - optind < 2) {
        fprintf(stderr, "usage: nsrun [-m BYTES] [-p PROCESSES] ROOT COMMAND [ARGUMENT]...\n");
        return FAILED;
    }
    if (pipe2(ready, O_CLOEXEC) < 0)
        die("cannot make", "a pipe");
    args.cgroup = (unsigned)make_cgroup(memory, processes);
    child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
    if (child < 0) {
        rmdir(cgroup);
        die("cannot start", "a process with namespaces of its own");
    }
    if (child == 0) {
        close(ready[1]); /* else it would wait for itself if we failed */
        be_container(ready[0], was_root, argv[optind], argv + optind + 1);
    }
    map_ids(child);
    if (write(ready[1], "", 1) != 1 || waitpid(child, &status, 0) < 0)
        die("cannot wait for", "the command");
    rmdir(cgroup); /* it was process 1 of its namespace, so all that it had started is gone, too */
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
