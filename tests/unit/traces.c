/* SPDX-License-Identifier: MIT */
#include "traces.h"

#include <elf.h>
#include <linux/kvm.h>

#include "minivmm/device.h"

struct trace_file trace_make(void)
{
    return (struct trace_file){
        .header = {.magic = {'m', 'v', 't', 'r', 'a', 'c', 'e', '\n'},
                   .version = MV_TRACE_VERSION,
                   .machine = EM_X86_64,
                   .vcpus = 2,
                   .devices = 2,
                   .marks = 2,
                   .reason = MV_END_POWER_OFF,
                   .began = TRACE_BEGAN,
                   .date = 1700000000000000000,
                   .minivmm = "0.1.0",
                   .kernel = "kernel"},
        .devices = {{.name = "serial0", .base = 0x3f8, .size = 8, .space = MV_SPACE_PORT},
                    {.name = "vda", .base = 0xd0000000, .size = 4096, .space = MV_SPACE_MMIO}},
        .marks = {{.ns = TRACE_BEGAN + 50, .took = 20, .name = "KVM_CREATE_VM"},
                  {.ns = TRACE_BEGAN + 900, .value = 7, .name = "guest mark"}},
        .vcpus = {{.kept = 4, .lost = 3}, {.kept = 1}},
        .records =
            {
                /* times, address, value, reason, size, write, more */
                {TRACE_BEGAN + 100, TRACE_BEGAN + 200, TRACE_BEGAN + 210, 0x3f8, 'H', KVM_EXIT_IO,
                 1, 1, 0, 0},
                {TRACE_BEGAN + 210, TRACE_BEGAN + 210, TRACE_BEGAN + 240, 0x3f8, 'i', KVM_EXIT_IO,
                 1, 1, 1, 0},
                {TRACE_BEGAN + 240, TRACE_BEGAN + 300, TRACE_BEGAN + 1500, 0xd0000050, 0xfffffff,
                 KVM_EXIT_MMIO, 4, 0, 0, 0},
                {TRACE_BEGAN + 1500, TRACE_BEGAN + 1600, TRACE_BEGAN + 1600, 0, 0, KVM_EXIT_INTR, 0,
                 0, 0, 0},
                {TRACE_BEGAN + 110, TRACE_BEGAN + 5110, TRACE_BEGAN + 5111, 0x80, UINT64_MAX,
                 KVM_EXIT_IO, 8, 1, 0, 0},
            },
    };
}
