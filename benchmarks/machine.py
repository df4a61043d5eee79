"""The machine: CPU time of processes as Linux counts it, and a slow disk made on the spot."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")

SLOW_DISK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static void wait_for_the_disk(void) {
    struct timespec pause = {0, 2000000};
    nanosleep(&pause, 0);
}
int fsync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int)) dlsym(RTLD_NEXT, "fsync");
    wait_for_the_disk();
    return real(file);
}
int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int)) dlsym(RTLD_NEXT, "fdatasync");
    wait_for_the_disk();
    return real(file);
}
"""


def build_slow_disk(folder: Path) -> Path | None:
    """A library for LD_PRELOAD that adds 2 ms to every fsync and fdatasync; None where gcc is missing."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    source, library = folder / "slow_disk.c", folder / "slow_disk.so"
    source.write_text(SLOW_DISK)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    library.chmod(0o755)
    return library


def _stat(pid: int) -> tuple[int, float] | None:
    """Parent and CPU seconds (own and of reaped children, user and system) of a process; None when gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / _TICK


def cpu_of_tree(root: int) -> float:
    """CPU seconds that process `root` and all its descendants, living or reaped, have used so far."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    found = {pid: _stat(pid) for pid in pids}
    living = {pid: stat for pid, stat in found.items() if stat is not None}
    family, total = {root}, 0.0
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in living.items() if parent in family} - family
        family |= more
        grown = bool(more)
    for pid in family & living.keys():
        total += living[pid][1]
    return total


def on_cpu(pids: Iterable[int]) -> float:
    """Seconds that single-threaded processes have been on a core, to the microsecond (`cpu_of_tree` counts in hundredths)."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def cpu_of_everything() -> float:
    """CPU seconds that the whole machine has used so far (guests and idling not counted)."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _waiting, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) / _TICK


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def description() -> dict[str, str | int | float]:
    """What the figures were taken on."""
    return {
        "cores": cores(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_average_before": round(os.getloadavg()[0], 2),
    }
