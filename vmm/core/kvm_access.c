/* SPDX-License-Identifier: MIT */
/* Explains why /dev/kvm cannot be opened, and what to do about it; and recognizes a slow KVM. */
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host.h"
#include "kvm.h"

/* Names the group to join.  Not by getgrgid: a static program cannot load the NSS modules. */
static void permission_hint(const char *path, char *hint, size_t size)
{
    FILE *groups = fopen("/etc/group", "re");
    struct group *group = NULL;
    struct stat st;

    if (groups && stat(path, &st) == 0 && (st.st_mode & S_IWGRP)) {
        do
            group = fgetgrent(groups);
        while (group && group->gr_gid != st.st_gid);
    }
    if (group)
        snprintf(hint, size,
                 "add yourself to the group that owns it: sudo usermod -aG %s $USER, then log in "
                 "again",
                 group->gr_name);
    else
        snprintf(hint, size, "let your user read and write it: sudo setfacl --modify u:$USER:rw %s",
                 path);
    if (groups)
        fclose(groups);
}

int mv_kvm_explain_open(const char *path, int error, struct mv_error *err)
{
    char hint[sizeof(err->hint)] = "";

    if (error == EACCES || error == EPERM)
        permission_hint(path, hint, sizeof(hint));
    else if (error == ENOENT || error == ENODEV || error == ENXIO)
        mv_hint_no_kvm(hint, sizeof(hint));
    return mv_fail(err, -error, "open", hint, "cannot open %s: %s", path, strerror(error));
}

bool mv_kvm_is_pvm(void)
{
    return access("/sys/module/kvm_pvm", F_OK) == 0;
}

void mv_kvm_warn_of_pvm(struct mv_log *log)
{
    if (mv_kvm_is_pvm())
        mv_log(
            log, MV_LOG_WARNING,
            "this computer's KVM is the module kvm_pvm, which emulates a guest's kernel mode: "
            "Linux is slow, and a bzImage may show nothing for minutes; a vmlinux starts sooner, "
            "and a KVM that a processor supports runs all of them at its speed");
}
