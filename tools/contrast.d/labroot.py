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
import tarfile

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


class Pack:
    """Files of this computer in an archive, as root's."""

    def __init__(self, archive):
        self.archive, self.has = archive, set()

    def add(self, path):
        """With the symbolic links on the way and what they lead to; folders whole.  What may not be read is left out."""
        parent = os.path.realpath(os.path.dirname(path))
        if parent != os.path.dirname(path):
            self.add(os.path.join(parent, os.path.basename(path)))
            return
        if path in self.has:
            return
        self.has.add(path)
        try:
            self.put(path)
        except PermissionError:
            return
        if os.path.islink(path) and os.path.exists(path):
            self.add(os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path))))

    def put(self, path):
        names = sorted(os.listdir(path)) if os.path.isdir(path) and not os.path.islink(path) else []
        entry = self.archive.gettarinfo(path, path.lstrip("/"))
        if entry is None:  # a socket
            return
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        if entry.isreg():
            with open(path, "rb") as file:
                self.archive.addfile(entry, file)
        else:
            self.archive.addfile(entry)
        for name in names:
            self.add(os.path.join(path, name))


def pack(rows, path):
    """Writes an archive with all that these rows need: outside of the lab, which has the same files, and reads them slowly."""
    wanted = {shutil.which(name) for name in BASE} | {f"/etc/{name}" for name in ETC}
    for row in rows:
        wanted.update(shutil.which(program) for program in row.programs)
        for pattern in row.data:
            wanted.update(glob.glob(pattern))
    with tarfile.open(path, "w") as archive:
        content = Pack(archive)
        for name in sorted(with_libraries([name for name in wanted if name and os.path.exists(name)])):
            content.add(name)


def unpack(path, say):
    """say(text): how far it is, since on a busy computer this takes minutes."""
    command = ["tar", "-C", ROOT, "-b", "1024", "--checkpoint=20", "--checkpoint-action=echo=%u", "-xf", path]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as tar:
        last = ""
        for line in tar.stderr:
            last = line.strip()
            records = last.rpartition(" ")[2]
            if records.isdigit():
                say(f"copying what the rows need: {int(records) // 2} MiB")  # a record is 512 KiB
    if tar.returncode != 0:
        raise RuntimeError(f"tar cannot unpack {path}: {last}")


def make(path, say):
    """Makes it of an archive by pack(), and returns the command that runs another one in there."""
    for words in (["modprobe", "ext4"],
                  ["modprobe", "null_blk", "nr_devices=1", "gb=4", "memory_backed=1", "irqmode=1", "submit_queues=1"],
                  ["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=0", "-N", "60000", "/dev/nullb0", "1500M"],
                  ["mkdir", "-p", ROOT], ["mount", "/dev/nullb0", ROOT]):
        run(*words)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), f"{ROOT}/{name}")
    unpack(path, say)
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
