"""Time the vectorised LBP-TOP against a plain loop over pixels, on a clip of 12 frames of 64x64.

python benchmarks/lbp_top.py            prints a table, writes benchmarks/results/lbp_top.json
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

import microexp  # noqa: E402
from microexp.recognize._lbp import lbp_top  # noqa: E402

SHAPE, BLOCKS, RADII = (12, 64, 64), 5, (1, 1, 4)
RESULT = Path(__file__).parent / "results" / "lbp_top.json"


def loop_lbp_top(frames: np.ndarray) -> np.ndarray:
    """LBP-TOP as it is read off the paper, one pixel at a time."""
    T, H, W = frames.shape
    rx, ry, rt = RADII
    histograms = np.zeros((BLOCKS, BLOCKS, 3, 16))
    for t in range(rt, T - rt):
        for y in range(ry, H - ry):
            for x in range(rx, W - rx):
                centre = frames[t, y, x]
                right, left = frames[t, y, x + rx], frames[t, y, x - rx]
                above, below = frames[t, y - ry, x], frames[t, y + ry, x]
                past, future = frames[t - rt, y, x], frames[t + rt, y, x]
                row, column = (y - ry) * BLOCKS // (H - 2 * ry), (x - rx) * BLOCKS // (W - 2 * rx)
                planes = (
                    (right, above, left, below),
                    (right, past, left, future),
                    (below, past, above, future),
                )
                for plane, neighbours in enumerate(planes):
                    code = 0
                    for bit, neighbour in enumerate(neighbours):
                        if neighbour >= centre:
                            code |= 1 << bit
                    histograms[row, column, plane, code] += 1
    return (histograms / histograms.sum(axis=-1, keepdims=True)).ravel()


def cpu_ms(
    function: Callable[[np.ndarray], np.ndarray], frames: np.ndarray, calls: int, repeats: int
) -> float:
    """CPU milliseconds a call, the median over repeats."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(calls):
            function(frames)
        times.append((time.process_time() - start) / calls)
    return 1000 * float(np.median(times))


def main() -> None:
    frames = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    if not np.allclose(loop_lbp_top(frames), lbp_top(frames, BLOCKS, RADII), atol=1e-6):
        raise SystemExit("the loop and the vectorised form differ")
    loop = cpu_ms(loop_lbp_top, frames, calls=1, repeats=5)
    vectorised = cpu_ms(lambda f: lbp_top(f, BLOCKS, RADII), frames, calls=200, repeats=7)
    result = {
        "what": f"LBP-TOP: {SHAPE[0]} frames, {SHAPE[2]}x{SHAPE[1]}, {BLOCKS}x{BLOCKS} blocks, radii {RADII}",
        "loop_cpu_ms": round(loop, 3),
        "vectorised_cpu_ms": round(vectorised, 4),
        "times_faster": round(loop / vectorised),
        "machine": {"architecture": platform.machine(), "system": platform.system(), "threads": 1},
        "versions": {
            "microexp": microexp.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(result["what"])
    print(f"loop over pixels  {loop:10.2f} CPU ms\nvectorised        {vectorised:10.3f} CPU ms")
    print(f"{loop / vectorised:.0f} times faster; same values. Written to benchmarks/results/{RESULT.name}")


if __name__ == "__main__":
    main()
