#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The lab's machine with an Intel processor: Bochs, which emulates VMX with EPT and unrestricted guests (QEMU has none of these).

Bochs boots from a CD only, and shares no folders. So the kernel is on a CD, unpacked, and this computer's files and the agent's ports
go over a network: Bochs' user-mode one, at whose other end is lo. That is not this computer's, but that of a network namespace in which
there are only Bochs, diod, which serves the files by 9P, and this file as a program, which hands the agent's connections to tools/lab.
"""
import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import tty

MODEL = "corei7_haswell_4770"
INSTRUCTIONS = 200_000_000  # that are a second of the clock where none is asked for, so its TSC has a frequency that a real one may have
FILES_PORT, AGENT_PORT = 5640, 5641  # see init and agent.c
PORTS = 5  # the agent's
LOAD, KERNEL = 0x100000, 0x1000000  # where the boot image is put, and where its kernel belongs
SYSLINUX = "/usr/lib/ISOLINUX/isolinux.bin", "/usr/lib/syslinux/modules/bios/ldlinux.c32"
BIOS, VGA_BIOS = "/usr/share/bochs/BIOS-bochs-latest", "/usr/share/vgabios/vgabios.bin"
NEEDED = "bochs", "diod", "genisoimage", "objcopy", "unshare", *SYSLINUX, BIOS, VGA_BIOS
# No self-tests of ciphers (750 million instructions), no search for disks by the BIOS, and no write protection of the kernel, whose check
# takes 125 million. A panic restarts the machine by a triple fault, which ends Bochs.
WORDS = "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable nokaslr mitigations=off nmi_watchdog=0 edd=off cryptomgr.notests rodata=off lab.net=eth0"
# While a guest runs that was entered with interrupts off, Bochs holds the host's back, too. One that waits by `pause` is left by the
# processor (SDM volume 3, 25.1.3), usually only if no more than 128 instructions lie between one `pause` and the next.
PARAMETERS = "lab.kvm=ple_gap=1000000"
DISC = """\
default linux
prompt 0
label linux
 kernel /linux
 append initrd=/ramdisk {words}
"""
CONFIGURATION = """\
display_library: term
cpu: model={model}, count={cpus}, ips={instructions}, ignore_bad_msrs=1, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={vga_bios}
ata0-master: type=cdrom, path={disc}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={console}
e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp
clock: sync=none, time0={time}
panic: action=fatal
log: {log}
"""


def namespace():
    """The command's beginning that gives it a network of its own. diod drops its groups, which only a namespace with several can."""
    return ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "--map-auto", "-n"]


def missing():
    """The first thing that is not installed, or None."""
    needed = NEEDED if os.geteuid() == 0 else (*NEEDED, "newuidmap")
    return next((name for name in needed if not (os.path.exists(name) if "/" in name else shutil.which(name))), None)


def loaded(elf):
    """What an ELF file of 64 bits has in memory from KERNEL on, without the zeros at its end; and how far it reaches with them."""
    image, top = bytearray(), 0
    offset, = struct.unpack_from("<Q", elf, 32)
    count, = struct.unpack_from("<H", elf, 56)
    for i in range(count):
        kind, _, at, _, physical, size, all_of_it, _ = struct.unpack_from("<IIQQQQQQ", elf, offset + 56 * i)
        if kind == 1:
            image.extend(bytes(max(0, physical - KERNEL + size - len(image))))
            image[physical - KERNEL:physical - KERNEL + size] = elf[at:at + size]
            top = max(top, physical + all_of_it)
    image = image.rstrip(b"\0")
    return image + bytes(-len(image) % 16), top


def boot_image(folder, loader, path):
    """Writes a bzImage with the kernel of a folder by tools/fetch as it is: with the head of its vmlinuz and a loader of our own.
    loader(macros, path of the result) assembles it."""
    with open(f"{folder}/vmlinux", "rb") as file:
        kernel, top = loaded(file.read())
    loader({"KERNEL": KERNEL, "SIZE": len(kernel)}, f"{path}.loader")
    with open(f"{path}.loader", "rb") as file:
        code = file.read() + kernel
    with open(f"{folder}/vmlinuz", "rb") as file:
        head = bytearray(file.read(512 * 65))
    head = head[:512 * ((head[0x1f1] or 4) + 1)]
    for at, value in (0x1f4, len(code) // 16), (0x214, LOAD), (0x260, top - LOAD):  # syssize, code32_start, init_size
        struct.pack_into("<I", head, at, value)
    head[0x234] = 0  # relocatable_kernel
    with open(path, "wb") as file:
        file.write(head + code)


def disc_command(folder, image, ramdisk, words):
    """Writes the rest of the disc into the folder; returns the command that writes the disc to its standard output."""
    with open(f"{folder}/isolinux.cfg", "w", encoding="ascii") as file:
        file.write(DISC.format(words=words))
    for path in SYSLINUX:
        shutil.copy(path, folder)  # genisoimage writes the disc's size into the boot loader
    parts = [f"isolinux/{name}={folder}/{name}" for name in (*map(os.path.basename, SYSLINUX), "isolinux.cfg")]
    parts = [part.replace("\\", "\\\\") for part in (*parts, f"linux={image}", f"ramdisk={ramdisk}")]
    return ["genisoimage", "-quiet", "-r", "-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4",
            "-boot-info-table", "-graft-points", *parts]


# ---- in the namespace

def dies_with_us():
    """In a child before it executes: the kernel kills it if we are killed with no time to do it (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def raise_lo():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1))  # SIOCSIFFLAGS: IFF_UP


def serve_files(listener, exports):
    """A diod for each connection, not one that listens: that one would look up who connects, where a computer may have no name for lo."""
    while True:
        connection = listener.accept()[0]
        number = str(connection.fileno())
        subprocess.Popen(["diod", "-f", "-n", "-N", "-r", number, "-w", number, *[f"--export={path}" for path in exports]],
                         stdin=subprocess.DEVNULL, pass_fds=[connection.fileno()], preexec_fn=dies_with_us)
        connection.close()


def agent_ports(listener):
    """The agent's connections, in the order of their numbers, of which each begins with its own."""
    found = {}
    while len(found) < PORTS:
        connection = listener.accept()[0]
        found[connection.recv(1)] = connection
    return [found[number] for number in sorted(found)]


def read_screens(debugger):
    """Until Bochs ends. Nobody looks at them, but who writes to a terminal that nobody reads waits for ever: besides the debugger's
    there is one that Bochs makes for the screen, and names on the debugger's."""
    screens, words, name = [debugger], b"", None
    try:
        while True:
            for screen in select.select(screens, [], [])[0]:
                words = (words + os.read(screen, 65536))[-1000:] if not name else os.read(screen, 65536)
            if not name and (name := re.search(rb'connected to screen "([^"]+)"', words)):
                screens.append(os.open(name[1], os.O_RDWR | os.O_NOCTTY))
                tty.setraw(screens[1])
    except OSError:
        pass


def main():
    """Runs Bochs until it ends, and passes the agent's connections on."""
    order = json.loads(sys.argv[1])
    raise_lo()
    files, listener = (socket.create_server(("127.0.0.1", port)) for port in (FILES_PORT, AGENT_PORT))
    ours, theirs = pty.openpty()  # its display wants a terminal
    bochs = subprocess.Popen(["bochs", "-q", "-f", order["configuration"], "-rc", order["commands"]], stdin=theirs, stdout=theirs,
                             stderr=theirs, pass_fds=order["files"], preexec_fn=dies_with_us)
    os.close(theirs)
    if os.fork() == 0:
        dies_with_us()
        ports = agent_ports(listener)
        socket.send_fds(socket.socket(fileno=order["way"]), [b"p"], [port.fileno() for port in ports])
        os._exit(0)
    os.close(order["way"])
    threading.Thread(target=serve_files, args=[files, order["exports"]], daemon=True).start()
    read_screens(ours)
    sys.exit(bochs.wait())


if __name__ == "__main__":
    main()
