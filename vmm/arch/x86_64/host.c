/* SPDX-License-Identifier: MIT */
/* What the host's CPU says about itself: what it lacks for KVM, and whether it is emulated (CPUID:
 * SDM volume 2; APM volume 3, appendix E). */
#include "host.h"

#include <cpuid.h>
#include <stdio.h>

#include "x86.h"

enum { VMX = 1 << 5, HYPERVISOR = 31, SVM = 1 << 2, VENDOR_AMD = 0x444d4163 /* cAMD */ };

void mv_x86_hint_no_kvm(const struct mv_x86_features *has, char *ret_hint, size_t size)
{
    static const char lab[] =
        "run the same command under tools/lab, which emulates a machine with KVM";
    bool svm = has->svm || (!has->vmx && has->is_amd);
    const char *module = svm ? "kvm_amd" : "kvm_intel", *name = svm ? "SVM" : "VT-x (VMX)";

    if (has->vmx || has->svm)
        snprintf(ret_hint, size,
                 "load the module: sudo modprobe %s; if that fails, and dmesg has \"disabled by "
                 "BIOS\", turn on %s in the computer's firmware setup; or %s",
                 module, name, lab);
    else if (has->hypervisor)
        snprintf(ret_hint, size,
                 "this is a virtual machine whose processor has no %s: in its host, turn on nested "
                 "virtualization (%s's parameter nested) and give it the host's processor; or %s",
                 name, module, lab);
    else
        snprintf(ret_hint, size, "this processor has no %s, which KVM needs; %s", name, lab);
}

void mv_hint_no_kvm(char *ret_hint, size_t size)
{
    struct mv_x86_features has = {0};
    unsigned eax, ebx, ecx, edx;

    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx))
        has.is_amd = ecx == VENDOR_AMD;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        has.vmx = ecx & VMX;
        has.hypervisor = ecx >> HYPERVISOR;
    }
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx))
        has.svm = ecx & SVM;
    mv_x86_hint_no_kvm(&has, ret_hint, size);
}

bool mv_emulated_by_tcg(void)
{
    uint32_t eax, ebx, ecx, edx;

    __cpuid(1, eax, ebx, ecx, edx);
    if (!(ecx & 1u << 31)) /* no hypervisor, so no hypervisor leaf */
        return false;
    __cpuid(0x40000000, eax, ebx, ecx, edx);
    return ebx == 0x54474354 && ecx == 0x43544743 && edx == 0x47435447; /* TCGTCGTCGTCG */
}
