"""What a result was measured on: part of every committed JSON."""

import os
import platform
import subprocess
import time
from importlib import metadata


def describe(*packages: str) -> dict[str, object]:
    """Processor, cores, versions and date."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
        "date": time.strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        text = subprocess.run(["lscpu"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return platform.processor()
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    name, flags = facts.get("Model name", "unknown").strip(), facts.get("Flags", "").split()
    return f"{name}, model {facts.get('Model', '?').strip()}" + (", AVX-512" if "avx512f" in flags else "")
