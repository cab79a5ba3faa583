/* host/stat/quantile.c - the distributions of scales that were estimated: F and t, by the incomplete beta function; and the normal's quantile. */
#include "host/stat/stat.h"

#include <math.h>

/* I_x(a, b)'s continued fraction (Numerical Recipes 6.4, modified Lentz), for x < (a + 1) / (a + b + 2) */
static double fraction(double a, double b, double x)
{
	double c = 1, d = 1 - (a + b) * x / (a + 1), h, step;
	int m;

	d = 1 / (fabs(d) < 1e-300 ? 1e-300 : d);
	for (h = d, m = 1; m < 10000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));

		d = 1 / (1 + even * d);
		c = 1 + even / c;
		h *= d * c;
		d = 1 / (1 + odd * d);
		c = 1 + odd / c;
		step = d * c;
		h *= step;
		if (fabs(step - 1) < 1e-16)
			break;
	}
	return h;
}

double ns_stat_beta_cdf(double x, double a, double b)
{
	double front;

	if (!(x > 0))
		return 0;
	if (x >= 1)
		return 1;
	front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a : 1 - front * fraction(b, a, 1 - x) / b;
}

double ns_stat_f_sf(double x, double d1, double d2)
{
	return x <= 0 ? 1 : ns_stat_beta_cdf(d2 / (d2 + d1 * x), d2 / 2, d1 / 2);
}

double ns_stat_t_sf(double x, double df)
{
	double half = ns_stat_beta_cdf(df / (df + x * x), df / 2, .5) / 2;

	return x >= 0 ? half : 1 - half;
}

/* The x > 0 at which a falling function is p, by halving the interval of its logarithm. */
static double invert(double (*sf)(double x, double d1, double d2), double p, double d1, double d2)
{
	double low = -700, high = 700;
	int i;

	for (i = 0; i < 100; i++) {
		double middle = (low + high) / 2;

		if (sf(exp(middle), d1, d2) > p)
			low = middle;
		else
			high = middle;
	}
	return exp((low + high) / 2);
}

double ns_stat_f_isf(double p, double d1, double d2)
{
	return p >= 1 ? 0 : invert(ns_stat_f_sf, p, d1, d2);
}

static double t_sf(double x, double df, double unused)
{
	(void)unused;
	return ns_stat_t_sf(x, df);
}

double ns_stat_t_isf(double p, double df)
{
	return p == .5 ? 0 : p < .5 ? invert(t_sf, p, df, 0) : -invert(t_sf, 1 - p, df, 0);
}

/* Algorithm AS 241, PPND16 (Wichura 1988): relative error about 1e-16 */
double ns_stat_normal_quantile(double p)
{
	static const double a[] = {3.3871328727963666080e0,  1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
				   4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3};
	static const double b[] = {1,
				   4.2313330701600911252e+1,
				   6.8718700749205790830e+2,
				   5.3941960214247511077e+3,
				   2.1213794301586595867e+4,
				   3.9307895800092710610e+4,
				   2.8729085735721942674e+4,
				   5.2264952788528545610e+3};
	static const double c[] = {1.42343711074968357734e0, 4.63033784615654529590e0,	5.76949722146069140550e0,  3.64784832476320460504e0,
				   1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4};
	static const double d[] = {1,
				   2.05319162663775882187e0,
				   1.67638483018380384940e0,
				   6.89767334985100004550e-1,
				   1.48103976427480074590e-1,
				   1.51986665636164571966e-2,
				   5.47593808499534494600e-4,
				   1.05075007164441684324e-9};
	static const double e[] = {6.65790464350110377720e0,  5.46378491116411436990e0,	 1.78482653991729133580e0,  2.96560571828504891230e-1,
				   2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7};
	static const double f[] = {1,
				   5.99832206555887937690e-1,
				   1.36929880922735805310e-1,
				   1.48753612908506148525e-2,
				   7.86869131145613259100e-4,
				   1.84631831751005468180e-5,
				   1.42151175831644588870e-7,
				   2.04426310338993978564e-15};
	const double *top = a, *under = b;
	double q = p - .5, r, x = 0, y = 0;
	int i;

	if (!(p > 0) || p >= 1)
		return p <= 0 ? -INFINITY : p >= 1 ? INFINITY : NAN;
	if (fabs(q) <= .425) {
		r = .180625 - q * q;
	} else {
		r = sqrt(-log(q < 0 ? p : 1 - p));
		top = r <= 5 ? c : e;
		under = r <= 5 ? d : f;
		r -= r <= 5 ? 1.6 : 5;
	}
	for (i = 7; i >= 0; i--) {
		x = x * r + top[i];
		y = y * r + under[i];
	}
	return top == a ? q * x / y : q < 0 ? -x / y : x / y;
}
