/* SPDX-License-Identifier: MIT */
/* What an arm64 host needs for KVM. */
#include "host.h"

#include <stdio.h>

void mv_hint_no_kvm(char *ret_hint, size_t size)
{
    snprintf(ret_hint, size,
             "KVM needs a kernel that was started at EL2: look for \"kvm\" in dmesg; a virtual "
             "machine needs nested virtualization from its host; or run the same command under "
             "tools/lab, which emulates a machine with KVM");
}
