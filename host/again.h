/* host/again.h - a system call that a signal interrupted is made again: that is no error of anybody's. */
#ifndef NS_AGAIN_H
#define NS_AGAIN_H

#include <errno.h>

#define NS_AGAIN(result, call)                                                                               \
	do {                                                                                                 \
		(result) = (call);                                                                           \
	} while ((result) < 0 && errno == EINTR)

#endif
