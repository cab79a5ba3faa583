/*
 * jobs/table.c - the verbs and the keys. The command line, YAML and --help are all made from these rows.
 * To add a key: one row, and the verb that reads it; never change a default (see ns_conf_nondefault()). A key without a help text is retired: it
 * is accepted, so that old configurations keep working, and a warning says that it has no effect.
 */
#include "jobs/verb.h"
#include "jobs/admin/admin.h"
#include "jobs/augment/augment.h"
#include "jobs/bench/bench.h"
#include "jobs/drift/drift.h"
#include "jobs/evaluate/evaluate.h"
#include "jobs/infer/infer.h"
#include "jobs/ingest/ingest.h"
#include "jobs/look/look.h"
#include "jobs/night/night.h"
#include "jobs/retrain/retrain.h"
#include "jobs/task/task.h"

#define V(verb)	  (1u << NS_VERB_##verb)
#define ANY	  ((1u << NS_VERBS) - 1)
#define PUBLISHES (ANY & ~(V(REGISTRY) | V(REPORT) | V(DOCTOR))) /* those that have an output directory */
#define NET	  (V(TRAIN) | V(NIGHT))
#define RUNS	  (V(AUGMENT) | V(TRAIN) | V(INFER) | V(DRIFT) | V(NIGHT) | V(DOCTOR) | V(BENCH))

const struct ns_verb ns_verbs[NS_VERBS] = {
	[NS_VERB_INGEST] = {"ingest", "SRC...", "images into shards: folders, archives, IDX pairs, lists of files", 1, ns_job_ingest},
	[NS_VERB_AUGMENT] = {"augment", "", "a data set through the fused augmentation into another", 1, ns_job_augment},
	[NS_VERB_TRAIN] = {"train", "", "train a network, data-parallel over ranks", 1, ns_job_train},
	[NS_VERB_INFER] = {"infer", "", "run a model over a data set", 1, ns_job_infer},
	[NS_VERB_EVALUATE] = {"evaluate", "", "accuracy with intervals; two predictions are compared in pairs", 1, ns_job_evaluate},
	[NS_VERB_DRIFT] = {"drift", "", "measure how far the data has shifted, and whether it does harm", 1, ns_job_drift},
	[NS_VERB_REGISTRY] = {"registry", "list|show|promote|rollback|log|verify|gc [NAME] [DIGEST]",
			      "models and other objects by digest, and the refs that point to them", 0, ns_job_registry},
	[NS_VERB_MERGE] = {"merge", "PARTS", "what the tasks of an array published (PARTS/00000 ...) as one result", 1, ns_job_merge},
	[NS_VERB_NIGHT] = {"night", "", "the whole chain on one machine", 1, ns_job_night},
	[NS_VERB_REPORT] = {"report", "", "draw the page of a night again from its JSON", 0, ns_job_report},
	[NS_VERB_DOCTOR] = {"doctor", "", "what this machine has: devices, libraries, MPI, file locking, free space", 0, ns_job_doctor},
	[NS_VERB_BENCH] = {"bench", "", "each part's speed as a share of its limit, measured in the same run", 1, ns_job_bench},
	[NS_VERB_LOOK] = {"look", "DATA", "what a data set is: rows, classes, files, duplicates, what is strange; with --out also as a page", 0,
			  ns_job_look},
};

const struct ns_key ns_keys[] = {
	{"seed", NULL, NS_KEY_INT, "1", ANY, "all randomness follows from it", 0, 4611686018427387904.0},
	{"device", NULL, NS_KEY_TEXT, "auto", RUNS, "auto, cuda, cpu or ref", 0, 0},
	{"threads", NULL, NS_KEY_INT, "0", ANY, "workers of each rank; 0: one a core that it may use", 0, 4096},
	{"registry", NULL, NS_KEY_TEXT, "registry", V(TRAIN) | V(INFER) | V(DRIFT) | V(REGISTRY) | V(NIGHT) | V(EVALUATE), "folder of the registry",
	 0, 0},
	{"out", NULL, NS_KEY_TEXT, "null", PUBLISHES, "where the result appears, whole or not at all", 0, 0},
	{"force", NULL, NS_KEY_BOOL, "false", PUBLISHES, "replace a published result", 0, 0},
	{"json", NULL, NS_KEY_BOOL, "false", ANY, "JSON lines even on a terminal", 0, 0},
	{"dry_run", "dry-run", NS_KEY_BOOL, "false", ANY, "print the configuration as it would be used, do nothing", 0, 0},
	{"exit_code", "exit-code", NS_KEY_BOOL, "false", V(DRIFT), "exit 1 when drift was found", 0, 0},
	{"comm.timeout", NULL, NS_KEY_REAL, "1800", ANY, "seconds until a rank that does not come to a collective call is an error; 0: never", 0,
	 1e9},
	{"part", NULL, NS_KEY_TEXT, "null", V(INGEST) | V(INFER), "I/N: only the I-th of N parts (from 0), for an array of jobs; see merge", 0, 0},
	{"data", NULL, NS_KEY_TEXT, "null", V(AUGMENT) | V(TRAIN) | V(INFER), "a data set: folder or shard", 0, 0},

	{"ingest.name", "name", NS_KEY_TEXT, "null", V(INGEST) | V(AUGMENT), "name of the data set; the folder's by default", 0, 0},
	{"ingest.classes", NULL, NS_KEY_NODE, "null", V(INGEST) | V(NIGHT), "class names in order; found and sorted by default", 0, 0},
	{"ingest.like", "like", NS_KEY_TEXT, "null", V(INGEST), "folder of a data set or a model: its classes, in its order", 0, 0},
	{"ingest.encoding", "encoding", NS_KEY_TEXT, "auto", V(INGEST), "auto, raw or encoded (as the files came)", 0, 0},
	{"ingest.size", "size", NS_KEY_TEXT, "null", V(INGEST) | V(NIGHT), "HxW or HxWxC: scale to it and store raw", 0, 0},
	{"ingest.orientation", NULL, NS_KEY_TEXT, "exif", V(INGEST) | V(NIGHT), "exif: images are turned upright as EXIF says; ignore: as stored", 0,
	 0},
	{"ingest.background", NULL, NS_KEY_TEXT, "none", V(INGEST) | V(NIGHT),
	 "behind what is transparent: none (alpha is dropped, as most loaders do), white, black or #rrggbb", 0, 0},
	{"ingest.max_pixels", NULL, NS_KEY_INT, "134217728", V(INGEST) | V(NIGHT), "an image of more is refused by its header", 1, 268435456},
	{"ingest.keep_gps", NULL, NS_KEY_BOOL, "false", V(INGEST) | V(NIGHT),
	 "keep where images were taken (EXIF, XMP): in files as they came, and as \"gps\" in the annotation", 0, 0},
	{"ingest.refuse_share", NULL, NS_KEY_REAL, "0.05", V(INGEST) | V(NIGHT),
	 "more refused images than this share are an error, unless they are ten or fewer", 0, 1},
	{"ingest.shard_rows", NULL, NS_KEY_INT, "16384", V(INGEST) | V(NIGHT), "at most so many images a shard (and 512 MiB, unless it is given)", 1,
	 16777216},
	{"ingest.follow", "follow", NS_KEY_TEXT, "null", V(INGEST),
	 "file that lists what was taken before: only what is new is taken, and added to it", 0, 0},
	{"ingest.group", NULL, NS_KEY_TEXT, "default", V(INGEST) | V(NIGHT), "slice that these images belong to (site, camera)", 0, 0},
	{"ingest.group_by", NULL, NS_KEY_TEXT, "null", V(INGEST) | V(NIGHT),
	 "member of the annotation (a column of a CSV) whose values are the slices, or camera: EXIF's; ingest.group where there is none", 0, 0},
	{"ingest.split", NULL, NS_KEY_NODE, "null", V(INGEST),
	 "{name: rows, ...}: several data sets from one keyed permutation, each row in one of them", 0, 0},
	{"ingest.splits", NULL, NS_KEY_TEXT, "auto", V(INGEST),
	 "auto: train, test and the like that the source has become sets of their own, unless --name or ingest.split is given; pool: one set; or one's name",
	 0, 0},
	{"ingest.labelled", NULL, NS_KEY_NODE, "null", V(INGEST), "{name: rows}: of this split only so many keep their label", 0, 0},

	{"model.family", NULL, NS_KEY_TEXT, "resnet", NET, "resnet", 0, 0},
	{"model.block", NULL, NS_KEY_TEXT, "basic", NET, "basic or bottleneck", 0, 0},
	{"model.blocks", NULL, NS_KEY_NODE, "[1, 1, 1, 1]", NET, "blocks in each stage", 0, 0},
	{"model.width", NULL, NS_KEY_INT, "16", NET, "channels of the first stage", 1, 4096},
	{"model.stem", NULL, NS_KEY_TEXT, "small", NET, "small (3x3) or imagenet (7x7, stride 2, pooled)", 0, 0},
	{"model.from", "from", NS_KEY_TEXT, "null", V(TRAIN), "start from: ref, digest, folder, or a .safetensors", 0, 0},
	{"model.input", NULL, NS_KEY_NODE, "null", NET, "[H, W, C]; the data set's by default", 0, 0},

	{"train.val", "val", NS_KEY_TEXT, "null", V(TRAIN), "data set to evaluate after each epoch", 0, 0},
	{"train.manifest", "manifest", NS_KEY_TEXT, "null", V(TRAIN), "retrain.json to execute", 0, 0},
	{"train.calibrate", "calibrate", NS_KEY_TEXT, "null", V(TRAIN), "data set for the temperature; never trained on", 0, 0},
	{"train.epochs", NULL, NS_KEY_INT, "5", NET, "passes over the data", 1, 100000},
	{"train.batch", NULL, NS_KEY_INT, "64", NET, "images a step, over all ranks", 2, 1048576},
	{"train.virtual_ranks", NULL, NS_KEY_INT, "4", NET, "parts of a batch, a power of two; fixes the bits", 1, 1024},
	{"train.collective", NULL, NS_KEY_TEXT, "auto", NET, "how GPUs meet: nccl, mpi (through the host), or auto", 0, 0},
	{"train.optimizer", NULL, NS_KEY_TEXT, "sgd", NET, "sgd or adamw", 0, 0},
	{"train.lr", NULL, NS_KEY_REAL, "null", NET, "highest learning rate; null: 0.1 for sgd, 0.001 for adamw", 0, 1000},
	{"train.momentum", NULL, NS_KEY_REAL, "0.9", NET, "of SGD; beta1 of AdamW", 0, 0.999999},
	{"train.beta2", NULL, NS_KEY_REAL, "0.999", NET, "of AdamW", 0, 0.99999999},
	{"train.nesterov", NULL, NS_KEY_BOOL, "true", NET, "Nesterov momentum", 0, 0},
	{"train.weight_decay", NULL, NS_KEY_REAL, "5.0e-4", NET, "", 0, 10},
	{"train.decay_all", NULL, NS_KEY_BOOL, "true", NET, "normalisation and bias decay too, as PyTorch has it", 0, 0},
	{"train.schedule", NULL, NS_KEY_TEXT, "cosine", NET, "cosine or constant", 0, 0},
	{"train.warmup_epochs", NULL, NS_KEY_REAL, "0.5", NET, "linear warm-up", 0, 1000},
	{"train.label_smoothing", NULL, NS_KEY_REAL, "0.0", NET, "", 0, 0.999},
	{"train.ema", NULL, NS_KEY_REAL, "0.99", NET, "average of weights over steps; 0: off", 0, 0.999999},
	{"train.clip", NULL, NS_KEY_REAL, "0.0", NET, "greatest norm of the gradient; 0: off", 0, 1e9},
	{"train.precision", NULL, NS_KEY_TEXT, "auto", NET, "auto (measured), f32 or bf16", 0, 0},
	{"train.checkpoint_steps", NULL, NS_KEY_INT, "200", NET, "a checkpoint every so many steps; 0: only when stopped", 0, 1000000000},
	{"augment", NULL, NS_KEY_NODE, "null", V(AUGMENT) | V(TRAIN) | V(NIGHT), "list of operations, see docs/augment.md", 0, 0},

	{"infer.model", "model", NS_KEY_TEXT, "production", V(INFER), "ref, digest or folder of a model", 0, 0},
	{"infer.batch", NULL, NS_KEY_INT, "256", V(INFER) | V(TRAIN) | V(NIGHT), "images at a time", 1, 4096},
	{"infer.precision", NULL, NS_KEY_TEXT, "auto", V(INFER) | V(NIGHT), "auto (measured), f32 or bf16", 0, 0},

	{"evaluate.predictions", "predictions", NS_KEY_TEXT, "null", V(EVALUATE), "predictions to judge", 0, 0},
	{"evaluate.against", "against", NS_KEY_TEXT, "null", V(EVALUATE), "others of the same rows, for a paired comparison", 0, 0},
	{"evaluate.rows", NULL, NS_KEY_TEXT, "all", V(EVALUATE), "all, or gate: the gate's half of the audited rows", 0, 0},

	{"drift.reference", "reference", NS_KEY_TEXT, "null", V(DRIFT), "predictions (or plain HDF5, .npy embeddings, a data set) of the reference",
	 0, 0},
	{"drift.current", "current", NS_KEY_TEXT, "null", V(DRIFT), "predictions (or plain HDF5, .npy embeddings, a data set) of the window to judge",
	 0, 0},
	{"drift.reference_data", "reference-data", NS_KEY_TEXT, "null", V(DRIFT), NULL, 0, 0},
	{"drift.current_data", "current-data", NS_KEY_TEXT, "null", V(DRIFT), "the window's images, for the page and the manifest", 0, 0},
	{"drift.replay_data", "replay-data", NS_KEY_TEXT, "null", V(DRIFT), "training data to replay when retraining", 0, 0},
	{"drift.alpha", NULL, NS_KEY_REAL, "0.05", V(DRIFT) | V(NIGHT), "level of all tests together", 0.0001, 0.5},
	{"drift.permutations", NULL, NS_KEY_INT, "999", V(DRIFT) | V(NIGHT), "of the MMD test", 19, 100000},
	{"drift.correction", NULL, NS_KEY_TEXT, "holm", V(DRIFT) | V(NIGHT), "holm or bh (Benjamini-Hochberg)", 0, 0},
	{"drift.min_effect", NULL, NS_KEY_REAL, "0.1", V(DRIFT) | V(NIGHT), "smallest effect that is material (KS distance)", 0, 1},
	{"drift.tolerance", NULL, NS_KEY_REAL, "0.03", V(DRIFT) | V(NIGHT), "fall of accuracy that is harm", 0, 1},
	{"drift.false_alarms", NULL, NS_KEY_REAL, "2", V(DRIFT) | V(NIGHT), "a year, of all kinds together, with a history", 0.01, 100},
	{"drift.policy", "policy", NS_KEY_TEXT, "null", V(DRIFT), "YAML with keys of drift:", 0, 0},
	{"drift.emit", NULL, NS_KEY_TEXT, "harmful", V(DRIFT) | V(NIGHT), "status that emits a manifest: harmful or material", 0, 0},
	{"drift.detectors", NULL, NS_KEY_NODE, "null", V(DRIFT) | V(NIGHT), "which of them, as [ks, chi2, mmd]; null: all", 0, 0},
	{"drift.projections", NULL, NS_KEY_INT, "0", V(DRIFT) | V(NIGHT),
	 "random projections of embeddings that are tested beside their principal components", 0, 512},
	{"drift.sequence_seconds", NULL, NS_KEY_REAL, "0", V(DRIFT) | V(EVALUATE) | V(NIGHT),
	 "rows of a group that follow within this belong together; 0: rows are independent", 0, 1e9},
	{"drift.self_test", NULL, NS_KEY_INT, "40", V(DRIFT) | V(NIGHT),
	 "random splits of the reference into two halves that are tested against each other; 0: none", 0, 10000},
	{"drift.slices", NULL, NS_KEY_BOOL, "true", V(DRIFT) | V(NIGHT), "look at each group and each predicted class by itself", 0, 0},
	{"drift.guarded", NULL, NS_KEY_NODE, "[]", V(DRIFT) | V(NIGHT), "slices whose harm is the window's: [group 3, class bag]", 0, 0},
	{"drift.history", NULL, NS_KEY_TEXT, "null", V(DRIFT) | V(NIGHT),
	 "folder of past windows, among which tonight is judged; for hysteresis and cool-down", 0, 0},
	{"drift.hysteresis", NULL, NS_KEY_INT, "1", V(DRIFT) | V(NIGHT), "windows in a row that must call for a manifest", 1, 100},
	{"drift.cooldown_days", NULL, NS_KEY_REAL, "0", V(DRIFT) | V(NIGHT), "days between two manifests", 0, 3650},
	{"drift.budget", NULL, NS_KEY_INT, "0", V(DRIFT) | V(NIGHT), "manifests in 30 days, at most; 0: any number", 0, 1000},
	{"drift.memory", NULL, NS_KEY_INT, "1024", V(DRIFT) | V(NIGHT),
	 "MiB of columns that a rank keeps at a time; fewer: more passes over the rows", 1, 1048576},
	{"drift.label", NULL, NS_KEY_TEXT, "null", V(DRIFT), "name of the window on the page", 0, 0},

	{"retrain.replay", NULL, NS_KEY_INT, "12000", V(DRIFT) | V(NIGHT), "old rows shown again", 0, 1000000000},
	{"retrain.audited_repeat", NULL, NS_KEY_INT, "4", V(DRIFT) | V(NIGHT), "times an epoch shows an audited row", 1, 64},
	{"retrain.confidence", NULL, NS_KEY_REAL, "0.9", V(DRIFT) | V(NIGHT), "least confidence of a label by the first round", 0.5, 1},
	{"retrain.epochs", NULL, NS_KEY_NODE, "[3, 4]", V(DRIFT) | V(NIGHT), "of the two rounds", 0, 0},
	{"retrain.lr", NULL, NS_KEY_REAL, "0.03", V(DRIFT) | V(NIGHT), "highest learning rate of both rounds", 0, 1000},
	{"retrain.labels", NULL, NS_KEY_INT, "30", V(DRIFT) | V(NIGHT), "labelled rows of a window that asks for a retraining, at least", 0, 1000000},
	{"gate.old_floor", NULL, NS_KEY_REAL, "-0.01", V(DRIFT) | V(NIGHT), "lower bound that the change on old images must keep", -1, 0},
	{"gate.old_estimate", NULL, NS_KEY_REAL, "-0.005", V(DRIFT) | V(NIGHT), "estimate that the change on old images must keep", -1, 0},

	{"night.train", NULL, NS_KEY_TEXT, "null", V(NIGHT), "images to begin with: an IDX file, folder, tar or list", 0, 0},
	{"night.test", NULL, NS_KEY_TEXT, "null", V(NIGHT), "old images that nothing is trained on", 0, 0},
	{"night.split", NULL, NS_KEY_NODE, "null", V(NIGHT), "{train: rows, reference: rows, NAME of each night: rows}", 0, 0},
	{"night.audited", NULL, NS_KEY_INT, "500", V(NIGHT), "rows of a night whose label a person gave", 0, 1000000000},
	{"night.nights", NULL, NS_KEY_NODE, "null", V(NIGHT),
	 "[{name: .., source: images, recipe: FILE.yaml}, ...]; without a source, rows of the split; a recipe changes them", 0, 0},
	{"night.prepared", NULL, NS_KEY_TEXT, "null", V(NIGHT), "the prepare/ of an earlier night: train, reference and test are there", 0, 0},
	{"night.show_rollback", NULL, NS_KEY_BOOL, "false", V(NIGHT), "after a promotion, roll back and forward once, to show it", 0, 0},
	{"night.tasks", NULL, NS_KEY_INT, "4", V(NIGHT), "under Slurm: tasks of the arrays for ingest and for the night's inference", 1, 1000},
	{"night.plan", "plan", NS_KEY_BOOL, "false", V(NIGHT), "print the steps as slurm/submit.sh submits them, do nothing", 0, 0},
	{"night.open", NULL, NS_KEY_BOOL, "false", V(NIGHT), "with --plan: begin the night's folder, so that its recipes are kept as they are", 0, 0},
	{"night.step", "step", NS_KEY_TEXT, "null", V(NIGHT), "do this step alone, if those before it are committed", 0, 0},
	{"night.task", "task", NS_KEY_INT, "-1", V(NIGHT), "of a step that is an array; Slurm's own by default", -1, 1000},

	{"registry.why", "why", NS_KEY_TEXT, "null", V(REGISTRY), "reason, kept in the log", 0, 0},
	{"registry.gc_hours", NULL, NS_KEY_REAL, "168", V(REGISTRY), "gc: spare what was written within so many hours; a job may be about to name it",
	 0, 1e6},
	{"registry.dry", NULL, NS_KEY_BOOL, "false", V(REGISTRY), "gc: only say what would go", 0, 0},
	{"report.night", "night", NS_KEY_TEXT, "null", V(REPORT), "folder of a night", 0, 0},
	{"bench.against", "against", NS_KEY_TEXT, "null", V(BENCH), "bench.json of another run, to compare with", 0, 0},
	{"bench.seconds", NULL, NS_KEY_REAL, "0.3", V(BENCH), "for each measurement", 0.01, 60},
	{"bench.only", "only", NS_KEY_TEXT, "null", V(BENCH), "measure only what has this in its name", 0, 0},
	{"bench.batch", NULL, NS_KEY_INT, "64", V(BENCH), "images a batch of whole networks; a multiple of 8", 8, 65536},
	{NULL, NULL, NS_KEY_INT, NULL, 0, NULL, 0, 0},
};
