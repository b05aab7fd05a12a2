/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's message says: why, for people; cut to its room. What is put into it is printable already. Any thread. */
#ifndef TOKEND_WORKERS_CALL_MESSAGE_H
#define TOKEND_WORKERS_CALL_MESSAGE_H

struct job;

/* An answer came, and the job has its verdict: the status in words and, unless NULL or empty, what is to be said of
 * it. */
void call_message_answer(struct job *job, const char *detail);

/* No answer came, or not all of it. */
void call_message_failure(struct job *job, const char *trouble);

#endif
