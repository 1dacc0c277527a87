#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time of a convolution against the size of its kernel, by each algorithm.

usage: kernel_sizes.py [--shape N,C,H,W,K] [--sizes 1,3,5,...] [--pass forward|input|weight] [--threads N]
                       [--limit SECONDS] [--svg FILE] [--bench PATH]

H = 1 gives a 1-D convolution. Padding is 'same', kernels are square, and each time is the least of some repeats. An
algorithm is dropped from the size on at which one repeat takes longer than the limit. Prints a table in milliseconds;
--svg draws it with both axes logarithmic. Needs a build with -DREEL_BENCH=ON and nothing else.
"""
import argparse, math, os, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
COLOURS = dict(naive="#999999", direct="#1f77b4", im2col="#ff7f0e", winograd="#2ca02c", fft="#d62728", auto="#000000")


def measure(args, algo, size):
    """Least seconds of a repeat, and whether to go on with larger kernels."""
    n, c, h, w, k = args.shape
    kind, kh = ("conv1", 1) if h == 1 else ("conv", size)
    row = f"{kind} {n} {c} {h} {w} {k} {kh} {size} 1 {size // 2} 1 {args.passed}"
    env = dict(os.environ, REEL_CONV_ALGO=algo, OMP_NUM_THREADS=str(args.threads))
    times = subprocess.run([args.bench, row, "9"], env=env, capture_output=True, text=True, check=True).stdout.split()
    least = min(map(float, times))
    return least, least < args.limit


def svg(path, title, sizes, times):
    """One line an algorithm, both axes logarithmic."""
    width, height, left, top, right, bottom = 720, 440, 70, 40, 110, 50
    values = [t for row in times.values() for t in row if t]
    low, high = math.log10(min(values)) - 0.1, math.log10(max(values)) + 0.1
    first, last = math.log(sizes[0]), math.log(sizes[-1])
    x = lambda s: left + (width - left - right) * (math.log(s) - first) / (last - first or 1)
    y = lambda t: top + (height - top - bottom) * (high - math.log10(t)) / (high - low)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/><text x="{left}" y="22" font-size="14">{title}</text>',
           f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">kernel size</text>',
           f'<text x="16" y="{height / 2}" transform="rotate(-90 16 {height / 2})" text-anchor="middle">milliseconds</text>']
    for s in sizes:
        out.append(f'<line x1="{x(s):.1f}" y1="{top}" x2="{x(s):.1f}" y2="{height - bottom}" stroke="#eee"/>'
                   f'<text x="{x(s):.1f}" y="{height - bottom + 16}" text-anchor="middle">{s}</text>')
    for e in range(math.ceil(low), math.floor(high) + 1):
        out.append(f'<line x1="{left}" y1="{y(10.0 ** e):.1f}" x2="{width - right}" y2="{y(10.0 ** e):.1f}" stroke="#ccc"/>'
                   f'<text x="{left - 6}" y="{y(10.0 ** e) + 4:.1f}" text-anchor="end">{10.0 ** (e + 3):g}</text>')
    for algo, row in times.items():
        points = [(x(s), y(t)) for s, t in zip(sizes, row) if t]
        if not points:
            continue
        dash = ' stroke-dasharray="3 4"' if algo == "auto" else ""
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[algo]}" stroke-width="2"{dash}/>'
                   f'<text x="{points[-1][0] + 6:.1f}" y="{points[-1][1] + 4:.1f}" fill="{COLOURS[algo]}">{algo}</text>')
    with open(path, "w") as file:
        file.write("\n".join(out + ["</svg>\n"]))


def main():
    ints = lambda text: [int(part) for part in text.split(",")]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--shape", type=ints, default=[8, 16, 64, 64, 16], help="N,C,H,W,K")
    options.add_argument("--sizes", type=ints, default=[1, 3, 5, 7, 9, 11, 15, 21, 31, 51])
    options.add_argument("--pass", dest="passed", choices=["forward", "input", "weight"], default="forward")
    options.add_argument("--algos", default="direct,im2col,winograd,fft,auto")
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--limit", type=float, default=0.5)
    options.add_argument("--svg")
    options.add_argument("--bench", default=os.path.join(HERE, "..", "build", "bench", "reel_bench"))
    args = options.parse_args()
    if not os.path.exists(args.bench):
        sys.exit(f"{args.bench} is not there: build it with cmake -S . -B build -DREEL_BENCH=ON && cmake --build build")
    algos = args.algos.split(",")
    times, going = {algo: [] for algo in algos}, dict.fromkeys(algos, True)
    print(f"{args.passed}, " + "x".join(map(str, args.shape[:4])) + f" -> {args.shape[4]}, {args.threads} threads, ms")
    print(f"{'size':>6}" + "".join(f"{algo:>10}" for algo in algos))
    for size in args.sizes:
        for algo in algos:
            time = None
            if going[algo] and (algo != "winograd" or size == 3):  # others' times would be shown as its own
                time, going[algo] = measure(args, algo, size)
            times[algo].append(time)
        print(f"{size:6}" + "".join(f"{times[a][-1] * 1e3:10.3f}" if times[a][-1] else f"{'-':>10}" for a in algos), flush=True)
    if args.svg:
        svg(args.svg, f"{args.passed}, " + "x".join(map(str, args.shape[:4])) + f" -> {args.shape[4]}", args.sizes, times)
    return 0


if __name__ == "__main__":
    sys.exit(main())
