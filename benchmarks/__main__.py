"""All benchmarks, one after the other: ``make bench``. Twenty minutes and more; quote ratios, not seconds."""

import subprocess
import sys

BENCHMARKS = ("ingest", "marts", "costs", "rating", "projections", "books")

for name in BENCHMARKS:
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
