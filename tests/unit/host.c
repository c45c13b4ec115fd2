/* SPDX-License-Identifier: MIT */
/* What is said where there is no KVM: what this processor lacks for it. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/util.h"
#include "x86.h"

Test(host, what_kvm_lacks_is_told_by_the_processor)
{
    static const struct {
        struct mv_x86_features has;
        const char *words[2];
    } rows[] = {
        {{.vmx = true}, {"modprobe kvm_intel", "turn on VT-x (VMX) in the computer's firmware"}},
        {{.svm = true, .is_amd = true}, {"modprobe kvm_amd", "turn on SVM in the computer's"}},
        {{.svm = true}, {"modprobe kvm_amd", "SVM"}}, /* Hygon's */
        {{.vmx = true, .hypervisor = true}, {"modprobe kvm_intel", "disabled by BIOS"}},
        {{.hypervisor = true}, {"processor has no VT-x", "kvm_intel's parameter nested"}},
        {{.hypervisor = true, .is_amd = true}, {"has no SVM", "kvm_amd's parameter nested"}},
        {{0}, {"this processor has no VT-x (VMX), which KVM needs", ""}},
        {{.is_amd = true}, {"this processor has no SVM, which KVM needs", ""}},
    };

    for (unsigned i = 0; i < MV_COUNT(rows); i++) {
        char hint[sizeof(((struct mv_error *)NULL)->hint)];

        mv_x86_hint_no_kvm(&rows[i].has, hint, sizeof(hint));
        for (unsigned j = 0; j < 2; j++)
            cr_expect(strstr(hint, rows[i].words[j]), "%s", hint);
        cr_expect(strstr(hint, "under tools/lab, which emulates a machine with KVM"), "%s", hint);
        cr_expect_lt(strlen(hint), sizeof(hint) - 1, "it is not cut");
    }
}
