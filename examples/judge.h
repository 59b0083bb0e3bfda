/* SPDX-License-Identifier: MIT */
/*
 * The JSON lines of the judge's process link: requests and their replies,
 * orders and their results.  Only link_process.c includes this.
 */
#ifndef JUDGE_H
#define JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"

/* Waits for the first line and returns it; it stays readable. */
const char *judge_start_line(void);

/* Answers the first line: what this program is, and that it is there. */
void judge_ready(const struct link_program *me);

/*
 * Asks the judge for something, given as the keys of the request but for its
 * id, and waits for the reply.  False: refused, with the reason on stderr.
 */
__attribute__((format(printf, 1, 2))) bool judge_ask(const char *format, ...);

/* A number that must be in the first line, or in the reply to judge_ask. */
uint32_t judge_number(const char *key);

/* Takes in what stdin has; waits if it has nothing.  False: it has ended. */
bool judge_read(void);

/*
 * Takes the next order that judge_read or judge_ask took in, if there is one:
 * LINK_ORDERED, LINK_STOPPED or 0.  Refuses orders that make no sense, and,
 * with order NULL, all of them.
 */
unsigned judge_next_order(struct link_order *order);

#endif
