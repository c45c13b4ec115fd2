# SPDX-License-Identifier: MIT
"""The rows of the comparison: how each starts the payload.  A new row is one entry in ROWS."""
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench"))
from common import NATIVE, QEMU, QEMU_CONSOLE, QEMU_MACHINE, QEMU_NAME, qemu_cpu  # noqa: E402  pylint: disable=wrong-import-position

GUEST_MEMORY = 128  # MiB, of the guests that are Linux
LIMITS = {"memory": 64 << 20, "processes": 20, "cpu": 50}  # bytes, number, percent of one CPU


class Place:
    """Where the rows run: a scratch folder, the files to start, and how to come to the root that they see."""

    def __init__(self, folder, files, enter=()):
        self.folder, self.files, self.enter = folder, files, list(enter)
        self.slow = False  # where it takes much longer than the guesses say

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def run(self, command, limit=120, check=True):
        """Its status and all that it has said."""
        return subprocess.run(self.enter + command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit, check=check)

    def write(self, text, *names):
        os.makedirs(os.path.dirname(self.path(*names)), exist_ok=True)
        with open(self.path(*names), "w", encoding="utf-8") as file:
            file.write(text)

    def make_fifos(self):
        for name in ("mark", "stop"):
            os.mkfifo(self.path(name))
            os.chmod(self.path(name), 0o666)  # whoever root of a container is outside

    def make_root(self, number):
        """A root file system for one container: two static programs, two FIFOs, and empty folders."""
        root = self.path("root", str(number))
        if os.path.exists(root):
            return
        for name in ("proc", "sys", "dev", "tmp", "run", "usr", "etc", "root"):
            os.makedirs(os.path.join(root, name))
        for name in ("payload", "probe"):
            os.link(self.files[name], os.path.join(root, name))
        for name in ("mark", "stop"):
            os.link(self.path(name), os.path.join(root, name))
        with open(os.path.join(root, "etc/os-release"), "w", encoding="ascii") as file:  # systemd-nspawn asks
            file.write("ID=payload\n")


class Row:
    """One way to start the payload."""
    group = "container"
    payload = True  # whether the payload is what it runs
    mark = "The payload stamps it by the host's clock."
    launch = ("-f", "{folder}/mark")  # launch's options to get at the marks
    timeline = False  # whether the monitor writes one
    programs = ()  # on PATH
    data = ()  # further files that these need
    can = {}  # the limits that it can set, by key of LIMITS
    needs_root = True

    def __init__(self, name, title, what, **more):
        self.name, self.title, self.what = name, title, what
        self.__dict__.update(more)

    def not_installed(self):
        """Which program it lacks, in words, or None."""
        return next((f"{program} is not installed" for program in self.programs if not shutil.which(program)), None)

    def missing(self):
        """Why it cannot run here, or None."""
        return self.not_installed() or ("needs root" if self.needs_root and os.geteuid() != 0 else None)

    version_command, version_word = "--version", -1  # of programs[0]: which word of its first line

    def version(self, place):
        return first_line(place, [self.programs[0], self.version_command], self.version_word) if self.programs else None

    def words(self, place, what):
        """The payload's arguments: where its marks go, and who it is."""
        return [what, "mark=/mark", "stop=/stop", "id={i}"]

    def prepare(self, place, program, arguments, numbers, limits):
        """Makes what instances of these numbers need."""
        for number in numbers:
            place.make_root(number)

    def command(self, place, program, arguments, limits=False):
        """The command that starts instance {i} of the payload or the probe."""
        raise NotImplementedError

    def begin(self, place):
        """Starts its daemon, if it has one."""

    def end(self, place):
        """The opposite."""

    def wake(self):
        """Its turn begins."""

    def rest(self):
        """Its turn is over: a daemon that goes on would take time from the others."""

    def remove(self, place, number):
        """What may be left of an instance that was killed."""


def first_line(place, command, word=0):
    text = place.run(command, check=False).stdout.strip().split("\n")[0]
    words = text.split()
    return words[word] if -len(words) <= word < len(words) else text


class Process(Row):
    group, needs_root = "process", False

    def words(self, place, what):
        return [what, f"mark={place.path('mark')}", f"stop={place.path('stop')}", "id={i}"]

    def prepare(self, place, program, arguments, numbers, limits):
        pass

    def command(self, place, program, arguments, limits=False):
        return [place.files[program], *arguments]

    def version(self, place):
        return "Linux " + platform.release()


class Nsrun(Row):
    can = {"memory": True, "processes": True}

    def command(self, place, program, arguments, limits=False):
        words = ["-m", str(LIMITS["memory"]), "-p", str(LIMITS["processes"])] if limits else []
        return [place.files["nsrun"], *words, place.path("root/{i}"), "/" + program, *arguments]


class Bubblewrap(Row):
    programs = ("bwrap",)
    needs_root = False

    def command(self, place, program, arguments, limits=False):
        return ["bwrap", "--unshare-all", "--die-with-parent", "--bind", place.path("root/{i}"), "/",
                "--proc", "/proc", "--dev", "/dev", "--", "/" + program, *arguments]


CAPABILITIES = ["CAP_" + name for name in (  # those that Docker gives
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID "
    "SYS_CHROOT").split()]


class Oci(Row):
    """A runtime that takes a bundle, as the OCI's runtime specification has it."""
    can = {"memory": True, "processes": True, "cpu": True}

    def configuration(self, place, words, number, limits):
        mounts = [("/proc", "proc", "proc", []), ("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755", "size=64k"]),
                  ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance"]),
                  ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev"]),
                  ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"])]
        config = {
            "ociVersion": "1.0.2",
            "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/"],
                        "args": words, "noNewPrivileges": True,
                        "capabilities": {one: CAPABILITIES for one in ("bounding", "effective", "permitted")}},
            "root": {"path": place.path("root", str(number))},
            "hostname": "container",
            "mounts": [{"destination": to, "type": kind, "source": source, "options": options}
                       for to, kind, source, options in mounts],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
                "cgroupsPath": f"/{self.name}-{number}",
                "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            },
        }
        if limits:
            config["linux"]["resources"] |= {
                "memory": {"limit": LIMITS["memory"], "swap": LIMITS["memory"]},
                "pids": {"limit": LIMITS["processes"]},
                "cpu": {"quota": LIMITS["cpu"] * 1000, "period": 100000}}
        return config

    def prepare(self, place, program, arguments, numbers, limits):
        super().prepare(place, program, arguments, numbers, limits)
        for number in numbers:
            words = ["/" + program] + [word.replace("{i}", str(number)) for word in arguments]
            place.write(json.dumps(self.configuration(place, words, number, limits)),
                        self.name, str(number), "config.json")

    def command(self, place, program, arguments, limits=False):
        return [self.programs[0], "--root", place.path(self.name + "-state"), "run", "--bundle",
                place.path(self.name, "{i}"), self.name + "-{i}"]

    def remove(self, place, number):
        place.run([self.programs[0], "--root", place.path(self.name + "-state"), "delete", "--force",
                   f"{self.name}-{number}"], check=False)


class Lxc(Row):
    programs = ("lxc-execute",)
    can = {"memory": True, "processes": True, "cpu": True}
    data = ("/usr/share/lxc", "/usr/lib/*/lxc", "/usr/sbin/init.lxc*", "/usr/libexec/lxc", "/var/lib/lxc")

    def prepare(self, place, program, arguments, numbers, limits):
        super().prepare(place, program, arguments, numbers, limits)
        for number in numbers:
            lines = ["lxc.include = /usr/share/lxc/config/common.conf", f"lxc.rootfs.path = dir:{place.path('root', str(number))}", "lxc.uts.name = container",
                     "lxc.mount.auto = proc:mixed sys:ro", "lxc.net.0.type = empty", "lxc.autodev = 1",
                     "lxc.pty.max = 1", "lxc.tty.max = 0", "lxc.apparmor.profile = unconfined"]
            if limits:
                lines += [f"lxc.cgroup2.memory.max = {LIMITS['memory']}", "lxc.cgroup2.memory.swap.max = 0",
                          f"lxc.cgroup2.pids.max = {LIMITS['processes']}",
                          f"lxc.cgroup2.cpu.max = {LIMITS['cpu'] * 1000} 100000"]
            place.write("\n".join(lines) + "\n", "lxc", f"{number}.conf")
        os.makedirs(place.path("lxc/state"), exist_ok=True)

    def command(self, place, program, arguments, limits=False):
        return ["lxc-execute", "-P", place.path("lxc/state"), "-n", "lxc-{i}", "-f", place.path("lxc/{i}.conf"),
                "--", "/" + program, *arguments]

    def remove(self, place, number):
        place.run(["lxc-stop", "-P", place.path("lxc/state"), "-k", "-n", f"lxc-{number}"], check=False)


class Nspawn(Row):
    programs, version_word = ("systemd-nspawn",), 1

    def command(self, place, program, arguments, limits=False):
        return ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "--private-network", "--console=pipe",
                "-D", place.path("root/{i}"), "--machine=nspawn-{i}", "/" + program, *arguments]


class Engine(Row):
    """What is commanded like Docker."""
    can = {"memory": True, "processes": True, "cpu": True}
    image = "contrast"

    def base(self, place):
        raise NotImplementedError

    def import_image(self, place):
        """The same root file system as an image."""
        place.make_root("image")
        with tempfile.NamedTemporaryFile(dir=place.folder, suffix=".tar") as archive:
            subprocess.run(["tar", "-C", place.path("root/image"), "--exclude=./mark", "--exclude=./stop",
                            "-cf", archive.name, "."], check=True)
            place.run([*self.base(place), "import", archive.name, self.image])

    def prepare(self, place, program, arguments, numbers, limits):
        pass

    def command(self, place, program, arguments, limits=False):
        words = ["--memory", str(LIMITS["memory"]), "--memory-swap", str(LIMITS["memory"]), "--pids-limit",
                 str(LIMITS["processes"]), "--cpus", str(LIMITS["cpu"] / 100)] if limits else []
        return [*self.base(place), "run", "--rm", "--name", self.name + "-{i}", "--network", "none", *words,
                "-v", f"{place.path('mark')}:/mark", "-v", f"{place.path('stop')}:/stop",
                self.image, "/" + program, *arguments]

    def remove(self, place, number):
        place.run([*self.base(place), "rm", "-f", f"{self.name}-{number}"], check=False)


class Podman(Engine):
    programs = ("podman", "conmon", "crun")
    data = ("/usr/share/containers", "/usr/bin/conmon", "/usr/libexec/podman", "/usr/lib/podman", "/usr/bin/fuse-overlayfs",
            "/usr/sbin/iptables*", "/usr/lib/*/catatonit", "/usr/bin/catatonit")

    def base(self, place):
        return ["podman", "--root", place.path("podman"), "--runroot", place.path("podman-run"), "--tmpdir",
                place.path("podman-tmp"), "--cgroup-manager", "cgroupfs", "--storage-driver", "overlay", "--events-backend",
                "none", "--runtime", "crun"]

    def begin(self, place):
        self.import_image(place)


class Docker(Engine):
    programs, version_word = ("docker", "dockerd", "containerd", "runc"), 2
    data = ("/usr/bin/containerd-shim-runc-v2", "/usr/bin/docker-init", "/usr/bin/docker-proxy", "/usr/sbin/docker-proxy",
            "/usr/sbin/runc", "/usr/sbin/iptables*", "/usr/sbin/xtables*", "/usr/bin/unpigz", "/usr/sbin/ip", "/usr/bin/ps",
            "/usr/bin/kmod", "/usr/sbin/modprobe")
    daemon, helpers = None, ()

    def base(self, place):
        return ["docker", "-H", "unix://" + place.path("docker.sock")]

    def begin(self, place):
        with open(place.path("dockerd.log"), "w", encoding="utf-8") as log:
            self.daemon = subprocess.Popen(
                place.enter + ["dockerd", "--data-root", place.path("docker"), "--exec-root", place.path("docker-run"),
                               "--pidfile", place.path("docker.pid"), "-H", "unix://" + place.path("docker.sock"),
                               "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "overlay2"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        began = time.monotonic()
        while place.run([*self.base(place), "version"], check=False).returncode:
            if self.daemon.poll() is not None or time.monotonic() - began > 120:
                with open(place.path("dockerd.log"), encoding="utf-8") as log:
                    raise RuntimeError("dockerd did not start: " + " | ".join(log.read().split("\n")[-4:]))
            time.sleep(0.2)
        with open(place.path("docker-run/containerd/containerd.pid"), encoding="ascii") as file:
            self.helpers = [int(file.read())]
        self.import_image(place)

    def signal_daemons(self, number):
        """dockerd and its containerd."""
        if self.daemon:
            for pid in [self.daemon.pid, *self.helpers]:
                os.kill(pid, number)

    def wake(self):
        self.signal_daemons(signal.SIGCONT)

    def rest(self):
        self.signal_daemons(signal.SIGSTOP)

    def end(self, place):
        if self.daemon:
            self.wake()
            self.daemon.terminate()
            self.daemon.wait()
            self.daemon = None

    def version(self, place):
        return super().version(place).rstrip(",")


class Machine(Row):
    """A monitor that boots a kernel, whose first process the payload is."""
    group, needs_root = "vm", False
    kernel = ""  # a key of Place.files
    marking = "port"
    ending = "off"  # how the payload ends the machine: off, reset
    can = {"memory": True, "cpu": False, "processes": False}

    def missing(self):
        return super().missing() or (None if os.access("/dev/kvm", os.R_OK | os.W_OK) else "/dev/kvm cannot be used")

    def words(self, place, what):
        return [what, f"mark={self.marking}", f"end={self.ending}"]

    def prepare(self, place, program, arguments, numbers, limits):
        pass

    def append(self, program, arguments):
        """The end of the kernel's command line; what follows -- is for the first process."""
        end = {"off": "vm", "reset": "vm-reboot"}[self.ending]
        return " ".join(["quiet", "--", *([end] if program == "probe" else []), *arguments])

    def memory(self, _):
        """MiB: a machine always has a limit, and less would not do for Debian's kernel."""
        return GUEST_MEMORY


class Minivmm(Machine):
    timeline, launch = True, ()
    mark = "The monitor stamps the guest's write to the boot timer."

    def command(self, place, program, arguments, limits=False):
        return [place.files["minivmm"], "-m", f"{self.memory(limits)}M", "--timeline", place.path("timeline", "{i}"),
                "-k", place.files[self.kernel], "-i", place.files[program + ".cpio"],
                "-a", self.append(program, arguments)]

    def prepare(self, place, program, arguments, numbers, limits):
        os.makedirs(place.path("timeline"), exist_ok=True)

    def version(self, place):
        return first_line(place, [place.files["minivmm"], "--version"], -1)


class MinivmmOwn(Minivmm):
    """A kernel of our own, which is no Linux."""
    payload, can = False, {}
    mark = "The monitor stamps the guest's write to the boot timer; the guest has no payload."

    def command(self, place, program, arguments, limits=False):
        return [place.files["minivmm"], "-m", "16M", "--timeline", place.path("timeline", "{i}"),
                "-k", place.files[self.kernel]]


class OnConsole(Machine):
    """Has no port that marks."""
    launch, marking = ("-c",), "console"
    mark = "A line on the serial console; launch stamps what arrives, so it is later by the way of 16 bytes and a switch."


class Qemu(Machine):
    programs, version_word = (QEMU,), 3
    launch = ("-b", "{folder}/port/{i}")
    mark = "A FIFO behind the guest's port; launch stamps what arrives, so it is later by a switch of tasks."
    machine, words_of_kernel, more = "", "", ()
    data = ("/usr/share/qemu", "/usr/share/seabios", "/usr/lib/*/qemu", "/usr/share/qemu-efi*")

    def prepare(self, place, program, arguments, numbers, limits):
        os.makedirs(place.path("port"), exist_ok=True)
        for number in numbers:
            if not os.path.exists(place.path("port", str(number))):
                os.mkfifo(place.path("port", str(number)))

    def command(self, place, program, arguments, limits=False):
        port = ["-chardev", f"file,id=mark,path={place.path('port', '{i}')}", "-device",
                "isa-debugcon,iobase=0xf5,chardev=mark"] if NATIVE == "x86_64" and self.marking == "port" else []
        return [*self.programs, "-M", self.machine, *port, "-enable-kvm", "-cpu", qemu_cpu(), "-m", f"{self.memory(limits)}M",
                "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio", *self.more,
                "-kernel", place.files[self.kernel], "-initrd", place.files[program + ".cpio"],
                "-append", f"console={QEMU_CONSOLE} panic=-1 {self.words_of_kernel} {self.append(program, arguments)}"]


class QemuPc(OnConsole, Qemu):
    """It could mark by a port, too, but not in the lab: with this machine (and not with microvm), QEMU gives KVM registers of which
    the emulated processor concludes that the guest's processes may use no ports."""


class Kvmtool(OnConsole):
    programs, version_command = ("lkvm",), "version"
    ending = "reset"

    def command(self, place, program, arguments, limits=False):
        return ["lkvm", "run", "-m", str(self.memory(limits)), "-c", "1", "--console", "serial", "--network", "mode=none",
                "-k", place.files[self.kernel], "-i", place.files[program + ".cpio"],
                "-p", f"console=ttyS0 {self.append(program, arguments)}"]


class Firecracker(OnConsole):
    programs = ("firecracker",)
    ending = "reset"

    def prepare(self, place, program, arguments, numbers, limits):
        for number in numbers:
            words = self.append(program, arguments).replace("{i}", str(number))
            place.write(json.dumps({
                "boot-source": {"kernel_image_path": place.files[self.kernel], "initrd_path": place.files[program + ".cpio"],
                                "boot_args": "console=ttyS0 reboot=k panic=-1 pci=off " + words},
                "drives": [], "machine-config": {"vcpu_count": 1, "mem_size_mib": self.memory(limits)}}),
                        "firecracker", f"{number}.json")

    def command(self, place, program, arguments, limits=False):
        return ["firecracker", "--no-api", "--config-file", place.path("firecracker/{i}.json")]


class CloudHypervisor(OnConsole):
    programs = ("cloud-hypervisor",)

    def command(self, place, program, arguments, limits=False):
        return ["cloud-hypervisor", "--cpus", "boot=1", "--memory", f"size={self.memory(limits)}M", "--kernel",
                place.files[self.kernel], "--initramfs", place.files[program + ".cpio"], "--serial", "tty", "--console", "off",
                "--cmdline", "console=ttyS0 panic=-1 " + self.append(program, arguments)]


class Crosvm(OnConsole):
    programs, version_command = ("crosvm",), "version"
    ending = "reset"

    def command(self, place, program, arguments, limits=False):
        return ["crosvm", "run", "--disable-sandbox", "--cpus", "1", "--mem", str(self.memory(limits)), "--serial",
                "type=stdout,hardware=serial,num=1,console", "-i", place.files[program + ".cpio"],
                "-p", "panic=-1 " + self.append(program, arguments), place.files[self.kernel]]


# The kernels by their keys in Place.files: the tuned Linux without and with decompression, Debian's for clouds.
PLAIN, PACKED = {"x86_64": ("vmlinux", "bzImage"), "arm64": ("Image", "Image")}[NATIVE]

ROWS = [
    Process("posix_spawn", "posix_spawn", "A process, started by posix_spawn."),
    Process("fork", "fork + exec", "A process, started by fork and exec of a small parent.",
            launch=("-F", *Process.launch)),
    Nsrun("nsrun", "nsrun (by hand)", "A container by hand: clone3 with all namespaces, pivot_root, a cgroup, seccomp."),
    Bubblewrap("bwrap", "bubblewrap", "Bubblewrap, which Flatpak uses: namespaces, no cgroup."),
    Oci("crun", "crun", "crun, an OCI runtime in C, what Podman runs.", programs=("crun",)),
    Oci("runc", "runc", "runc, the OCI runtime that Docker and containerd run.", programs=("runc",)),
    Lxc("lxc", "LXC", "LXC's lxc-execute, with an init of its own as process 1."),
    Nspawn("nspawn", "systemd-nspawn", "systemd-nspawn. rkt, discontinued in 2020, used it for its stage 1; it stands here in rkt's place."),
    Podman("podman", "podman run", "podman run: no daemon, conmon and crun for each container."),
    Docker("docker", "docker run", "docker run: the client asks dockerd, which asks containerd, which starts a shim and runc."),
    MinivmmOwn("minivmm-raw", "minivmm, raw guest", "minivmm with a guest of a few instructions, which is no kernel.", kernel="raw"),
    MinivmmOwn("minivmm-hello", "minivmm, hello kernel", "minivmm with a kernel of about a page of C.", kernel="hello"),
    Minivmm("minivmm-" + PLAIN, "minivmm, tuned Linux", f"minivmm with the tuned Linux, as {PLAIN}.", kernel=PLAIN),
    *([Minivmm("minivmm-bzImage", "minivmm, tuned bzImage", "minivmm with the tuned Linux, as bzImage.", kernel="bzImage")]
      if NATIVE == "x86_64" else []),
    Minivmm("minivmm-debian", "minivmm, Debian's Linux", "minivmm with Debian's kernel for clouds.", kernel="debian"),
    Qemu("qemu-small", f"{QEMU_NAME}, tuned", QEMU_NAME.replace(" ", "'s ") + f" with the tuned Linux, as {PACKED}.",
         kernel=PACKED, machine=QEMU_MACHINE),
    *([QemuPc("qemu-pc", "QEMU q35, tuned", "QEMU's standard PC (q35, SeaBIOS) with the tuned Linux, as bzImage.", kernel="bzImage",
            machine="q35", ending="reset", words_of_kernel="reboot=t")] if NATIVE == "x86_64" else []),
    Kvmtool("kvmtool", "kvmtool, tuned", f"kvmtool with the tuned Linux, as {PACKED}.", kernel=PACKED),
    Firecracker("firecracker", "Firecracker, tuned", f"Firecracker with the tuned Linux, as {PLAIN}.", kernel=PLAIN),
    CloudHypervisor("cloud-hypervisor", "Cloud Hypervisor, tuned", f"Cloud Hypervisor with the tuned Linux, as {PLAIN}.", kernel=PLAIN),
    Crosvm("crosvm", "crosvm, tuned", f"crosvm with the tuned Linux, as {PACKED}.", kernel=PACKED),
]
