"""Run a program of Python and add what it took to a log: `python measured.py LOG ARGUMENT...`."""

import json
import os
import sys
from time import perf_counter


def main(log: str, *arguments: str) -> int:
    """Return the program's exit status; a line of JSON says its arguments, seconds, and its process's peak memory."""
    start = perf_counter()
    process = os.posix_spawn(sys.executable, [sys.executable, *arguments], os.environ)
    _, status, usage = os.wait4(process, 0)
    row = {
        "arguments": arguments,
        "wall s": perf_counter() - start,
        "processor s": usage.ru_utime + usage.ru_stime,
        "peak MB": usage.ru_maxrss / 1024,
    }
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
