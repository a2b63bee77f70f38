"""The attacks of a hostile function. Each returns what it got, to show that it works without protection.

Run as a program, this file makes some attacks with the rights of its process, isolated or (``open``) not, and prints
the results as JSON. The child process does not import it: the attacks are pickled, as functions of a notebook are.
"""

# Attackers take the short way, and a program prints:
# ruff: noqa: PTH101, PTH102, PTH104, PTH108, PTH115, PTH118, PTH123, PTH208, PTH211, T201
import json
import os
import socket
import sys
import tempfile
from pathlib import Path

import cloudpickle

SECRET = "s3cr3t-of-the-worker"
REFUSED = "refused"


def refused_numbers() -> list[int]:
    """Return the numbers of the system calls of this machine that the list does not name."""
    from gozen.quickdb.isolation import seccomp, syscall_numbers

    on = str(syscall_numbers.machine())
    named = {syscall_numbers.number(name, on) for name in (*seccomp.FREE, *seccomp._conditions(0))}
    # Two calls of x86-64 pass every filter; they end a process that is not being probed (uretprobe, uprobe).
    return [number for number in range(480) if number not in named | {335, 336}]


class Attacks:
    """The user's program: each method is an attack, given what it needs to know of the world outside."""

    def network(self, world, ask):
        """Open sockets of every kind, and reach servers that are there."""
        import socket

        def to(family, kind, address):
            with socket.socket(family, kind) as one:
                one.settimeout(2)
                one.connect(address)

        found = {
            "inet": lambda: to(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", world["port"])),
            "metadata": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("169.254.169.254", 80)),
            "inet6": lambda: socket.socket(socket.AF_INET6).close(),
            "unix": lambda: to(socket.AF_UNIX, socket.SOCK_STREAM, world["unix"]),
            "abstract": lambda: to(socket.AF_UNIX, socket.SOCK_STREAM, "\0" + world["abstract"]),
            "netlink": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close(),
            "pair": lambda: [one.close() for one in socket.socketpair()],
        }
        return self.tried(found)

    def secrets(self, world, ask):
        """Read credentials wherever they may lie; give back all that was read."""
        import os

        parent = world["pid"]

        def read(path):
            with open(path, "rb") as file:
                return file.read(200_000)

        def link(path):
            return read(os.readlink(path) + "/etc/shadow")

        def relative():
            root = os.open("/", os.O_PATH)
            return os.read(os.open(world["credentials"].lstrip("/"), os.O_RDONLY, dir_fd=root), 100)

        def descriptor():
            failed = []
            for number in range(64):
                try:
                    return repr(os.open(f"/proc/{parent}/fd/{number}", os.O_RDONLY | os.O_NONBLOCK)).encode()
                except OSError as error:
                    failed.append(error)
            raise failed[0]

        found = {
            "environment": lambda: repr(dict(os.environ)).encode(),
            **{f"own {name}": lambda name=name: read(f"/proc/self/{name}") for name in ("environ", "maps", "status")},
            **{f"worker's {name}": lambda name=name: read(f"/proc/{parent}/{name}")
               for name in ("environ", "cmdline", "maps", "status")},
            "worker's memory": lambda: os.pread(os.open(f"/proc/{parent}/mem", os.O_RDONLY), 8, world["address"]),
            "worker's root": lambda: read(f"/proc/{parent}/root{world['credentials']}"),
            "worker's descriptors": lambda: repr(os.listdir(f"/proc/{parent}/fd")).encode(),
            "worker's descriptor": descriptor,
            "credentials": lambda: read(world["credentials"]),
            "shadow": lambda: read("/etc/shadow"),
            "passwd": lambda: read("/etc/passwd"),
            "up and over": lambda: read("/usr/lib/../../etc/passwd"),
            "by a link": lambda: link("/proc/self/root"),
            "by the root's descriptor": relative,
            "home": lambda: repr(os.listdir(world["home"])).encode(),
            "root folder": lambda: repr(os.listdir("/")).encode(),
            "working folder": lambda: repr(os.listdir(".")).encode(),
            "own folder's link": lambda: read(world["link"]),
        }  # fmt: skip
        return self.tried(found)

    def descriptors(self, world, ask):
        """List the descriptors that are open."""
        import contextlib
        import os
        import stat

        kinds = {}
        for number in range(1024):
            with contextlib.suppress(OSError):
                mode = os.fstat(number).st_mode
                kinds[number] = "socket" if stat.S_ISSOCK(mode) else "device" if stat.S_ISCHR(mode) else "other"
        return list(kinds.items())

    def writing(self, world, ask):
        """Change files, in every folder that may be writable."""
        import os
        import sysconfig

        packages = sysconfig.get_path("purelib")
        folders = ("/tmp", "/dev/shm", "/var/tmp", world["home"], packages, "/")
        mine = world["mine"]

        def create(folder):
            path = os.path.join(folder, f"gozen-attack-{os.getpid()}")
            with open(path, "wb"):
                pass
            os.unlink(path)

        found = {
            **{f"create in {folder}": lambda folder=folder: create(folder) for folder in folders},
            "append": lambda: open(mine, "ab").close(),
            "truncate": lambda: os.truncate(mine, 0),
            "chmod": lambda: os.chmod(mine, 0o600),
            "times": lambda: os.utime(mine),
            "attribute": lambda: os.setxattr(mine, "user.a", b"b"),
            "link": lambda: os.link(mine, mine + ".link"),
            "symlink": lambda: os.symlink(mine, mine + ".symlink"),
            "rename": lambda: (os.rename(mine, mine + ".new"), os.rename(mine + ".new", mine)),
            "mkdir": lambda: os.mkdir(mine + ".dir"),
            "mkfifo": lambda: os.mkfifo(mine + ".fifo"),
            "unlink": lambda: os.unlink(world["spare"]),
            "memfd": lambda: os.close(os.memfd_create("x")),
        }
        return self.tried(found)

    def processes(self, world, ask):
        """Start processes, by every way that there is."""
        import ctypes
        import multiprocessing
        import os
        import subprocess
        import sys

        libc = ctypes.CDLL(None, use_errno=True)

        def ended(pid):
            if pid == 0:
                os._exit(0)
            if pid < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            os.waitpid(pid, 0)

        def raw(number, *arguments):
            return ended(libc.syscall(ctypes.c_long(number), *(ctypes.c_long(one) for one in arguments)))

        def run_other():
            process = multiprocessing.get_context("fork").Process(target=int)
            process.start()
            process.join()

        x86 = os.uname().machine == "x86_64"
        found = {
            "fork": lambda: ended(os.fork()),
            "subprocess": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
            "shell": lambda: subprocess.run("true", shell=True, check=True),
            "spawn": lambda: ended(os.posix_spawn("/bin/true", ["true"], {})),
            "multiprocessing": run_other,
            "clone": lambda: raw(56 if x86 else 220, 17, 0, 0, 0, 0),
            "clone3": lambda: raw(435, 0, 0),
        }
        if x86:
            found["raw fork"] = lambda: raw(57)
            found["fork by the x32 ABI"] = lambda: raw(57 | 0x40000000)
        return self.tried(found)

    def others(self, world, ask):
        """Reach for other processes, the worker first."""
        import ctypes
        import fcntl
        import os
        import resource

        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        parent = world["pid"]
        x86 = os.uname().machine == "x86_64"
        numbers = {"ptrace": (101, 117), "process_vm_readv": (310, 270), "pidfd_open": (434, 434),
                   "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138)}  # fmt: skip

        def raw(name, *arguments):
            words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
            if libc.syscall(ctypes.c_long(numbers[name][0 if x86 else 1]), *words) < 0:
                raise OSError(ctypes.get_errno(), name)

        target, information = ctypes.create_string_buffer(8), ctypes.create_string_buffer(b"\0" * 8 + b"\xff" * 4, 128)
        here = (ctypes.c_size_t * 2)(ctypes.addressof(target), 8)
        there = (ctypes.c_size_t * 2)(world["address"], 8)
        found = {
            "kill": lambda: os.kill(parent, 0),
            "kill all": lambda: os.kill(-1, 0),
            "kill group": lambda: os.kill(0, 0),
            "thread's signal": lambda: raw("tgkill", parent, parent, 0),
            "signal with a word": lambda: raw("rt_sigqueueinfo", parent, 0, information),
            "owner of a descriptor": lambda: fcntl.fcntl(1, fcntl.F_SETOWN, parent),
            "trace": lambda: raw("ptrace", 0x4206, parent, 0, 0),
            "memory": lambda: raw("process_vm_readv", parent, here, 1, there, 1, 0),
            "descriptor": lambda: raw("pidfd_open", parent, 0),
            "limits": lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE),
            "priority": lambda: os.setpriority(os.PRIO_PROCESS, parent, 5),
            "processor": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(0)),
            "session": lambda: os.setpgid(0, 0),
        }
        return self.tried(found)

    def loosening(self, world, ask):
        """Take back what was taken."""
        import ctypes
        import os
        import resource

        libc = ctypes.CDLL(None, use_errno=True)

        def control(*arguments):
            if libc.prctl(*arguments, 0, 0, 0) < 0:
                raise OSError(ctypes.get_errno(), "prctl")

        found = {
            "outlive the worker": lambda: control(1, 0),
            "be dumpable": lambda: control(4, 1),
            "more memory": lambda: resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2),
            "more files": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2),
            "user": lambda: os.setuid(os.getuid()),
            "group": lambda: os.setgroups([]),
            "root folder": lambda: os.chroot("/"),
            "folder": lambda: os.chdir("/"),
            "priority": lambda: os.nice(1),
        }
        return self.tried(found)

    def unnamed(self, world, ask):
        """Make every system call that no list names, and tell which of them the kernel did not refuse."""
        import ctypes
        import errno

        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        got = []
        for number in world["numbers"]:
            ctypes.set_errno(0)
            answer = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(-1)] * 6)
            if answer >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS):
                got.append(number)
        return got

    @staticmethod
    def tried(attempts):
        """Make each attempt; say what it gave, or that the system refused it."""
        found = {}
        for name, attempt in attempts.items():
            try:
                got = attempt()
            except (OSError, RuntimeError, ValueError) as error:
                code = getattr(error, "errno", None)
                found[name] = f"refused: {type(error).__name__} {code}"
            else:
                found[name] = got.decode("utf-8", "replace") if isinstance(got, bytes) else "done"
        return found


OVERVIEW = ("network", "secrets", "writing", "processes", "others", "loosening")


def world_outside(folder: Path) -> dict[str, object]:
    """Make what a thief would look for: servers, files and a secret in the memory of this process."""
    import ctypes

    credentials, mine, spare = (folder / name for name in ("credentials", "mine", "spare"))
    for path in (credentials, mine, spare):
        path.write_text(SECRET)
    (folder / "link").symlink_to(credentials)
    servers = [socket.create_server(("127.0.0.1", 0))]
    abstract = f"gozen-{os.getpid()}"
    for address in (str(folder / "socket"), "\0" + abstract):
        servers.append(socket.socket(socket.AF_UNIX))
        servers[-1].bind(address)
        servers[-1].listen()
    held = ctypes.create_string_buffer(SECRET.encode())
    inherited = os.open(credentials, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    world_outside.kept = (servers, held)
    return {
        "pid": os.getpid(), "port": servers[0].getsockname()[1], "unix": str(folder / "socket"), "abstract": abstract,
        "credentials": str(credentials), "home": str(folder), "mine": str(mine), "spare": str(spare),
        "link": str(folder / "link"), "address": ctypes.addressof(held), "numbers": refused_numbers(),
    }  # fmt: skip


def main() -> None:
    """Make the attacks that are named on the command line after ``isolated`` or ``open``."""
    from gozen.quickdb.isolation.child_process import Child

    attacks = Attacks()
    with tempfile.TemporaryDirectory() as folder:
        world = world_outside(Path(folder))
        os.chdir(folder)
        if sys.argv[1] == "open":
            found = {name: getattr(attacks, name)(world, None) for name in sys.argv[2:]}
        else:
            cloudpickle.register_pickle_by_value(sys.modules["__main__"])
            program = cloudpickle.dumps(attacks)
            with Child() as child:
                found = {name: child.call(program, name, world, print) for name in sys.argv[2:]}
                found["owner"] = Path(f"/proc/{child.pid}/environ").stat().st_uid
    print(json.dumps({**found, "user": os.geteuid()}))


if __name__ == "__main__":
    main()
