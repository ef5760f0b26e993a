// SPDX-License-Identifier: GPL-2.0-only
/*
 * What secrets leave on the stack below those who worked with them: an interrupt
 * keeps the registers in a frame there, and SHA-256 in assembly keeps the message
 * that it hashes, word by word. Nobody else wipes that.
 */
#include <linux/sizes.h>
#include <linux/string.h>

#include "core.h"

/* Wiped when the call comes back, so that each needs a frame of its own. */
static noinline void wipe_frames(u32 more)
{
	u8 frame[SZ_1K];

	if (more)
		wipe_frames(more - 1);
	memzero_explicit(frame, sizeof(frame));
}

/**
 * qkd_wipe_stack - wipe what was called before
 * @kib: how far down, in KiB: 1 after code that calls little, QKD_STACK_CRYPTO
 *	after the crypto API
 *
 * For the function that holds the secret, when it has wiped its own copies.
 *
 * Context: any.
 */
void qkd_wipe_stack(u32 kib)
{
	wipe_frames(kib - 1);
}
