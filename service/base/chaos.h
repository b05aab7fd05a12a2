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
/* Once, before there are threads. */
void chaos_read(void);
/* Any thread. */
void chaos_point(const char *name);
void chaos_during(const char *name);
bool chaos_off(const char *rule);
#define CHAOS_READ() chaos_read()
#define CHAOS_POINT(name) chaos_point(name)
#define CHAOS_DURING(name) chaos_during(name)   /* some time in what follows */
#define RULE_OFF(rule) chaos_off(rule)
#else
#define CHAOS_READ() ((void)0)
#define CHAOS_POINT(name) ((void)0)
#define CHAOS_DURING(name) ((void)0)
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

/* What a process does with a rule off: ROW(rule, what). Whoever breaks a rule here says at which fault it tells. */
#define CHAOS_RULES(ROW) \
	ROW("R1", "offsets are committed in no generation's name, so no stale one is fenced: stop it while it has an " \
	    "answer (stop:post-answered) until another has answered, let it go on, and both replies stand") \
	ROW("R2", "a restore asks for an offset that pending transactions may still move, and stops where the journal " \
	    "can be read at once: kill the owner at done-committing while the broker is slow to end transactions") \
	ROW("R3", "a POST leaves however old its intent: stop it at intent-committed until another has closed the " \
	    "attempt and listed, let it go on, and a token nobody receives is created after that") \
	ROW("R4", "a token of whose attempt an instance knows nothing is deleted, and what an earlier life left open " \
	    "counts as closed: two instances that sweep are enough, for each deletes what the other delivered") \
	ROW("R5", "a commit that takes over a second counts as aborted, and its items are queued once more: hold the " \
	    "broker's answers back for two") \
	ROW("R7", "a POST whose connection died before an answer is sent again: an API that executes, and closes a " \
	    "connection that it has used before without a word") \
	ROW("R8", "what is decided is forgotten: send the same bytes again when they are answered, and a second token is " \
	    "made") \
	ROW("R10", "attempts of unknown fate are not counted: an API that never says what became of a POST") \
	ROW("R11", "a journal is worked on whatever the committed offset's metadata says: make the journal's topic anew, " \
	    "and what it held is answered once more")

#endif
