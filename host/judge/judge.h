/*
 * host/judge/judge.h - judgement over nights. The night is the unit, not the image: what is usual is learnt from the nights themselves, and every
 * alarm has its share of one budget a year. Rules, constants and simulations: docs/judgement.md.
 */
#ifndef NS_JUDGE_H
#define NS_JUDGE_H

#include <stdint.h>

#include "kernels/status.h"

/*
 * --- nights: columns of effects, a value a night each: a signed number that is 0 with a deviation of 1 / sqrt(rows) where nothing happens, such as the mean
 * normal score of the night's rows in the reference. Columns come in families, which are tested each as a whole.
 *
 * A night's distance from the centre of the quiet nights, weekdays apart, is judged at four memories (tonight, exponential averages of .3 and .1,
 * and the step from last night), on scale, correlation and memory estimated from the nights, which are shrunk to cautious priors while they are few.
 */
#define NS_JUDGE_FAMILIES 8
#define NS_JUDGE_COLUMNS  64 /* of a family */
enum { NS_JUDGE_TONIGHT, NS_JUDGE_WEEK, NS_JUDGE_MONTH, NS_JUDGE_STEP, NS_JUDGE_MEMORIES };

struct ns_nights_config {
	int families, columns[NS_JUDGE_FAMILIES]; /* columns of each family */
	double rows;				  /* usual rows of a night */
	double budget;				  /* false alarms a year */
	int dated;				  /* the reference's nights are added first, by ns_nights_learn(): there is no undated pool */
};

struct ns_nights;

struct ns_nights_verdict {
	int alarm;
	unsigned families;				/* a bit for each that alarmed */
	double p[NS_JUDGE_FAMILIES][NS_JUDGE_MEMORIES]; /* NAN: not tested tonight */
	double q[NS_JUDGE_FAMILIES];			/* tonight's distance, squared: its rank among the nights describes, and decides nothing */
	double level;					/* of each: the budget's share; an alarm is p below it, and a distance of at least .1 */
	double unseen;					/* a change of all columns of the first family by less is not seen yet on its first night */
	int64_t known;					/* quiet nights that the usual was learnt from */
};

/* NS_NO_MEMORY. Also on failure *nights is to be freed. */
enum ns_status ns_nights_make(struct ns_nights **nights, const struct ns_nights_config *config);
void ns_nights_free(struct ns_nights *nights);
/* A dated night of the reference, in their order, before any night is judged. x: (columns); weekday 0 to 6. */
enum ns_status ns_nights_learn(struct ns_nights *nights, const double *x, int weekday);
/*
 * Tonight, in the order of nights. A column without a value (NAN) is left out. rows: tonight's; fewer than usual widen what is usual. gap: the night before has
 * no window.
 */
enum ns_status ns_nights_judge(struct ns_nights *nights, const double *x, double rows, int weekday, int gap, struct ns_nights_verdict *verdict);
/*
 * A new release, or an alarm that a person accepts: the centre is that of the last n nights (at most 14), scale and correlation are carried. keep (columns): 0
 * where those nights' values say nothing of the new release, such as another model's outputs; NULL: all do.
 */
enum ns_status ns_nights_renew(struct ns_nights *nights, int n, const unsigned char *keep);

/*
 * --- harm: the fall of accuracy that labels show, remembered over nights by two CUSUMs, tuned to falls of 5/3 and 5 times the tolerance. Harmful is
 * evidence against no fall within the budget, and an estimate since the change of at least the tolerance: to show by an interval that a fall of 5
 * points is more than 3 would take 1,700 labels.
 */
struct ns_harm_world {	     /* of one release: what the null of the CUSUMs is simulated from */
	double accuracy;     /* of the baseline */
	double spread;	     /* variance of the confidences over rows */
	double rows, labels; /* of a night */
	double baseline;     /* labels that the accuracy rests on */
	double tolerance;    /* a fall of less does no harm */
	double budget;	     /* false verdicts a year */
};

/*
 * Variance of a night's y by sampling alone: within, the mean of (hit - confidence)^2 over labelled rows; labels, their effective number,
 * (sum w)^2 / sum w^2.
 */
double ns_harm_noise(double within, double labels, double spread, double rows);
/* The threshold at which the simulated null alarms `budget` times a year, by so many years; day: deviation of accuracy's day effects. */
double ns_harm_threshold(const struct ns_harm_world *world, double day, int years, uint64_t seed);

#define NS_HARM_DAYS 4 /* deviations of day effects for which thresholds are simulated */

struct ns_harm { /* plain: may be kept and given back. Zeroed, and then ns_harm_begin() */
	struct ns_harm_world world;
	double threshold[NS_HARM_DAYS];
	double c[2];			     /* the CUSUMs */
	double weight[2], sum[2];	     /* of 1/v and y/v, since each was last 0 */
	double nights, mean, m2, noise;	     /* quiet nights with labels: of y by Welford, and the mean of w */
	double day;			     /* deviation of day effects, as estimated */
	double learnt, baseline, baseline_n; /* nights whose labels have joined a baseline of fewer than 1,000, as sum and number */
};

struct ns_harm_verdict {
	int harmful;
	double fall;	  /* estimated since the change that the larger CUSUM has found; NAN: there is none */
	double low, high; /* its 95 % interval */
	double evidence;  /* the larger CUSUM as a share of its threshold */
};

/* Simulates the thresholds that are not given: a second or two. */
void ns_harm_begin(struct ns_harm *harm, uint64_t seed);
/*
 * A night with labels. y: mean confidence of all rows + weighted mean of (hit - confidence) of labelled rows - the baseline's accuracy; w: as
 * of ns_harm_noise(); labels: how many join the baseline of a young release.
 */
void ns_harm_judge(struct ns_harm *harm, double y, double w, double labels, struct ns_harm_verdict *verdict);

/*
 * --- gate: b rows where the candidate alone is right, c where production alone is; one vote a sequence and an image. The mixture e-value over chances
 * of 1/2 to 1 against 1/2: e >= 20 may be looked at every night, and at most 1 of 20 equal candidates ever passes (Ville's inequality). Returns ln e.
 */
#define NS_GATE_EVIDENCE 20.
double ns_gate_evidence(int64_t b, int64_t c);
/*
 * The chance that rows seen once show a gain of accuracy with so much evidence (not its logarithm), where the models disagree on NS_GATE_OTHERS more rows
 * than the gain; and how many rows make it `chance` (at most NS_GATE_MOST).
 */
#define NS_GATE_OTHERS .05
#define NS_GATE_MOST   65536
double ns_gate_power(int64_t rows, double gain, double evidence);
int64_t ns_gate_rows_wanted(double gain, double chance, double evidence);

#endif
