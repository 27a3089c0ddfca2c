#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ONNX files as exporters write them, small, with random weights: one in the way of YOLOv5's
export (open sizes, integers computed from shapes), and several that hold every other operator.

Run as a program it makes data/onnx_*.onnx with an input and onnxruntime's answers for them
(data/onnx_*.bin), which nn_golden_test.c compares with ours where no Python is at hand.
bin: f32 values, little endian: the input, then each output.
"""
import os
import sys

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")


class Maker:
    def __init__(self, seed, opset=13):
        self.rng = np.random.default_rng(seed)
        self.opset, self.nodes, self.weights, self.count = opset, [], [], 0

    def name(self):
        self.count += 1
        return f"t{self.count}"

    def const(self, value, dtype=np.float32, as_node=False):
        n, a = self.name(), np.asarray(value, dtype)
        if as_node:
            self.nodes.append(helper.make_node("Constant", [], [n], value=numpy_helper.from_array(a)))
        else:
            self.weights.append(numpy_helper.from_array(a, n))
        return n

    def listed(self, value, shape, kind):
        """A tensor as float_data, int64_data or int32_data instead of raw_data."""
        n = self.name()
        self.weights.append(helper.make_tensor(n, kind, shape, value))
        return n

    def ints(self, *v):
        return self.const(v, np.int64, as_node=True)

    def rand(self, *shape, scale=1.0):
        return self.const(self.rng.normal(0, scale, shape))

    def op(self, kind, *ins, out=None, outs=1, **attrs):
        names = [out] if out else [self.name() for _ in range(outs)]
        self.nodes.append(helper.make_node(kind, list(ins), names, name=f"{kind}_{len(self.nodes)}", **attrs))
        return names[0] if outs == 1 else names

    def conv(self, x, ci, co, k=1, s=1, group=1, bias=True, **attrs):
        ins = [x, self.rand(co, ci // group, k, k, scale=1 / np.sqrt(ci // group * k * k))]
        if bias:
            ins.append(self.rand(co, scale=0.3))
        p = k // 2
        attrs = {"kernel_shape": [k, k], "strides": [s, s], "pads": [p, p, p, p], "dilations": [1, 1], **attrs}
        return self.op("Conv", *ins, group=group, **attrs)

    def silu(self, x):
        return self.op("Mul", x, self.op("Sigmoid", x))

    def model(self, shape, outputs, rank=None):
        graph = helper.make_graph(
            self.nodes, "golden", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, rank and [None] * rank) for o in outputs], self.weights)
        m = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        m.ir_version = 8
        m = shape_inference.infer_shapes(m)  # the outputs' ranks
        checker.check_model(m)
        return m


def yolo(opset=13, classes=4):
    """Backbone, neck and heads of YOLOv5, narrow: SiLU, C3 with a residual, SPPF, upsampling, three-part heads."""
    m = Maker(1, opset)

    def block(x, ci, co, k=1, s=1):
        return m.silu(m.conv(x, ci, co, k, s))

    def c3(x, ci, co, shortcut=True):
        h = co // 2
        a, b = block(x, ci, h), block(x, ci, h)
        y = block(block(a, h, h), h, h, 3)
        if shortcut:
            y = m.op("Add", a, y)
        return block(m.op("Concat", y, b, axis=1), co, co)

    def sppf(x, c):
        x = block(x, c, c // 2)
        pools = [x]
        for _ in range(3):
            pools.append(m.op("MaxPool", pools[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2, 2, 2, 2], ceil_mode=0))
        return block(m.op("Concat", *pools, axis=1), c * 2, c)

    def focus(x):
        parts = []
        for dy, dx in ((0, 0), (1, 0), (0, 1), (1, 1)):
            y = m.op("Slice", x, m.ints(dy), m.ints(2**63 - 1), m.ints(2), m.ints(2))
            parts.append(m.op("Slice", y, m.ints(dx), m.ints(2**63 - 1), m.ints(3), m.ints(2)))
        return m.op("Concat", *parts, axis=1)

    def size(shape, axis):
        return m.op("Gather", shape, m.const(axis, np.int64), axis=0)

    def head(x, c, stride, anchors):
        no = classes + 5
        x = m.conv(x, c, 3 * no)
        shape = m.op("Shape", x)
        n, ny, nx = (size(shape, i) for i in (0, 2, 3))
        parts = [m.op("Unsqueeze", v, m.ints(0)) for v in (n, ny, nx)]
        view = m.op("Concat", parts[0], m.ints(3), m.ints(no), parts[1], parts[2], axis=0)
        y = m.op("Sigmoid", m.op("Transpose", m.op("Reshape", x, view), perm=[0, 1, 3, 4, 2]))
        xy, wh, rest = m.op("Split", y, m.ints(2, 2, classes + 1), outs=3, axis=4)
        zero, one = m.const(0, np.int64), m.const(1, np.int64)
        gx, gy = (m.op("Cast", m.op("Range", zero, v, one), to=TensorProto.FLOAT) for v in (nx, ny))
        grid_shape = m.op("Concat", m.ints(1), m.ints(1), parts[1], parts[2], m.ints(1), axis=0)
        gx = m.op("Expand", m.op("Reshape", gx, m.ints(1, 1, 1, -1, 1)), grid_shape)
        gy = m.op("Expand", m.op("Reshape", gy, m.ints(1, 1, -1, 1, 1)), grid_shape)
        grid = m.op("Sub", m.op("Concat", gx, gy, axis=-1), m.const(0.5))
        xy = m.op("Mul", m.op("Add", m.op("Mul", xy, m.const(2.0)), grid), m.const(float(stride)))
        wh = m.op("Mul", m.op("Pow", m.op("Mul", wh, m.const(2.0)), m.const(2.0)),
                  m.const(np.reshape(anchors, (1, 3, 1, 1, 2))))
        y = m.op("Concat", xy, wh, rest, axis=-1)
        return m.op("Reshape", y, m.op("Concat", parts[0], m.ints(-1), m.ints(no), axis=0))

    x = block(focus("x"), 12, 8, 3)
    x = c3(block(x, 8, 16, 3, 2), 16, 16)
    p3 = c3(block(x, 16, 16, 3, 2), 16, 16)
    p4 = sppf(block(p3, 16, 24, 3, 2), 24)
    t = block(p4, 24, 16)
    # PyTorch's upsampling: once by scales, once by a size computed from the shape
    up = m.op("Resize", t, "", m.const([1, 1, 2, 2]), mode="nearest", nearest_mode="floor",
              coordinate_transformation_mode="asymmetric")
    s = m.op("Shape", p3)
    hw = m.op("Cast", m.op("Slice", s, m.ints(2), m.ints(4), m.ints(0)), to=TensorProto.INT64)
    nc = m.op("Slice", m.op("Shape", t), m.ints(0), m.ints(2), m.ints(0))
    up2 = m.op("Resize", t, "", "", m.op("Concat", nc, hw, axis=0), mode="nearest", nearest_mode="floor",
               coordinate_transformation_mode="asymmetric")
    p3 = c3(m.op("Concat", m.op("Add", up, up2), p3, axis=1), 32, 16, shortcut=False)
    p4 = c3(m.op("Concat", block(p3, 16, 16, 3, 2), t, axis=1), 32, 24, shortcut=False)
    a = head(p3, 16, 8, [[10, 13], [16, 30], [33, 23]])
    b = head(p4, 24, 16, [[30, 61], [62, 45], [59, 119]])
    out = m.op("Concat", a, b, axis=1, out="output")
    return m.model(["n", 3, "h", "w"], [out], rank=3), (2, 3, 64, 96)


def classic(opset=13):
    """What torchvision's older nets need, batch norms unfolded and not always after a convolution."""
    m = Maker(2, opset)

    def bn(x, c):
        return m.op("BatchNormalization", x, m.rand(c), m.rand(c), m.rand(c), m.const(m.rng.uniform(0.3, 2, c)),
                    epsilon=1e-3)

    x = m.op("Relu", bn(m.conv("x", 3, 12, 7, 2, bias=False), 12))
    x = m.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    y = bn(m.conv(m.op("Relu", bn(m.conv(x, 12, 12, 3, bias=False), 12)), 12, 12, 3, bias=False), 12)
    x = m.op("Relu", m.op("Add", y, x))
    x = m.op("Concat", x, m.conv(m.op("Relu", bn(x, 12)), 12, 8, 3, bias=False), axis=1)  # DenseNet
    x = m.op("LeakyRelu", m.conv(x, 20, 20, 3, group=20), alpha=0.1)
    x = m.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    x = m.op("Clip", m.conv(x, 20, 16, 3), m.const(0.0), m.const(6.0))
    gate = m.op("HardSigmoid", m.conv(m.op("GlobalAveragePool", x), 16, 16), alpha=1 / 6, beta=0.5)  # squeeze-excite
    x = m.op("Mul", x, gate)
    if opset >= 14:
        x = m.op("HardSwish", x)
    x = m.op("Pad", x, m.ints(0, 0, 1, 0, 0, 0, 2, 1), m.const(0.5), mode="constant")
    x = m.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    a = m.op("ReduceMean", x, axes=[2, 3], keepdims=0)
    b = m.op("Flatten", m.op("GlobalAveragePool", x))
    f = m.op("Concat", a, b, axis=1)
    f = m.op("Dropout", f)
    f = m.op("Relu", m.op("Gemm", f, m.rand(24, 32, scale=0.3), m.rand(24), transB=1))
    f = m.op("Gemm", f, m.rand(24, 5, scale=0.3), m.rand(5), alpha=0.5, beta=2.0)
    return m.model([None, 3, 45, 51], [m.op("Softmax", f, out="p"), m.op("Identity", f, out="logits")]), (2, 3, 45, 51)


def rest(opset=13):
    """The operators that are left, and tensors stored in every way."""
    m = Maker(3, opset)
    c = 6
    x = m.conv("x", 3, c, 3)
    lists = m.op("Add", x, m.listed([0.1 * i for i in range(c)], [c, 1, 1], TensorProto.FLOAT))
    lists = m.op("Mul", lists, m.const(np.arange(1, c + 1).reshape(c, 1, 1)))
    half = m.name()
    m.weights.append(numpy_helper.from_array(np.array([0.5, -2.0, 6e-8, 65504.0], np.float16), half))
    halves = m.op("Cast", half, to=TensorProto.FLOAT)
    y = m.op("Tanh", lists)
    y = m.op("Exp", m.op("Sub", y, m.const(1.0)))
    y = m.op("Sqrt", m.op("Div", y, m.const(m.rng.uniform(1, 2, (1, c, 1, 1)))))
    y = m.op("Resize", y, "", m.const([1, 1, 2, 3]), mode="linear", coordinate_transformation_mode="half_pixel")
    y = m.op("Resize", y, "", m.const([1, 1, 0.5, 0.7]), mode="linear", coordinate_transformation_mode="align_corners")
    z = m.op("Resize", x, "", "", m.ints(1, c, 15, 31), mode="nearest", nearest_mode="round_prefer_floor",
             coordinate_transformation_mode="half_pixel")
    z = m.op("Resize", z, "", m.const([1, 1, 3, 1]), mode="nearest", nearest_mode="ceil",
             coordinate_transformation_mode="asymmetric")
    z = m.op("MaxPool", z, kernel_shape=[3, 2], strides=[2, 2], dilations=[2, 1], pads=[1, 0, 2, 1], ceil_mode=1)
    t = m.op("Transpose", y, perm=[0, 2, 3, 1])
    mm = m.op("MatMul", t, m.rand(c, 7))
    mm = m.op("MatMul", m.op("Transpose", mm, perm=[0, 1, 3, 2]), mm)
    sq = m.op("Squeeze", m.op("GlobalAveragePool", mm), m.ints(2, 3))
    un = m.op("Unsqueeze", sq, m.ints(0, -1))
    ex = m.op("Expand", un, m.op("Concat", m.ints(1), m.op("Shape", sq), m.listed([4], [1], TensorProto.INT64), axis=0))
    fill = m.op("ConstantOfShape", m.op("Shape", ex), value=numpy_helper.from_array(np.array([0.25], np.float32)))
    ex = m.op("Add", ex, fill)
    g = m.op("Gather", z, m.const([[0, -1], [2, 1]], np.int64), axis=1)
    sl = m.op("Slice", z, m.ints(-1, 5), m.ints(-2**63, 1), m.ints(3, 2), m.ints(-2, -1))
    pads = [m.op("Pad", x, m.ints(0, 0, 2, 1, 0, 0, 1, 3), mode=k) for k in ("reflect", "edge")]
    parts = m.op("Split", pads[0], outs=2, axis=1)
    sm = m.op("Softmax", m.op("Sub", parts[0], parts[1]), axis=1)
    powr = m.op("Pow", m.op("Sigmoid", pads[1]), m.const(1.7))
    fl = m.op("Flatten", powr, axis=2)
    outs = [m.op("Identity", v, out=n) for n, v in
            (("y", y), ("z", z), ("mm", mm), ("ex", ex), ("g", g), ("sl", sl), ("sm", sm))]
    outs.append(m.op("Mul", fl, m.op("ReduceMean", halves, keepdims=1), out="fl"))
    return m.model([1, 3, 10, 14], outs), (1, 3, 10, 14)


MODELS = {
    "yolo13": lambda: yolo(13),
    "yolo17": lambda: yolo(17),
    "classic13": lambda: classic(13),
    "classic15": lambda: classic(15),
    "rest13": lambda: rest(13),
    "rest16": lambda: rest(16),
}


def runtime(model_bytes, x):
    import onnxruntime
    s = onnxruntime.SessionOptions()
    s.log_severity_level = 3
    s.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model_bytes, s, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


def main():
    for name in ("yolo13", "classic15", "rest13"):
        model, shape = MODELS[name]()
        shape = (1, 3, 32, 64) if name == "yolo13" else shape
        x = np.random.default_rng(7).normal(0, 1, shape).astype(np.float32)
        path = os.path.join(HERE, f"onnx_{name}")
        with open(path + ".onnx", "wb") as f:
            f.write(model.SerializeToString())
        with open(path + ".bin", "wb") as f:
            for a in [x] + runtime(model.SerializeToString(), x):
                f.write(a.astype("<f4").tobytes())
        print(path, [list(shape)], os.path.getsize(path + ".onnx"), os.path.getsize(path + ".bin"))


if __name__ == "__main__":
    sys.exit(main())
