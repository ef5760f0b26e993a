// SPDX-License-Identifier: GPL-2.0-only
#include <openssl/crypto.h>

#include "stack.h"

/* FFTW puts buffers of up to 64 KiB there, and has frames of its own. */
#define DEPTH (192 << 10)

__attribute__((noinline)) void stack_wipe(void)
{
	char stack[DEPTH];

	OPENSSL_cleanse(stack, sizeof(stack));
}
