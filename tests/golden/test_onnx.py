# SPDX-License-Identifier: Apache-2.0
"""Our ONNX files in onnxruntime, and exporters' files in ours: the same answers."""
import os
import pathlib
import subprocess

import numpy as np
import onnx
import pytest

import onnx_models

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = pathlib.Path(os.environ.get("SIGNLOOP_BUILD", ROOT / "build")) / "tests" / "golden" / "nn_tool"
LIMIT = 1e-4  # of the largest value, or of 1


def tool(*args):
    done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def ours(file, executor, precision, x, tmp_path):
    x.astype("<f4").tofile(tmp_path / "in.f32")
    tool("run", file, executor, precision, tmp_path / "in.f32", ",".join(map(str, x.shape)), tmp_path / "out.f32")
    return np.fromfile(tmp_path / "out.f32", "<f4")


def theirs(file, x):
    return onnx_models.runtime(pathlib.Path(file).read_bytes(), x)


def compare(want, have, limit=LIMIT):
    assert have.size == sum(w.size for w in want)
    at = 0
    for i, w in enumerate(want):
        part = have[at:at + w.size].reshape(w.shape)
        at += w.size
        worst = np.abs(part - w).max()
        assert worst <= limit * max(1.0, np.abs(w).max()), f"output {i}: off by {worst} of {np.abs(w).max()}"


@pytest.fixture(scope="session")
def nets(tmp_path_factory):
    d = tmp_path_factory.mktemp("nets")
    tool("nets", d)
    return d


@pytest.mark.parametrize("name,shape", [("detector", (2, 3, 96, 160)), ("detector_folded", (1, 3, 64, 32)),
                                        ("classifier", (3, 3, 48, 48)), ("classifier_folded", (1, 3, 48, 48))])
def test_our_files_in_onnxruntime(name, shape, nets, tmp_path):
    file = nets / f"{name}.onnx"
    onnx.checker.check_model(onnx.load(file), full_check=True)
    x = np.random.default_rng(5).normal(0, 1, shape).astype(np.float32)
    want = theirs(file, x)
    assert np.abs(want[0]).max() > 0.05
    for executor in ("ref", "dnnl"):
        compare(want, ours(file, executor, "f32", x, tmp_path))
        assert np.abs(want[0] - ours(file, executor, "f32", x, tmp_path).reshape(want[0].shape)).max() <= 1e-4


@pytest.mark.parametrize("name", sorted(onnx_models.MODELS))
def test_exporters_files_in_ours(name, tmp_path):
    model, shape = onnx_models.MODELS[name]()
    file, copied = tmp_path / "m.onnx", tmp_path / "copy.onnx"
    onnx.save(model, file)
    x = np.random.default_rng(7).normal(0, 1, shape).astype(np.float32)
    want = theirs(file, x)
    for executor in ("ref", "dnnl"):
        compare(want, ours(file, executor, "f32", x, tmp_path))
    tool("copy", file, copied)
    compare(want, np.concatenate([a.ravel() for a in theirs(copied, x)]))
    onnx.checker.check_model(onnx.load(copied))


def test_every_operator_is_in_a_model_or_ours():
    header = (ROOT / "src" / "nn" / "op.h").read_text()
    ops = set(part.split('"')[1] for part in header.split("X(")[2:] if '"' in part.split(")")[0])
    used = {n.op_type for make in onnx_models.MODELS.values() for n in make()[0].graph.node}
    assert ops - used == {"Upsample"}  # not in any opset that we read; we write it as Resize


def test_what_we_do_not_read_is_said(tmp_path):
    model, _ = onnx_models.MODELS["rest13"]()
    model.graph.node[0].op_type = "ConvTranspose"
    onnx.save(model, tmp_path / "m.onnx")
    done = subprocess.run([TOOL, "copy", tmp_path / "m.onnx", tmp_path / "o.onnx"], capture_output=True, text=True)
    assert done.returncode == 2 and "UNSUPPORTED" in done.stderr and "ConvTranspose" in done.stderr
    model, _ = onnx_models.MODELS["rest13"]()
    model.opset_import[0].version = 11
    onnx.save(model, tmp_path / "m.onnx")
    done = subprocess.run([TOOL, "copy", tmp_path / "m.onnx", tmp_path / "o.onnx"], capture_output=True, text=True)
    assert done.returncode == 2 and "opset 11" in done.stderr
