# SPDX-License-Identifier: MIT
"""
In the lab: a root file system that depends on nothing outside of the machine.  The lab's own comes from the
computer outside, which answers when it can; what is to be measured runs in this one, ext4 on a disk in memory
that answers at once, so that figures repeat, and so that a dropped page cache has something to be read from.

A lab that is sealed (tools/lab --sealed) does not even have the lab's own: seal() packs that, with all that measuring
needs, and puts everything at places that do not depend on where this tree is.
"""
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

TOOLS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = "/contrast"
SCRATCH = "/scratch"  # the same folder, in this root and in the lab's
USUAL_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
BASE = ("sh", "cat", "mount", "umount", "sleep", "tar", "env")
# What the lab needs itself.
PYTHON = "/usr/bin/python3"
OF_THE_LAB = ("modprobe", "mkfs.ext4", "nsenter", "unshare", "strace", "systemd-detect-virt", "pivot_root", "mkdir")
FILES_OF_THE_LAB = ("/etc/os-release", "/etc/mke2fs.conf", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache")
NOT_OF_PYTHON = ("config-*", "lib-dynload/_tkinter*", "test", "tkinter", "lib2to3", "pydoc_data", "distutils", "idlelib", "turtledemo", "ensurepip", "dist-packages")
MODULES = tuple(f"kernel/{name}" for name in ("arch/", "virt/", "crypto/", "lib/", "net/", "drivers/block/null_blk/", "drivers/crypto/ccp/",
                                              "drivers/net/veth", "drivers/net/tun", "fs/ext4/", "fs/overlayfs/", "fs/fuse/", "fs/binfmt"))
SOURCES = (*(f"contrast.d/{name}.py" for name in ("inside", "isolation", "labroot", "manifest", "rows", "surface")), "bench/common.py")
LINKS = ("/bin", "/sbin", "/lib", "/lib64")
SEALED = "/sealed"  # where seal() puts what is ours
JOURNAL = SEALED + "/journal"
MTIME = 1  # of all files in an archive: not 0, of which tar(1) complains
ETC = ("passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "os-release", "machine-id", "hosts",
       "containers", "lxc", "docker", "containerd", "subuid", "subgid", "ssl", "localtime", "protocols")


def run(*command, **more):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **more).stdout


def find(program):
    """Where it is, or None; also one of the administrator's, whose folders are not on everybody's PATH."""
    return shutil.which(program) or shutil.which(program, path=":".join(USUAL_FOLDERS))


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

    def __init__(self, archive, without=()):
        self.archive, self.has = archive, set(without)

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
        # A computer that is in use touches its files, and a lab that unpacks another time runs otherwise. Python compares its
        # modules' times with those in what it has compiled.
        entry.mtime = int(entry.mtime) if path.endswith(".py") else MTIME
        if entry.isreg():
            with open(path, "rb") as file:
                self.archive.addfile(as_roots(entry), file)
        else:
            self.archive.addfile(as_roots(entry))
        for name in names:
            self.add(os.path.join(path, name))

    def place(self, path, name):
        """A file that is nobody's but ours, by another name: the same whenever it was made."""
        entry = self.archive.gettarinfo(path, name.lstrip("/"))
        entry.mtime = MTIME
        with open(path, "rb") as file:
            self.archive.addfile(as_roots(entry), file)


def as_roots(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def pack(rows, path):
    """Writes an archive with all that these rows need: outside of the lab, which has the same files, and reads them slowly."""
    wanted = {find(name) for name in BASE} | {f"/etc/{name}" for name in ETC}
    for row in rows:
        wanted.update(shutil.which(program) for program in row.programs)
        for pattern in row.data:
            wanted.update(glob.glob(pattern))
    with tarfile.open(path, "w") as archive:
        add_all(Pack(archive), wanted)


def add_all(content, wanted):
    for name in sorted(with_libraries([name for name in wanted if name and os.path.exists(name)])):
        content.add(name)


def modules_of(folder):
    """What containers and machines may want of a kernel's modules, with what those need; and the lists for modprobe."""
    with open(f"{folder}/modules.dep", encoding="ascii") as file:
        needs = dict(line.rstrip("\n").split(":") for line in file)
    wanted = [name for name in needs if name.startswith(MODULES)]
    return sorted({*wanted, *(other for name in wanted for other in needs[name].split()),
                   *(os.path.basename(path) for path in glob.glob(f"{folder}/modules.*"))})


def path_for(wanted_rows):
    """The PATH that finds the same programs there: the usual folders, and before them, others that have one."""
    found = {os.path.dirname(path) for row in wanted_rows for path in map(shutil.which, row.programs) if path}
    return ":".join([*sorted(found - set(USUAL_FOLDERS)), *USUAL_FOLDERS])


def add_system(content, python, kernel):
    """What a lab's own root needs: programs, Python, the modules of its kernel."""
    modules, = glob.glob(f"{kernel}/lib/modules/*")
    extensions = set(glob.glob(f"{python}/lib-dynload/*.so")) - content.has
    add_all(content, [PYTHON, python, *FILES_OF_THE_LAB, *extensions, *map(find, (*BASE, *OF_THE_LAB))])
    for name in LINKS:
        if os.path.islink(name):
            content.put(name)
    for name in modules_of(modules):
        content.place(f"{modules}/{name}", f"{os.path.realpath('/lib')}{modules[len(kernel + '/lib'):]}/{name}")


def plan_inside(wanted_rows, plan):
    """The plan as it is in a sealed lab: with nothing in it that says where and when this run is."""
    inside = {key: plan[key] for key in ("rows", "sections", "quick", "starts", "cold", "panic")}
    return dict(inside, sealed=True, path=path_for(wanted_rows), root=SEALED + "/rows.tar", journal=JOURNAL,
                absent={row.name: row.not_installed() for row in wanted_rows if row.not_installed()},
                files={name: f"{SEALED}/{name}" for name in plan["files"]})


def seal(wanted_rows, plan, kernel, path):
    """Writes an archive with all that measuring by this plan needs in a lab that sees nothing else, and returns the command for
    it, and a list of what is in it, by which two runs can be told apart.  kernel: a folder by tools/fetch debian-kernel."""
    python = os.path.dirname(os.__file__)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder, tarfile.open(path, "w") as archive:
        content = Pack(archive, [path for name in NOT_OF_PYTHON for path in glob.glob(f"{python}/{name}")])
        add_system(content, python, kernel)
        pack(wanted_rows, f"{folder}/rows.tar")
        with open(f"{folder}/plan", "w", encoding="utf-8") as file:
            json.dump(plan_inside(wanted_rows, plan), file, sort_keys=True)  # a set has made some, in an order of its own
        open(f"{folder}/journal", "a", encoding="utf-8").close()
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(plan["journal"], f"{folder}/journal")
        ours = {name: f"{folder}/{name}" for name in ("rows.tar", "plan", "journal")}
        for name, source in sorted({**ours, **plan["files"]}.items()):
            content.place(source, f"{SEALED}/{name}")
        for source in SOURCES:
            content.place(f"{TOOLS}/{source}", f"{SEALED}/tools/{source}")
        packed = list(listing(f"{folder}/rows.tar", "rows: "))
    return [PYTHON, f"{SEALED}/tools/contrast.d/inside.py", SEALED + "/plan"], [*listing(path), *packed]


def listing(path, before=""):
    """A line for each file of an archive, but for the journal: its name, mode and time, and a sum of what is in it."""
    with tarfile.open(path) as archive:
        for entry in archive:
            if "/" + entry.name != JOURNAL:
                content = archive.extractfile(entry) if entry.isreg() else None
                what = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname or "-"
                yield f"{before}/{entry.name} {entry.mode:o} {entry.mtime} {what}\n"


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
    for name in LINKS:
        if os.path.islink(name):
            os.symlink(os.readlink(name), ROOT + name)
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
