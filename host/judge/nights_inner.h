/* host/judge/nights_inner.h - what is known of the nights, shared by nights.c and nights_fit.c. */
#ifndef NS_JUDGE_NIGHTS_INNER_H
#define NS_JUDGE_NIGHTS_INNER_H

#include "host/judge/judge.h"

#define WINDOW	 180 /* nights that the usual is learnt from */
#define RECENT	 14
#define AVERAGES 3

struct ns_nights_night {
	double *x;
	int weekday, quiet;
};

struct ns_nights_list {
	struct ns_nights_night *night;
	int count, capacity;
};

struct ns_nights {
	struct ns_nights_config of;
	int k;				      /* columns */
	struct ns_nights_list usual, waiting; /* the first are learnt from, the others not yet */
	double *recent[RECENT];
	int recent_weekday[RECENT], recent_count;
	double *old; /* (old_count, k): residuals of earlier releases; NAN: none */
	int old_count;
	int64_t t, since;					  /* nights judged; since the last release */
	int opening;						  /* an undated pool's first month */
	double *mu, *b, *kept, *rho, *phi, *v, *e, *last, *known; /* (k); b and kept (7, k); e (AVERAGES, k); known: quiet nights with a value */
	double *pool;	      /* (k): 1 where the reference's pool is a night at 0; 0 in a release whose centre is that of its own nights */
	unsigned char *fresh; /* (k): nothing is known of it in this release yet: its first night is its centre, and is not judged by it */
	double *chol[NS_JUDGE_FAMILIES]; /* of the correlation, (d, d) below the diagonal */
	double df[NS_JUDGE_FAMILIES][2]; /* of F: of distances, and of steps */
	double quiet;			 /* quiet nights in the window */
	int has_last;
};

/* Learns what is usual from the quiet nights of the window, and what earlier releases left. */
enum ns_status ns_nights_fit(struct ns_nights *nights);
/* Variance of the mean of so many nights that remember each other, of one night's: 1 at most. */
double ns_nights_mean(const struct ns_nights *nights, int column, double count);
/* The same of the centre, which is the mean of the nights that are known. */
double ns_nights_centre(const struct ns_nights *nights, int column);

#endif
