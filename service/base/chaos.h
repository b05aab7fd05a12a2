/* SPDX-License-Identifier: Apache-2.0 */
/* Places where a test may kill or stop this process, and rules that a test may switch off, to see that somebody
 * notices.
 *
 * Only a build with -DTOKEND_CHAOS (FLAVOUR=chaos) has them; in all others both macros are nothing, chaos.c is not
 * compiled, and the environment is not asked.
 *
 *   TOKEND_CHAOS=kill:NAME[:N]  SIGKILL to itself at the Nth time (1) that place NAME is passed
 *                stop:NAME[:N]  SIGSTOP likewise; who sent it there lets it go on
 *                off:RULE       that rule is off: R1, R2, ...
 * joined by commas. TOKEND_CHAOS_LOG names a file to which "NAME\n" is appended before the signal, so that whoever
 * counts knows what was hit. A name that is not in the table, or a rule that is not, ends the process at its start. */
#ifndef TOKEND_BASE_CHAOS_H
#define TOKEND_BASE_CHAOS_H

#include <stdbool.h>

#ifdef TOKEND_CHAOS
/* Any thread. */
void chaos_point(const char *name);
bool chaos_off(const char *rule);
#define CHAOS_POINT(name) chaos_point(name)
#define RULE_OFF(rule) chaos_off(rule)
#else
#define CHAOS_POINT(name) ((void)0)
#define RULE_OFF(rule) false
#endif

/* The crash points of service/PROTOCOL.md: ROW(name, where). */
#define CHAOS_POINTS(ROW) \
	ROW("intent-queued",       "an attempt is begun, its INTENT is still to be written") \
	ROW("intent-written",      "the INTENT is at the broker, its transaction not committed") \
	ROW("intent-committing",   "the commit of an INTENT was asked for, its end is not known here") \
	ROW("intent-committed",    "the INTENT is committed, the POST has not left") \
	ROW("post-leaving",        "the POST is about to leave") \
	ROW("post-answered",       "the answer was read, nothing is written yet") \
	ROW("done-queued",         "the DONE is sealed and queued") \
	ROW("offsets-sent",        "offsets are in the transaction, no record is") \
	ROW("done-written",        "the DONE is at the broker, its transaction not committed") \
	ROW("done-committing",     "the commit of a DONE was asked for") \
	ROW("done-committed",      "the DONE is committed") \
	ROW("before-delete",       "a DELETE is about to leave") \
	ROW("after-delete",        "a DELETE came back") \
	ROW("restoring",           "a journal is being read") \
	ROW("replay-queued",       "a stored reply is queued again") \
	ROW("refusal-queued",      "the refusal of a record, or its dead letter, is queued") \
	ROW("sweeping",            "a list came back and is being gone through") \
	ROW("takeover",            "a dead owner's transaction is about to be fenced")

#endif
