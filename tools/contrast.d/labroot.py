# SPDX-License-Identifier: MIT
"""
In the lab: a root file system that depends on nothing outside of the machine.  The lab's own comes from the
computer outside, which answers when it can; what is to be measured runs in this one, ext4 on a disk in memory
that answers at once, so that figures repeat, and so that a dropped page cache has something to be read from.
"""
import glob
import os
import re
import shutil
import subprocess

ROOT = "/contrast"
SCRATCH = "/scratch"  # the same folder, in this root and in the lab's
BASE = ("sh", "cat", "mount", "umount", "sleep", "tar", "env")
ETC = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "os-release", "machine-id", "hosts",
       "containers", "lxc", "docker", "containerd", "subuid", "subgid", "ssl", "localtime", "protocols")


def run(*command, **more):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **more).stdout


def with_libraries(paths):
    """These files, and the libraries that those of them need that are dynamically linked programs."""
    found = set(paths)
    programs = [path for path in paths if is_elf(path)]
    if programs:
        text = subprocess.run(["ldd", *programs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
        found.update(re.findall(r"(/\S+) \(0x", text))
    return found


def is_elf(path):
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def copy(path):
    """To the same place below the new root, with the symbolic links on the way; folders whole."""
    target = ROOT + path
    if os.path.lexists(target):
        return
    parent = os.path.realpath(os.path.dirname(path))
    if parent != os.path.dirname(path):
        copy(os.path.join(parent, os.path.basename(path)))
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        if os.path.exists(path):
            copy(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path))))
    elif os.path.isdir(path):
        for name in os.listdir(path):
            copy(os.path.join(path, name))
        os.makedirs(target, exist_ok=True)
    else:
        shutil.copy2(path, target)


def make(rows, say):
    """Makes it, with all that these rows need, and returns the command that runs another one in there.  say(text): how far it is,
    since on a busy computer the copying takes minutes."""
    for words in (["modprobe", "ext4"],
                  ["modprobe", "null_blk", "nr_devices=1", "gb=4", "memory_backed=1", "irqmode=1", "submit_queues=1"],
                  ["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=0", "-N", "60000", "/dev/nullb0", "1500M"],
                  ["mkdir", "-p", ROOT], ["mount", "/dev/nullb0", ROOT]):
        run(*words)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), f"{ROOT}/{name}")
    wanted = {shutil.which(name) for name in BASE} | {f"/etc/{name}" for name in ETC}
    for row in rows:
        wanted.update(shutil.which(program) for program in row.programs)
        for pattern in row.data:
            wanted.update(glob.glob(pattern))
    for path in sorted(with_libraries([path for path in wanted if path and os.path.exists(path)])):
        say(f"copying {path}")
        copy(path)
    for name in ("proc", "sys", "dev", "run", "tmp", "var/tmp", "var/lib", "var/log", "var/run", "root", "old"):
        os.makedirs(f"{ROOT}/{name}", exist_ok=True)
    os.chmod(ROOT + "/tmp", 0o1777)
    for path in (ROOT + SCRATCH, SCRATCH):
        os.mkdir(path)
    run("mount", "--bind", ROOT + SCRATCH, SCRATCH)
    return hold()


def hold():
    """A process whose mount namespace has the new root; nsenter(1) starts others in there."""
    script = f"""
        mount --make-rprivate /
        for name in proc sys dev; do mount --rbind /$name {ROOT}/$name; done
        mount -t tmpfs -o mode=755 run {ROOT}/run
        cd {ROOT} && pivot_root . old && umount -l /old && echo held && exec sleep infinity"""
    holder = subprocess.Popen(["unshare", "--mount", "sh", "-ec", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if holder.stdout.readline() != "held\n":
        raise RuntimeError("the root file system of the lab could not be made")
    return ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"]
