/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QKD_LINK_STACK_H
#define QKD_LINK_STACK_H

/* Overwrites what calls that are over have left on the stack of this thread. */
void stack_wipe(void);

#endif
