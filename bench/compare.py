#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reel and PyTorch on the same work, alternately, in one run.

usage: compare.py [--rows NAME,...] [--threads N] [--isa NAME] [--json FILE] [--svg FILE] [--rounds N] [--bench PATH] [--list]

Needs PyTorch (CPU) and a build with -DREEL_BENCH=ON. PyTorch is taken at its best of channels_last and not, where
there is a choice. Each row runs in rounds: some repeats of one, some of the other; the medians' ratio is reported,
Reel's time over the peer's, so smaller is better. --rows takes any parts of row names; --isa is base, avx2 or avx512 for Reel;
--svg draws ratios and goals. Percent of peak is of what the threads' register tiles do on operands in the first cache; Winograd
and FFT, which multiply less than the plain loops that are counted, may pass 100.
"""
import argparse, json, os, statistics, subprocess, sys, time

HERE = os.path.dirname(os.path.abspath(__file__))


def conv(n, c, h, w, k, kh, kw, stride=1, pad=0, groups=1, one=False):
    name = f"{n}x{c}x{h}x{w}" if not one else f"{n}x{c}x{w}"
    kernel = f"{kh}x{kw}" if not one else f"{kw} taps"
    extra = (f" stride {stride}" if stride > 1 else "") + (f" pad {pad}" if pad else "") + (f" groups {groups}" if groups > 1 else "")
    return dict(kind="conv", dims=(n, c, h, w, k, kh, kw, stride, pad, groups), one=one,
                name=f"conv{'1d' if one else ''} {name} -> {k}, {kernel}{extra}")


def rows():
    """(name, goal, Reel's row, peer factory, work per repeat in FLOP or 0)"""
    out = []

    def add_conv(spec, goals):
        n, c, h, w, k, kh, kw, s, p, g = spec["dims"]
        oh, ow = (h + 2 * p - kh) // s + 1 if not spec["one"] else 1, (w + 2 * p - kw) // s + 1
        flop = 2.0 * n * k * oh * ow * (c // g) * kh * kw
        for which, goal in zip(("forward", "input", "weight"), goals):
            if goal is not None:
                reel = ("conv1 " if spec["one"] else "conv ") + " ".join(map(str, spec["dims"])) + " " + which
                out.append((f"{spec['name']}, {which}", goal, reel, lambda spec=spec, which=which: peer_conv(spec, which), flop))

    out.append(("seed CNN batch 128, training step", 0.5, "model cnn 128 train", lambda: peer_model("cnn", 128, True), 0))
    out.append(("seed CNN batch 128, forward", 0.5, "model cnn 128 forward", lambda: peer_model("cnn", 128, False), 0))
    out.append(("seed CNN batch 1, latency", 0.5, "model cnn 1 forward", lambda: peer_model("cnn", 1, False), 0))
    out.append(("STN batch 64, training step", 0.25, "model stn 64 train", lambda: peer_model("stn", 64, True), 0))
    out.append(("STN batch 64, forward", 0.25, "model stn 64 forward", lambda: peer_model("stn", 64, False), 0))
    for dims in ((128, 64, 26, 26, 64, 3, 3), (128, 64, 12, 12, 128, 3, 3), (128, 128, 10, 10, 128, 3, 3)):
        add_conv(conv(*dims), (0.5, 0.5, 0.5))
    add_conv(conv(16, 64, 56, 56, 64, 3, 3, pad=1), (0.5, 0.5, 0.5))
    add_conv(conv(16, 256, 14, 14, 256, 3, 3, pad=1), (0.5, 0.5, 0.5))
    add_conv(conv(16, 256, 14, 14, 256, 1, 1), (1.0, 1.0, 1.0))
    add_conv(conv(128, 1, 28, 28, 64, 3, 3), (0.7, 0.7, 0.7))
    add_conv(conv(8, 3, 224, 224, 64, 7, 7, stride=2, pad=3), (1.0, 0.3, 1.0))
    add_conv(conv(16, 128, 28, 28, 128, 3, 3, pad=1, groups=128), (1.0, 1.0, 1.0))
    add_conv(conv(8, 16, 64, 64, 16, 15, 15, pad=7), (0.3, 0.3, 0.05))
    add_conv(conv(8, 16, 64, 64, 16, 31, 31, pad=15), (0.03, 0.03, 0.03))
    add_conv(conv(8, 16, 64, 64, 16, 51, 51, pad=25), (0.01, 0.01, 0.01))
    add_conv(conv(1, 1, 1024, 1024, 1, 63, 63, pad=31), (0.005, None, None))
    add_conv(conv(1, 1, 1, 1000000, 1, 1, 4096, one=True), (0.03, None, None))
    add_conv(conv(16, 64, 1, 16000, 64, 1, 251, one=True), (0.1, None, None))
    for n, c, side, goal in ((64, 3, 224, 0.2), (64, 1, 28, 0.2), (16, 64, 56, 0.3)):
        for which in ("forward", "backward"):
            out.append((f"grid_sample {n}x{c}x{side}x{side}, {which}", goal, f"sample {n} {c} {side} {side} {which}",
                        lambda n=n, c=c, side=side, which=which: peer_sample(n, c, side, which), 0))
    out.append(("affine_grid 64x224x224", 0.2, "affine_grid", peer_affine, 0))
    out.append(("chain of 5 elementwise ops, 1e7", 0.1, "chain", lambda: peer_chain(False), 0))
    out.append(("chain of 5 elementwise ops, gradient", 0.1, "chain_grad", lambda: peer_chain(True), 0))
    for name in ("exp", "tanh", "gelu", "log", "pow"):
        out.append((f"{name}, 1e7", 0.5, name, lambda name=name: peer_unary(name), 0))
    out.append(("softmax 10000x1000", 0.5, "softmax", lambda: peer_unary("softmax"), 0))
    out.append(("layer_norm 10000x1000", 0.5, "layer_norm", lambda: peer_unary("layer_norm"), 0))
    for n, forward, backward in ((1024, 1.0, 1.0), (64, 1.0, 0.5)):
        out.append((f"matmul {n}, forward", forward, f"matmul {n}", lambda n=n: peer_matmul(n, False), 2.0 * n**3))
        out.append((f"matmul {n}, backward", backward, f"matmul_backward {n}", lambda n=n: peer_matmul(n, True), 4.0 * n**3))
    out.append(("y = y a + b on 4 elements x 1000, forward", 0.05, "tiny", lambda: peer_tiny(False), 0))
    out.append(("y = y a + b on 4 elements x 1000, with backward", 0.05, "tiny_backward", lambda: peer_tiny(True), 0))
    return out


# ---- the peer: each factory gives a list of (setting, function) to choose the best of ----


def both_layouts(make):
    import torch
    return [(name, make(fmt)) for name, fmt in (("", torch.contiguous_format), ("channels_last", torch.channels_last))]


def peer_conv(spec, which):
    import torch
    n, c, h, w, k, kh, kw, s, p, g = spec["dims"]
    one = spec["one"]

    def make(fmt):
        x = torch.randn(n, c, w) if one else torch.randn(n, c, h, w).to(memory_format=fmt)
        wt = torch.randn(k, c // g, kw) if one else torch.randn(k, c // g, kh, kw).to(memory_format=fmt)
        st, pd, dl = ([s], [p], [1]) if one else ([s, s], [p, p], [1, 1])

        def forward():
            with torch.no_grad():
                return torch.ops.aten.convolution(x, wt, None, st, pd, dl, False, [0] * len(st), g)

        if which == "forward":
            return forward
        y = forward()
        mask = [which == "input", which == "weight", False]
        return lambda: torch.ops.aten.convolution_backward(y, x, wt, None, st, pd, dl, False, [0] * len(st), g, mask)

    import torch
    return [("", make(None))] if one else both_layouts(make)


def peer_sample(n, c, side, which):
    import torch
    import torch.nn.functional as F
    x = torch.randn(n, c, side, side)
    theta = torch.tensor([[0.9, 0.2, 0.05], [-0.2, 0.9, -0.05]]).expand(n, 2, 3).contiguous()
    grid = F.affine_grid(theta, x.shape, align_corners=False)
    y = torch.randn(n, c, side, side)
    if which == "forward":
        return [("", lambda: F.grid_sample(x, grid, align_corners=False))]
    return [("", lambda: torch.ops.aten.grid_sampler_2d_backward(y, x, grid, 0, 0, False, [True, True]))]


def peer_affine():
    import torch
    theta = torch.rand(64, 2, 3)
    return [("", lambda: torch.nn.functional.affine_grid(theta, (64, 1, 224, 224), align_corners=False))]


def peer_chain(grad):
    import torch
    x, w, cot = (torch.rand(1, 10000000) for _ in range(3))
    f = lambda v: torch.relu(v * 2 + 1) * v - w
    if not grad:
        return [("", lambda: f(x))]
    x.requires_grad_(True)
    return [("", lambda: torch.autograd.grad(f(x), x, cot))]


def peer_unary(name):
    import torch
    x = torch.rand(10000, 1000) if name in ("softmax", "layer_norm") else torch.rand(10000000) + 0.1
    f = dict(exp=torch.exp, tanh=torch.tanh, gelu=torch.nn.functional.gelu, log=torch.log, pow=lambda v: torch.pow(v, 1.7),
             softmax=lambda v: torch.softmax(v, 1), layer_norm=lambda v: torch.nn.functional.layer_norm(v, (1000,)))[name]
    return [("", lambda: f(x))]


def peer_matmul(n, backward):
    import torch
    a, b, g = torch.randn(n, n), torch.randn(n, n), torch.randn(n, n)
    if not backward:
        return [("", lambda: a @ b)]
    a.requires_grad_(True), b.requires_grad_(True)
    y = a @ b
    return [("", lambda: torch.autograd.grad(y, (a, b), g, retain_graph=True))]


TINY = r"""
#include <torch/extension.h>
void tiny(torch::Tensor x, torch::Tensor a, torch::Tensor b, bool backward) {
  auto y = x;
  for (int i = 0; i < 1000; i++) y = y * a + b;
  if (backward) { pybind11::gil_scoped_release released; y.sum().backward(); x.mutable_grad() = torch::Tensor(); }
}
"""


def peer_tiny(backward):
    import torch
    from torch.utils.cpp_extension import load_inline
    tiny = load_inline("reel_tiny", TINY, functions=["tiny"], verbose=False).tiny
    x, a, b = torch.rand(4, requires_grad=True), torch.rand(4), torch.rand(4)
    return [("C++", lambda: tiny(x, a, b, backward))]


def peer_model(name, batch, train):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    class Stn(nn.Module):
        def __init__(self):
            super().__init__()
            self.loc = nn.Sequential(nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 10, 5), nn.MaxPool2d(2), nn.ReLU())
            self.fc_loc = nn.Sequential(nn.Linear(90, 32), nn.ReLU(), nn.Linear(32, 6))
            self.fc_loc[2].weight.data.zero_()
            self.fc_loc[2].bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
            self.conv1, self.conv2, self.drop = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5), nn.Dropout2d()
            self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

        def forward(self, x):
            theta = self.fc_loc(self.loc(x).reshape(-1, 90)).view(-1, 2, 3)
            x = F.grid_sample(x, F.affine_grid(theta, x.size(), align_corners=False), align_corners=False)
            x = F.relu(F.max_pool2d(self.conv1(x), 2))
            x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2)).reshape(-1, 320)
            x = F.dropout(F.relu(self.fc1(x)), training=self.training)
            return F.log_softmax(self.fc2(x), dim=1)

    class Cnn(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
                                      nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Conv2d(128, 128, 3), nn.ReLU())
            self.drop, self.fc = nn.Dropout(), nn.Linear(128, 10)

        def forward(self, x):
            return self.fc(self.drop(self.body(x).mean((2, 3))))

    def make(fmt):
        model = (Stn() if name == "stn" else Cnn()).to(memory_format=fmt)
        x, t = torch.randn(batch, 1, 28, 28).to(memory_format=fmt), torch.zeros(batch, dtype=torch.long)
        if not train:
            model.eval()

            def forward():
                with torch.inference_mode():
                    return model(x)
            return forward
        optim = torch.optim.SGD(model.parameters(), 0.01) if name == "stn" else torch.optim.Adam(model.parameters(), 1e-3)
        loss_of = F.nll_loss if name == "stn" else F.cross_entropy

        def step():
            optim.zero_grad()
            loss = loss_of(model(x), t)
            loss.backward()
            optim.step()
            return loss.item()
        return step

    return both_layouts(make)


# ---- the run ----


def seconds(f, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    return times


def repeats_for(one):
    return max(1, min(2000, int(0.25 / max(one, 1e-6))))


def run_row(bench, row, rounds):
    name, goal, reel_row, factory, flop = row

    def reel(repeats):
        bench.stdin.write(f"{reel_row} {repeats}\n")
        bench.stdin.flush()
        answer = bench.stdout.readline().split()
        if not answer or "error:" in answer:
            raise RuntimeError(" ".join(answer) or "reel_bench ended")
        return [float(a) for a in answer]

    settings = [(label, f, min(seconds(f, 3))) for label, f in factory()]
    label, f, one = min(settings, key=lambda s: s[2])
    first = min(reel(1))
    ours, theirs = [], []
    for _ in range(rounds):
        time.sleep(0.05)  # the peer's idle threads keep spinning for some milliseconds
        ours += reel(repeats_for(first))
        time.sleep(0.05)
        theirs += seconds(f, repeats_for(one))
    a, b = statistics.median(ours), statistics.median(theirs)
    return dict(row=name, reel_ms=a * 1e3, peer_ms=b * 1e3, ratio=a / b, goal=goal, met=a / b <= goal, peer_setting=label,
                gflops=flop / a / 1e9 if flop else None)


def peak_gflops(bench, threads):
    """6 x 64 x 128 fused multiply-adds, 4000 times, on every thread at once, by the best of some runs."""
    bench.stdin.write("peak 30\n")
    bench.stdin.flush()
    return threads * 2.0 * 6 * 64 * 128 * 4000 / min(map(float, bench.stdout.readline().split())) / 1e9


def svg(path, title, results):
    """A bar a row on a logarithmic axis of ratios, a mark at its goal."""
    import html, math
    rows, left, width, line = [r for r in results if "ratio" in r], 380, 900, 17
    low = math.floor(math.log10(min(min(r["ratio"], r["goal"]) for r in rows)))
    x = lambda v: left + (width - left - 20) * (math.log10(v) - low) / (math.log10(3) - low)
    height = 60 + line * len(rows)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="white"/><text x="10" y="20" font-size="14">{html.escape(title)}</text>']
    for v in [10.0 ** e for e in range(low, 1)]:
        out.append(f'<line x1="{x(v):.1f}" y1="32" x2="{x(v):.1f}" y2="{height - 20}" stroke="{"#888" if v == 1 else "#ddd"}"/>'
                   f'<text x="{x(v):.1f}" y="{height - 6}" text-anchor="middle">{v:g}</text>')
    for i, r in enumerate(rows):
        y, colour = 36 + line * i, "#2a7" if r["met"] else "#d72"
        out.append(f'<text x="{left - 6}" y="{y + 10}" text-anchor="end">{html.escape(r["row"])}</text>'
                   f'<rect x="{left}" y="{y}" width="{max(1.0, x(r["ratio"]) - left):.1f}" height="{line - 5}" fill="{colour}"/>'
                   f'<line x1="{x(r["goal"]):.1f}" y1="{y - 2}" x2="{x(r["goal"]):.1f}" y2="{y + line - 3}" stroke="black" stroke-width="2"/>')
    with open(path, "w") as file:
        file.write("\n".join(out + ["</svg>\n"]))


def process_rows(bench_path):
    """Figures of whole processes: memory of the seed CNN's training, and the smallest program."""
    def spawn(command):  # a small parent: a child's peak starts with what its parent had when it was made
        peak = os.path.join(os.path.dirname(bench_path), "reel_peak")
        answer = subprocess.run([peak] + command, capture_output=True, text=True, check=True).stdout.split()
        return float(answer[0]), float(answer[1]) / 1024, int(answer[2])
    step = "import sys; sys.path.insert(0, %r); import compare\nf = dict(compare.peer_model('cnn', 128, True))['channels_last']\nfor _ in range(10): f()" % HERE
    _, ours, _ = spawn([bench_path, "model cnn 128 train", "10"])
    _, theirs, _ = spawn([sys.executable, "-c", step])
    out = [dict(row="seed CNN training, peak resident memory (MB)", reel_ms=ours, peer_ms=theirs, ratio=ours / theirs, goal=0.33,
                met=ours / theirs <= 0.33)]
    hello = os.path.join(os.path.dirname(bench_path), "reel_hello")
    runs = [spawn([hello]) for _ in range(11)]
    peer = spawn([sys.executable, "-c", "import torch; x = torch.tensor(3., requires_grad=True); (x * x).backward(); print(x.grad)"])
    wall = statistics.median(r[0] for r in runs) * 1e3
    out.append(dict(row="hello world, wall time (ms)", reel_ms=wall, peer_ms=peer[0] * 1e3, ratio=wall / peer[0] / 1e3, goal=5 / 500, met=wall <= 5))
    out.append(dict(row="hello world, resident memory (MB)", reel_ms=runs[0][1], peer_ms=peer[1], ratio=runs[0][1] / peer[1], goal=10 / 159,
                    met=runs[0][1] <= 10))
    return out


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", default="", help="parts of row names, separated by commas; default: all")
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--json")
    options.add_argument("--svg")
    options.add_argument("--isa", default=os.environ.get("REEL_ISA", ""))
    options.add_argument("--bench", default=os.path.join(HERE, "..", "build", "bench", "reel_bench"))
    options.add_argument("--list", action="store_true")
    args = options.parse_args()
    wanted = [part for part in args.rows.split(",") if part]
    chosen = [row for row in rows() if not wanted or any(part in row[0] for part in wanted)]
    if args.list:
        print("\n".join(row[0] for row in rows()))
        return 0
    bench_path = os.path.abspath(args.bench)
    if not os.path.exists(bench_path):
        sys.exit(f"{bench_path} is not there: build it with cmake -S . -B build -DREEL_BENCH=ON && cmake --build build")
    import torch
    torch.set_num_threads(args.threads)
    print(f"PyTorch {torch.__version__}, {args.threads} threads, medians of {args.rounds} alternating rounds")
    env = dict(os.environ, OMP_NUM_THREADS=str(args.threads), **({"REEL_ISA": args.isa} if args.isa else {}))
    bench = subprocess.Popen([bench_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             env=env)
    results, peak = [], peak_gflops(bench, args.threads)
    print(f"register tiles: {peak:.0f} GFLOP/s on {args.threads} threads{', ' + args.isa if args.isa else ''}")
    print(f"{'row':58} {'Reel ms':>10} {'peer ms':>10} {'ratio':>8} {'goal':>7}  met  GFLOP/s  % of peak")

    def show(r):
        results.append(r)
        gflops = f"{r['gflops']:7.0f}  {100 * r['gflops'] / peak:9.0f}" if r.get("gflops") else ""
        print(f"{r['row']:58} {r['reel_ms']:10.3f} {r['peer_ms']:10.3f} {r['ratio']:8.4f} {r['goal']:7.3f}  {'yes' if r['met'] else 'no ':3}  {gflops}", flush=True)

    for row in chosen:
        try:
            show(run_row(bench, row, args.rounds))
        except Exception as error:
            print(f"{row[0]:58} failed: {error}", flush=True)
            results.append(dict(row=row[0], error=str(error), goal=row[1], met=False))
            if bench.poll() is not None:
                bench = subprocess.Popen([bench_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         env=env)
    bench.stdin.close()
    bench.wait()
    if not wanted or any("memory" in part or "hello" in part for part in wanted):
        for r in process_rows(bench_path):
            show(r)
    print(f"{sum(1 for r in results if r['met'])} of {len(results)} goals met")
    if args.svg:
        svg(args.svg, f"Reel's time over PyTorch {torch.__version__}'s, {args.threads} threads; marks are goals", results)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(results, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
