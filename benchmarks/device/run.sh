#!/usr/bin/env bash
# All that one accelerator can tell in eight minutes: agreement with the processor, speed, precision, processes, memory.
#
#     bash benchmarks/device/run.sh DIR RESULTS.json [cuda|cpu]
#
# DIR holds mnist/; what each part found is written as soon as it is known, errors too. `cpu` tries the script itself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python}
data=$1 results=$2 device=${3:-cuda}
for part in agreement speed precision processes memory; do
    timeout 150 "$python" "$here/measure.py" "$part" --data-dir "$data" --device "$device" --output "$results" ||
        echo "$part: ended with status $?" >&2
done
