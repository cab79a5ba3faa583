# tests/slurm/lib.sh - a cluster, a small night and its comparison, for the tests beside it. Source it; then `begin NODES`.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$top/tests/jobs/lib.sh"
. "$top/tests/slurm/cluster.sh"
if missing=$(cluster_missing); then
	echo "SKIPPED: $missing"
	exit 77
fi
submit=$top/slurm/submit.sh
export NIGHTSHIFT=$ns SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(date +%s)

begin() { # a cluster of so many nodes; at the end nothing of it is left, in failure as well
	at_end() { cluster_down; }
	chmod 755 "$work" # munged wants to be reached
	cluster_up "$work/c" "$1" || fail "the cluster does not start: $(tail -n 5 "$work"/c/log/*.log)"
	echo "cluster: $1 nodes, $cluster_mode mode"
}

small_night() { # night.yaml in this folder, with its images and a site.conf; what is given goes into the site's profile
	"$images" idx train 2400 1 && "$images" idx test 400 2 || fail images
	printf 'augment:\n  - rotate: [40, 50]\n  - brightness: 0.4\n' >dark.yaml
	cat >night.yaml <<-'Y'
		registry: night/registry
		model: {blocks: [1, 1], width: 8}
		train: {epochs: 3, precision: f32, checkpoint_steps: 5}
		infer: {precision: f32}
		retrain: {replay: 400}
		drift: {permutations: 199}
		gate: {old_floor: -0.2, old_estimate: -0.1}
		ingest: {classes: [disc, square, stripes], shard_rows: 100}
		comm: {timeout: 6}
		night:
		  train: train/images-idx3-ubyte
		  test: test/images-idx3-ubyte
		  split: {train: 1200, reference: 400, quiet: 400, changed: 400}
		  audited: 200
		  tasks: 2
		  nights: [{name: quiet}, {name: changed, recipe: dark.yaml}]
	Y
	{
		cat "$top/slurm/site.conf"
		printf '%s\n' "$@"
	} >site.conf
}

# what a night published, by digest: all but times (run.json, records, pages with them); of the registry's log what
# was moved where. What a killed writer
# left in the registry under a temporary name is not published; gc takes it.
published() {
	(cd "$1" && find . -type f ! -name run.json ! -path './steps/*' ! -path './slurm/*' ! -name night.html ! -name summary.json \
		! -path './registry/log/*' ! -path './registry/*.tmp' | sort | xargs sha256sum && grep -v '"seconds"' summary.json)
}
same_night() { # A B
	diff <(published "$1") <(published "$2") >diff.log || { cat diff.log; fail "$1 and $2 differ"; }
	[ "$(published "$1" | wc -l)" -gt 100 ] || fail "$1: too few files were compared"
	[ -s "$2/run.json" ] || fail "$2 was not committed"
	ok
}
# the night to its end, or what became of it
finish() { # SECONDS
	cluster_wait "$1" || { squeue; fail "the night did not end in $1 s"; }
	[ -s night/run.json ] && return
	grep -h '"state": "\(failed\|blocked\|running\)"' -A1 night/steps/*.json | head
	tail -n 5 night/slurm/log/*.out | tail -n 80
	fail "the night was not committed"
}
