#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes data/train_*.bin: what PyTorch gets for the nets, losses and steps that src/nn/train does.

Needs torch (2.15 made the files in the tree). Weights and inputs come from PCG32 as base/rng.h has
it, so the files hold results only. Every result is computed in f64 and again in f32: the f64 one is
stored, with the distance of PyTorch's own f32 run from it, which is what a second f32 program may
be off by as well. Records: u32 length of name, name (NULs up to a multiple of 4), u32 count, f32 values; little endian.
"""
import math
import os
import struct
import sys

import torch
import torch.nn.functional as F

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
STEPS = 10
SEED = {"classifier": 9, "detector": 52}  # of the weights: far from kinks, see MARGIN
LR = 0.0005
SAMPLES = 16  # values kept of each tensor: the first of as many equal parts


class Pcg:
    def __init__(self, seed, stream):
        self.state, self.inc = 0, (stream << 1 | 1) & (1 << 64) - 1
        self.next()
        self.state = (self.state + seed) & (1 << 64) - 1
        self.next()

    def next(self):
        old = self.state
        self.state = (old * 6364136223846793005 + self.inc) & (1 << 64) - 1
        x = ((old >> 18 ^ old) >> 27) & 0xFFFFFFFF
        rot = old >> 59
        return (x >> rot | x << (-rot & 31)) & 0xFFFFFFFF

    def uniform(self, n, lo, hi):
        unit = torch.tensor([(self.next() >> 8) * 2.0**-24 for _ in range(n)], dtype=torch.float32)
        lo, hi = torch.tensor(lo, dtype=torch.float32), torch.tensor(hi, dtype=torch.float32)
        return lo + (hi - lo) * unit


class Net:
    """Parameters in the order in which layers are called, batch norm with batch statistics."""

    def __init__(self, seed, dtype, momentum):
        self.rng, self.dtype, self.momentum = Pcg(seed, 7), dtype, momentum
        self.p, self.stat, self.batch = {}, {}, {}

    def param(self, name, shape, lo, hi):
        if name not in self.p:
            v = self.rng.uniform(math.prod(shape), lo, hi).reshape(shape)
            self.p[name] = v.to(self.dtype).requires_grad_()
        return self.p[name]

    def conv(self, name, x, co, k, s=1, groups=1):
        a = math.sqrt(6.0 / (k * k * (1 if groups > 1 else co)))
        w = self.param(name + ".weight", (co, x.shape[1] // groups, k, k), -a, a)
        return F.conv2d(x, w, None, s, k // 2, 1, groups)

    def norm(self, name, x):
        c = x.shape[1]
        g = self.param(name + ".bn.gamma", (c,), 0.5, 1.5)
        b = self.param(name + ".bn.beta", (c,), -0.2, 0.2)
        for what, v in (("mean", 0.0), ("var", 1.0)):
            self.stat.setdefault(f"{name}.bn.{what}", torch.full((c,), v, dtype=self.dtype))
        return F.batch_norm(x, self.stat[name + ".bn.mean"], self.stat[name + ".bn.var"], g, b, True, self.momentum, 1e-5)

    def c(self, name, x, co, k=3, s=1):
        return relu(self.norm(name, self.conv(name, x, co, k, s)))

    def res(self, name, x):
        return relu(x + self.norm(name, self.conv(name, x, x.shape[1], 3)))

    def dw(self, name, x):
        c = x.shape[1]
        y = relu(self.norm(name + ".dw", self.conv(name + ".dw", x, c, 3, 1, c)))
        return relu(x + self.norm(name + ".pw", self.conv(name + ".pw", y, c, 1)))

    def lateral(self, name, x, co):
        return self.norm(name, self.conv(name, x, co, 1))


class Classifier(Net):
    def forward(self, x):
        x = self.c("c1", x, 16, 3, 2)
        x = self.c("c2", x, 32)
        x = self.c("c3", x, 48, 3, 2)
        x = self.res("r3", x)
        x = self.c("c4", x, 96, 3, 2)
        x = self.c("c5", x, 128, 3, 2)
        x = self.res("r5", x).mean((2, 3))
        w = self.param("fc.weight", (43, 128), -0.1, 0.1)
        b = self.param("fc.bias", (43,), -0.1, 0.1)
        return F.linear(x, w, b)


class Detector(Net):
    def forward(self, x):
        up = lambda v: F.interpolate(v, scale_factor=2, mode="nearest")
        s2 = self.c("s2", x, 16, 3, 2)
        c4 = self.dw("d4", self.c("c4", s2, 32, 3, 2))
        c8 = self.res("r8", self.c("c8", c4, 64, 3, 2))
        c16 = self.dw("d16", self.c("c16", c8, 96, 3, 2))
        c32 = self.dw("d32", self.c("c32", c16, 128, 3, 2))
        p = up(self.c("t32", c32, 64, 1))
        p = self.dw("p16", relu(self.lateral("l16", c16, 64) + p))
        p = self.dw("p8", relu(self.lateral("l8", c8, 64) + up(p)))
        l = self.lateral("l4", c4, 32)
        p = self.dw("p4b", self.dw("p4a", relu(l + up(self.c("t8", p, 32, 1)))))
        w = self.param("out.weight", (5, 32, 1, 1), -0.03, 0.03)
        b = self.param("out.bias", (5,), -1.5, 1.5)
        return F.conv2d(p, w, b)


def smooth_loss(z, label, smoothing):
    k = z.shape[1]
    want = torch.full_like(z, smoothing / k)
    want[torch.arange(len(label)), label] += 1 - smoothing
    return -(want * F.log_softmax(z, 1)).sum(1).mean()


def giou(p, t):
    iw = (torch.minimum(p[2], t[2]) - torch.maximum(p[0], t[0])).clamp(min=0)
    ih = (torch.minimum(p[3], t[3]) - torch.maximum(p[1], t[1])).clamp(min=0)
    inter = iw * ih
    union = (p[2] - p[0]) * (p[3] - p[1]) + (t[2] - t[0]) * (t[3] - t[1]) - inter
    hull = (torch.maximum(p[2], t[2]) - torch.minimum(p[0], t[0])) * (
        torch.maximum(p[3], t[3]) - torch.minimum(p[1], t[1]))
    return inter / union - (hull - union) / hull


def center_loss(out, targets):
    n, _, h, w = out.shape
    dt = out.dtype
    gy, gx = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    count = max(1, sum(not t[4] for ts in targets for t in ts))
    heat_sum, box_sum = torch.zeros((), dtype=dt), torch.zeros((), dtype=dt)
    for i, boxes in enumerate(targets):
        heat = torch.zeros(h, w, dtype=dt)
        centre = torch.zeros(h, w, dtype=torch.bool)
        nw = torch.ones(h, w, dtype=dt)
        q = torch.zeros(h, w, dtype=dt)
        tb = torch.zeros(4, h, w, dtype=dt)
        for x1, y1, x2, y2, ignored in sorted(boxes, key=lambda b: -(b[2] - b[0]) * (b[3] - b[1])):
            if ignored:
                nw[math.floor(y1 / 4):math.ceil(y2 / 4), math.floor(x1 / 4):math.ceil(x2 / 4)] = 0
                continue
            bw, bh = (x2 - x1) / 4, (y2 - y1) / 4
            cx, cy = math.floor((x1 + x2) / 8), math.floor((y1 + y2) / 8)
            sx, sy = 0.3 + 0.09 * bw, 0.3 + 0.09 * bh
            g = torch.exp(-((gx - cx) ** 2).to(dt) / (2 * sx * sx) - ((gy - cy) ** 2).to(dt) / (2 * sy * sy))
            heat = torch.maximum(heat, g)
            centre[cy, cx] = True
            rx, ry = max(1, math.floor(0.2 * bw)), max(1, math.floor(0.2 * bh))
            m = ((gx - cx).abs() <= rx) & ((gy - cy).abs() <= ry)
            part = (g + 0.05) * m
            q[m] = (part / part.sum())[m]
            tb[:, m] = torch.tensor([x1, y1, x2, y2], dtype=dt)[:, None]
        z = out[i, 0]
        p, logp, logr = torch.sigmoid(z), F.logsigmoid(z), F.logsigmoid(-z)
        pos = ((1 - p) ** 2 * logp)[centre].sum()
        neg = (nw * (1 - heat) ** 4 * p**2 * logr)[~centre].sum()
        heat_sum = heat_sum - pos - neg
        e = 4 * torch.exp(out[i, 1:].clamp(-3, 4))
        cx, cy = 4 * gx + 2, 4 * gy + 2
        pred = torch.stack([cx - e[0], cy - e[1], cx + e[2], cy + e[3]])
        hit = q > 0
        box_sum = box_sum + (q[hit] * (1 - giou(pred[:, hit], tb[:, hit]))).sum()
    return heat_sum / count, box_sum / count


LABELS = [(7 * i + 3) % 43 for i in range(4)]
BOXES = [
    [(10, 12, 34, 38, False), (20.5, 16, 48, 60, False), (40, 70, 62, 94, True), (0, 60, 12, 80, False)],
    [(3.25, 2, 60, 90, False), (28, 40, 40, 52, False), (50, 0, 64, 9, True)],
]
LOSS_BOXES = [
    [(10, 12, 34, 38, False), (14, 14, 30, 30, False), (60, 2, 127, 63, False), (0, 40, 20, 60, True)],
    [],
    [(100, 10, 128, 44, False), (97, 9, 129.5, 50, True)],
]


def adamw(net, m, v, t, lr, clip):
    total = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in net.p.values()))
    factor = min(1.0, clip / (total + 1e-6)) if clip else 1.0
    with torch.no_grad():
        for name, p in net.p.items():
            g = p.grad * factor
            if p.dim() >= 2:
                p.mul_(1 - lr * 0.02)
            m[name] = m.get(name, torch.zeros_like(p)) * 0.9 + 0.1 * g
            v[name] = v.get(name, torch.zeros_like(p)) * 0.99 + 0.01 * g * g
            p.sub_(lr / (1 - 0.9**t) * m[name] / (v[name].sqrt() / math.sqrt(1 - 0.99**t) + 1e-8))
    return total


MARGIN = [1e9]  # smallest |input| of a ReLU: below about 1e-6, f32 programs may disagree on its sign


def relu(x):
    MARGIN[0] = min(MARGIN[0], float(x.detach().abs().min()))
    return torch.relu(x)


def run(kind, dtype):
    """All results of STEPS steps as {name: f64 tensor}."""
    is_det = kind == "detector"
    net = (Detector if is_det else Classifier)(SEED[kind], dtype, 0.03 if is_det else 0.1)
    shape = (2, 3, 96, 64) if is_det else (4, 3, 48, 48)
    ret, m, v, ema = {}, {}, {}, {}
    for step in range(STEPS):
        x = Pcg(5, step).uniform(math.prod(shape), -1.5, 1.5).reshape(shape).to(dtype)
        MARGIN[0] = 1e9
        z = net.forward(x)
        if step == 0:
            print(kind, dtype, "smallest ReLU input of the first pass", MARGIN[0])
            ema = {k: t.detach().clone() for k, t in net.p.items()}
            ema |= {k: torch.full_like(t, 1.0 if k.endswith("var") else 0.0) for k, t in net.stat.items()}
        if is_det:
            heat, box = center_loss(z, BOXES)
            loss = heat + 2 * box
        else:
            loss = smooth_loss(z, LABELS, 0.05)
        for p in net.p.values():
            p.grad = None
        loss.backward()
        if step == 0:
            ret["out"] = z.detach()
            for k, p in net.p.items():
                ret["grad." + k] = p.grad.clone()
        norm = adamw(net, m, v, step + 1, LR, 10.0 if is_det else 0.0)
        ret[f"loss.{step}"], ret[f"norm.{step}"] = loss.detach(), torch.tensor(norm)
        d = min(0.998, (1 + step) / (10 + step))
        for k in ema:
            now = net.p[k].detach() if k in net.p else net.stat[k]
            ema[k] = d * ema[k] + (1 - d) * now
    ret |= {"weight." + k: p.detach() for k, p in net.p.items()}
    ret |= {"weight." + k: p for k, p in net.stat.items()}
    ret |= {"ema." + k: p for k, p in ema.items()}
    return {k: t.double().flatten() for k, t in ret.items()}


def losses(dtype):
    z = Pcg(21, 1).uniform(6 * 43, -4, 4).reshape(6, 43).to(dtype).requires_grad_()
    s = smooth_loss(z, [0, 5, 42, 17, 5, 30], 0.05)
    s.backward()
    o = Pcg(21, 2).uniform(3 * 5 * 16 * 32, -3.5, 4.5).reshape(3, 5, 16, 32).to(dtype).requires_grad_()
    heat, box = center_loss(o, LOSS_BOXES)
    (heat + 2 * box).backward()
    ret = {"smooth": s, "smooth.grad": z.grad, "heat": heat, "box": box, "center.grad": o.grad}
    return {k: t.detach().double().flatten() for k, t in ret.items()}


def schedules():
    at = [i / 200 for i in range(201)]
    cls = [0.004 * p / 0.1 if p < 0.1 else 0.002 * (1 + math.cos(math.pi * (p - 0.1) / 0.9)) for p in at]
    det = [0.004 * (0.5 * (1 + math.cos(math.pi * t)) + 0.002) * min(1, t / 0.04 + 0.01) for t in at]
    return {"classifier": torch.tensor(cls, dtype=torch.float64), "detector": torch.tensor(det, dtype=torch.float64)}


def sample(t, whole):
    n = t.numel()
    return t if whole or n <= SAMPLES else t[[i * n // SAMPLES for i in range(SAMPLES)]]


def write(path, exact, rough, whole=False):
    """Record "name": samples; "name.about": norm of the tensor, largest distance of the f32 run, relative
    distance of the f32 run in the norm of the difference."""
    with open(path, "wb") as f:
        def put(name, v):
            b = name.encode()
            b += bytes(-len(b) % 4)  # values stay aligned
            f.write(struct.pack("<I", len(b)) + b + struct.pack("<I", len(v)) + struct.pack(f"<{len(v)}f", *v))
        for k, t in exact.items():
            put(k, sample(t, whole).tolist())
            if rough is not None:
                off = rough[k] - t
                put(k + ".about", [float(t.norm()), float(off.abs().max()), float(off.norm())])
    print(path, os.path.getsize(path))


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    os.makedirs(HERE, exist_ok=True)
    for kind in ("classifier", "detector"):
        exact, rough = run(kind, torch.float64), run(kind, torch.float32)
        write(os.path.join(HERE, f"train_{kind}.bin"), exact, rough)
        worst = max((float((rough[k] - exact[k]).norm() / (exact[k].norm() + 1e-30)), k) for k in exact)
        print(kind, "f32 of PyTorch against f64, worst relative distance:", worst)
        for prefix in ("out", "grad.", "weight.", "ema.", "loss"):
            print("  ", prefix, max(float((rough[k] - exact[k]).norm() / (exact[k].norm() + 1e-30)) for k in exact if k.startswith(prefix)))
    write(os.path.join(HERE, "train_losses.bin"), losses(torch.float64), losses(torch.float32), whole=True)
    write(os.path.join(HERE, "train_schedules.bin"), schedules(), None, whole=True)


if __name__ == "__main__":
    sys.exit(main())
