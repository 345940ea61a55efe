"""Coverage-guided fuzzing of the decoders: `make fuzz SECONDS=60`, or one target: `python -m tests.fuzzing.run_atheris NAME 60`.

Every target runs in a process of its own, since libFuzzer ends it. What breaks a decoder is kept in `tests/fuzzing/corpus`, where
the ordinary tests try it ever after.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
SCRATCH = Path(__file__).parents[2] / "build" / "fuzz"
DONE = re.compile(r"Done (\d+) runs|stat::number_of_executed_units: (\d+)")


def fuzz(name: str, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["mmd"]):
        from tests.fuzzing.targets import SEEDS, TARGETS

    seeds = SCRATCH / name
    seeds.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (seeds / f"seed-{number}").write_bytes(seed)
    found = CORPUS / name
    options = [f"-max_total_time={seconds}", "-timeout=5", "-max_len=4096", "-print_final_stats=1", f"-artifact_prefix={found}/"]
    found.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(seeds)], TARGETS[name])
    atheris.Fuzz()


def fuzz_all(seconds: int) -> int:
    """Each target for its share of the time; how many broke."""
    from tests.fuzzing.targets import TARGETS

    share = max(1, seconds // len(TARGETS))
    broken = 0
    for name in TARGETS:
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzzing.run_atheris", name, str(share)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        runs = next((int(one or two) for one, two in reversed(DONE.findall(done.stderr))), 0)
        broken += done.returncode != 0
        verdict = "ok" if done.returncode == 0 else "BROKEN"
        print(f"{name:22} {verdict:7} {runs:>9,} inputs in {time.monotonic() - began:.0f} s", flush=True)
        if done.returncode != 0:
            print("\n".join((done.stdout + done.stderr).strip().splitlines()[-25:]))
        empty = CORPUS / name
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()
    return broken


if __name__ == "__main__":
    if len(sys.argv) == 3:
        fuzz(sys.argv[1], int(sys.argv[2]))
    sys.exit(1 if fuzz_all(int(sys.argv[1])) else 0)
