/* SPDX-License-Identifier: GPL-2.0-only */
/* A daemon that holds keys keeps itself, and them, from others. */
#ifndef COMMON_PRIVATE_H
#define COMMON_PRIVATE_H

/* No core dump, no swap, no files that others can read, no SIGPIPE. */
void withdraw(void);
/* A descriptor of a secret's file, or -1: it says why not. */
int open_private(const char *path);

#endif /* COMMON_PRIVATE_H */
