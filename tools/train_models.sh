#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Trains the shipped bundle anew from the public data sets: tools/train_models.sh BUILD
# SIGNLOOP_DATASETS names the folder with gtsrb-train.tar.gz, gtsdb-train.tar.gz and tt100k-crops.tar.gz.
# About an hour on two cores. The same data and machine give the same nets.
set -eu
build=$1
data=${SIGNLOOP_DATASETS:?set SIGNLOOP_DATASETS to the folder of the data sets (docs/recipes.md)}
out=$build/models
mkdir -p "$out"
"$build/signloop" train classifier --data "gtsrb:$data/gtsrb-train.tar.gz" --out "$out/classifier.onnx"
"$build/signloop" train detector --data "gtsdb:$data/gtsdb-train.tar.gz" --data "gtsrb:$data/gtsrb-train.tar.gz" \
  --data "tt100k:$data/tt100k-crops.tar.gz" --out "$out/detector.onnx"
"$build/signloop" bundle make --name signs-de --detector "$out/detector.onnx" --classifier "$out/classifier.onnx" \
  --taxonomy taxonomy/de.json --card models/signs-de.md --out "$out/signs-de.bundle"
"$build/signloop" eval classifier --bundle "$out/signs-de.bundle" --data "gtsrb:$data/gtsrb-train.tar.gz" --part val --at-least 0.995
"$build/signloop" eval detector --bundle "$out/signs-de.bundle" --data "gtsdb:$data/gtsdb-train.tar.gz" --part val --at-least 0.95
"$build/signloop" eval bundle --bundle "$out/signs-de.bundle" --data "gtsdb:$data/gtsdb-train.tar.gz" --part val
echo "made $out/signs-de.bundle; copy it to models/ to ship it"
