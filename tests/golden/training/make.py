#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the cases numbered from 100: optimisers and settings beyond the first set. Needs torch and safetensors."""
import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
torch.set_default_dtype(torch.float64)


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                update = (beta1 * m + (1 - beta1) * p.grad).sign()
                p -= group["lr"] * (update + group["weight_decay"] * p)
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


def loss_of(A, b, p, r):
    return 0.5 * p @ A @ p - b @ p + 0.01 * ((1 - r[0]) ** 2 + 100 * (r[1] - r[0] ** 2) ** 2)


def text(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(repr(v) for v in value)
    return str(value)


def optimiser(name, number, make, settings, steps=10):
    torch.manual_seed(number)
    Q = torch.randn(5, 5)
    A, b = Q @ Q.T / 5 + torch.eye(5), torch.randn(5)
    p, r = torch.randn(5).requires_grad_(), torch.tensor([-1.2, 1.0]).requires_grad_()
    out = {"A": A, "b": b, "p0": p.detach().clone(), "r0": r.detach().clone()}
    optim = make([p, r], **settings)
    rows = {key: [] for key in ("traj_p", "traj_r", "grad_p", "grad_r", "loss", "evals")}

    def closure():
        optim.zero_grad()
        value = loss_of(A, b, p, r)
        value.backward()
        closure.calls += 1
        return value

    closure.calls = 0
    for step in range(steps + 1):
        value = closure()
        rows["traj_p"].append(p.detach().clone())
        rows["traj_r"].append(r.detach().clone())
        rows["loss"].append(value.detach())
        if step == steps:
            break
        rows["grad_p"].append(p.grad.clone())
        rows["grad_r"].append(r.grad.clone())
        closure.calls = 0
        if name == "lbfgs":
            optim.step(closure)
            rows["evals"].append(torch.tensor(closure.calls))
        else:
            optim.step()
    out.update({key: torch.stack(value) for key, value in rows.items() if value})
    in_force = {key: value for key, value in optim.defaults.items() if isinstance(value, (bool, int, float, str, tuple))}
    meta = {"op": "opt_" + name, "steps": str(steps), "torch": torch.__version__}
    meta.update({key: text(value) for key, value in in_force.items()})
    save_file(out, HERE / f"opt_{name}_{number}.safetensors", meta)


O = torch.optim
CASES = [
    ("sgd", O.SGD, [dict(lr=0.03, momentum=0.8, dampening=0.3, weight_decay=0.02), dict(lr=0.02, maximize=True),
                    dict(lr=0.02, momentum=0.9, nesterov=True, weight_decay=0.1)]),
    ("adam", O.Adam, [dict(lr=0.2, betas=(0.7, 0.9), weight_decay=0.1, amsgrad=True), dict(lr=0.1, betas=(0.0, 0.99)),
                      dict(lr=0.05, maximize=True), dict(lr=0.1, eps=0.1)]),
    ("adamw", O.AdamW, [dict(lr=0.2, weight_decay=0.5, betas=(0.5, 0.9)), dict(lr=0.1, weight_decay=0.0)]),
    ("nadam", O.NAdam, [dict(), dict(lr=0.1), dict(lr=0.1, momentum_decay=0.05, weight_decay=0.1),
                        dict(lr=0.05, betas=(0.8, 0.9), eps=1e-3)]),
    ("rmsprop", O.RMSprop, [dict(lr=0.02, momentum=0.5, centered=True, weight_decay=0.05), dict(),
                            dict(lr=0.02, momentum=0.9, alpha=0.8)]),
    ("adagrad", O.Adagrad, [dict(), dict(lr=0.3, lr_decay=0.2, weight_decay=0.05, initial_accumulator_value=0.5)]),
    ("adadelta", O.Adadelta, [dict(), dict(lr=0.5, rho=0.8, eps=1e-3), dict(rho=0.95, weight_decay=0.1)]),
    ("lion", Lion, [dict(), dict(lr=0.05, betas=(0.8, 0.9), weight_decay=0.1)]),
    ("lbfgs", O.LBFGS, [dict(line_search_fn="strong_wolfe", max_iter=20), dict(lr=0.3, max_iter=10, history_size=2),
                        dict(line_search_fn="strong_wolfe", lr=2, max_iter=7, history_size=3),
                        dict(line_search_fn="strong_wolfe", lr=0.01, max_iter=4, max_eval=30)]),
]

if __name__ == "__main__":
    for name, make, settings in CASES:
        for i, setting in enumerate(settings):
            optimiser(name, 100 + i, make, setting, steps=4 if name == "lbfgs" else 12)
