/* SPDX-License-Identifier: Apache-2.0 */
/* Are the topics what the promise rests on? Asked once, at the start. */
#ifndef TOKEND_TOPICS_H
#define TOKEND_TOPICS_H

struct config;
struct err;

/* Requests, replies and journal have the configured number of partitions, and there is a dead-letter topic.
 * With topic_checks: strict also: all four are as base/topic_policy.h has it (what they only should be is
 * logged as a warning), and the dead-letter topic can be written to. Blocks for some seconds at most.
 * ERR_RETRY: the broker cannot be asked (yet); ERR_FATAL: something is wrong, in one sentence with its cure. */
int topics_check(const struct config *c, struct err *ret_err);

#endif
