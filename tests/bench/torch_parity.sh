#!/usr/bin/env bash
# Our models in PyTorch and PyTorch's in ours: the same probabilities, f32, both directions, both blocks, both stems.
root=$(cd "$(dirname "$0")/../.." && pwd)
bench=$root/tests/bench
peer=$root/.venv-bench/bin/python
if ! "$peer" -c 'import torch, safetensors, h5py' 2>/dev/null; then
	echo "skipped: no PyTorch in .venv-bench; tests/bench/peers.sh installs it"
	exit 77
fi
NS_BUILD=${NS_BUILD:-$root/build}
. "$root/tests/jobs/lib.sh"
export PYTHONPATH=$bench PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1

"$images" idx grey 700 7 || fail images
"$images" png colour 300 8 || fail images
"$images" png fresh 150 9 || fail images
# several shards, and a last one that is no whole batch
quietly "$ns" ingest grey/images-idx3-ubyte --out data-grey --ingest.shard_rows=300
quietly "$ns" ingest colour --out data-colour --ingest.shard_rows=200
quietly "$ns" ingest fresh --out data-fresh

agrees() { # MODEL DATA
	rm -rf predictions
	quietly "$ns" infer --model "$1" --data "$2" --out predictions --infer.precision=f32
	"$peer" "$bench/load_in_torch.py" "$1/model.safetensors" "$1/model.json" predictions "$2" || fail "$1 in PyTorch"
	ok
}

# ours in PyTorch: trained, calibrated (a temperature other than 1)
train() { # NAME DATA KEY...
	local name=$1 data=$2
	shift 2
	quietly "$ns" train --data "$data" --out "$name" --registry registry --train.epochs=1 --train.precision=f32 "$@"
	echo -n "$name in PyTorch: "
	agrees "$name" "$data"
}
train grey-basic data-grey --model.blocks='[1, 1, 1]' --model.width=16
train colour-basic data-colour --model.blocks='[2, 1]' --model.width=8 --calibrate data-fresh
[ "$(field colour-basic/model.json temperature)" != 1.0 ] || fail "the temperature is 1: its division was not compared"
ok
train colour-bottleneck data-colour --model.block=bottleneck --model.blocks='[1, 2, 1]' --model.width=8 --model.stem=imagenet

# PyTorch's in ours: random weights and statistics, saved, started from, and used as they are
start() { # NAME DATA ARCHITECTURE KEY...
	local name=$1 data=$2 arch=$3
	shift 3
	"$peer" - "$name.safetensors" "$arch" <<-'END' || fail "saving $name"
		import json, sys, torch
		from resnet import ResNet
		from safetensors.torch import save_file
		torch.manual_seed(3)
		m = ResNet(json.loads(sys.argv[2]))
		for b in m.modules():
		    if isinstance(b, torch.nn.BatchNorm2d):
		        b.running_mean.normal_(0, 0.1), b.running_var.uniform_(0.5, 1.5)
		        torch.nn.init.uniform_(b.weight, 0.5, 1.5), torch.nn.init.normal_(b.bias, 0, 0.1)
		save_file(m.state_dict(), sys.argv[1])
	END
	# with a learning rate of 0 what is trained stays, bit for bit, and the running statistics follow the data
	quietly "$ns" train --data "$data" --out "$name" --registry registry --train.epochs=1 --train.lr=0 --train.ema=0 \
		--train.precision=f32 --model.from="$name.safetensors" "$@"
	"$peer" - "$name.safetensors" "$name/model.safetensors" <<-'END' || fail "$name: weights changed on the way"
		import sys
		from safetensors.torch import load_file
		a, b = (load_file(p) for p in sys.argv[1:])
		a = {k: v for k, v in a.items() if not k.endswith("num_batches_tracked")}
		sys.exit(a.keys() != b.keys() or any(not a[k].equal(b[k]) for k in a if "running" not in k))
	END
	ok
	echo -n "$name from PyTorch, a pass over the data: "
	agrees "$name" "$data"
	# and PyTorch's file as it is, under a model.json of ours
	mkdir "$name-as-is"
	cp "$name.safetensors" "$name-as-is/model.safetensors"
	"$peer" - "$name" "$name-as-is" <<-'END' || fail "$name: model.json"
		import hashlib, json, pathlib, sys
		old, new = map(pathlib.Path, sys.argv[1:])
		model = json.loads((old / "model.json").read_text())
		model["weights"] = hashlib.sha256((new / "model.safetensors").read_bytes()).hexdigest()
		(new / "model.json").write_text(json.dumps(model))
	END
	echo -n "$name from PyTorch, as it is: "
	agrees "$name-as-is" "$data"
}
start torch-basic data-grey '{"block": "basic", "blocks": [1, 1, 1], "width": 16, "stem": "small", "input": [28, 28, 1], "classes": 3}' \
	--model.blocks='[1, 1, 1]' --model.width=16
start torch-bottleneck data-colour \
	'{"block": "bottleneck", "blocks": [2, 1], "width": 8, "stem": "imagenet", "input": [32, 32, 3], "classes": 3}' \
	--model.block=bottleneck --model.blocks='[2, 1]' --model.width=8 --model.stem=imagenet

# the names and shapes are torchvision's, not only ours
if "$peer" -c 'import torchvision' 2>/dev/null; then
	"$peer" - <<-'END' || fail "names or shapes are not torchvision's"
		import sys, torchvision
		from resnet import ResNet
		shape = lambda m: {k: tuple(v.shape) for k, v in m.state_dict().items()}
		for name, block, blocks in ("resnet18", "basic", [2, 2, 2, 2]), ("resnet34", "basic", [3, 4, 6, 3]), ("resnet50", "bottleneck", [3, 4, 6, 3]):
		    arch = {"block": block, "blocks": blocks, "width": 64, "stem": "imagenet", "input": [224, 224, 3], "classes": 1000}
		    if shape(ResNet(arch)) != shape(getattr(torchvision.models, name)()):
		        sys.exit(name)
	END
	ok
else
	echo "not compared with torchvision's own: it is not installed"
fi
done_testing
