/* SPDX-License-Identifier: MIT */
/* The ways to end a machine that are an architecture's alone: for end.c. */
#ifndef TEST_WAYS_H
#define TEST_WAYS_H

/* As end=WAY says; comes back where it does not know the way. */
void end_otherwise(void);

#endif
