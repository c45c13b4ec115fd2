#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Demo 5: a guest driver for virtio-blk, in Python. What it is about, 5_a_driver.c says; the guest is that file's, built.

    5_a_driver.py 5_a_driver.elf disk.img
"""
import sys

import minivmm

KERNEL, IMAGE = sys.argv[1:]

with minivmm.Machine(KERNEL, disks=[minivmm.Disk(IMAGE)], output=1) as machine:
    end = machine.run()
sys.exit(end.code if end.reason == minivmm.Reason.EXIT_CODE else f"it ended by {end.reason.name}")
