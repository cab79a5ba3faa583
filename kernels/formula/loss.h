/* kernels/formula/loss.h - what a row of focal loss is multiplied by (Lin et al. 2017, Focal Loss for Dense Object Detection). */
#ifndef NS_FORMULA_LOSS_H
#define NS_FORMULA_LOSS_H

#include "kernels/formula/inline.h"

/* (1 - p)^gamma, by the logarithm of p: the loss is this times -log p. */
NS_FORMULA double ns_focal(double log_p, double gamma)
{
	double p = exp(log_p);

	return p < 1 ? pow(1 - p, gamma) : 0;
}

/* And its gradient is this times (softmax - onehot): (1 - p)^gamma - gamma (1 - p)^(gamma - 1) p log p. */
NS_FORMULA double ns_focal_slope(double log_p, double gamma)
{
	double p = exp(log_p);

	return p < 1 ? pow(1 - p, gamma) - gamma * pow(1 - p, gamma - 1) * p * log_p : 0;
}

#endif
