"""All benchmarks, one after the other: ``make bench``. Ten minutes and more; quote ratios, not seconds."""

import subprocess
import sys

BENCHMARKS = ("ingest", "marts", "costs", "rating")

for name in BENCHMARKS:
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
