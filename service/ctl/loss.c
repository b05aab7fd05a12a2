/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A #loss record (R11).
 *
 * It says three things to every later life of the partition: which journal this is from now on, which one it
 * replaces, so that the metadata that is still committed is understood, and since when: what was issued before
 * that moment may have been answered in what was lost. Its number is above all that was ever seen, so that nothing
 * older can pass for newer.
 */
#include "service/ctl/loss.h"

#include "service/base/arena.h"
#include "tokend/v1/journal.pb-c.h"

#define FORMAT 1

struct span
loss_value(const struct loss *l, struct arena *a)
{
	Tokend__V1__JournalRecord m = TOKEND__V1__JOURNAL_RECORD__INIT;
	struct loss copy = *l;          /* protobuf-c wants writable bytes */
	unsigned char *value;

	m.format = m.lowest_reader = FORMAT;
	m.state = TOKEND__V1__JOURNAL_STATE__LOSS;
	m.journal_id = (ProtobufCBinaryData){ JOURNAL_ID_BYTES, copy.journal_id };
	m.replaced_journal_id = (ProtobufCBinaryData){ JOURNAL_ID_BYTES, copy.replaced_id };
	m.seq = l->seq;
	m.loss_moment = l->moment;
	value = arena_alloc(a, tokend__v1__journal_record__get_packed_size(&m));
	return span_of(value, tokend__v1__journal_record__pack(&m, value));
}
