/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a journal that went backwards or cannot be read is never worked on, until an operator has accepted the
 * loss; and then nothing is believed that may have been lost (R11, I12). A test per clause of the rule. */
#include "tests/unit/fixture_journal.h"

#include <stdio.h>

#include "service/base/durations.h"
#include "service/ctl/loss.h"
#include "tokend/v1/journal.pb-c.h"

/* What tells a journal's lives apart: by their first byte. */
enum { FIRST = 1, NEW = 2 };
#define LOST_AT 1700000000
#define INTENT TOKEND__V1__JOURNAL_STATE__INTENT
#define DONE TOKEND__V1__JOURNAL_STATE__DONE

static struct arena bytes;              /* of all records made here */

static struct span
record(unsigned char id, uint64_t seq, Tokend__V1__JournalState state, int64_t offset, unsigned char digest)
{
	Tokend__V1__JournalRecord r = TOKEND__V1__JOURNAL_RECORD__INIT;
	unsigned char *value, ids[16] = { id }, digests[32] = { digest };

	r.format = r.lowest_reader = 1;
	r.state = state;
	r.seq = seq;
	r.offset = offset;
	r.journal_id = (ProtobufCBinaryData){ sizeof ids, ids };
	r.request_digest = r.fingerprint = (ProtobufCBinaryData){ sizeof digests, digests };
	value = arena_alloc(&bytes, tokend__v1__journal_record__get_packed_size(&r));
	return span_of(value, tokend__v1__journal_record__pack(&r, value));
}

static struct span
loss(unsigned char id, unsigned char replaced, uint64_t seq)
{
	Tokend__V1__JournalRecord r = TOKEND__V1__JOURNAL_RECORD__INIT;
	unsigned char *value, ids[16] = { id }, replaced_ids[16] = { replaced };

	r.format = r.lowest_reader = 1;
	r.state = TOKEND__V1__JOURNAL_STATE__LOSS;
	r.seq = seq;
	r.loss_moment = LOST_AT;
	r.journal_id = (ProtobufCBinaryData){ sizeof ids, ids };
	r.replaced_journal_id = (ProtobufCBinaryData){ sizeof replaced_ids, replaced_ids };
	value = arena_alloc(&bytes, tokend__v1__journal_record__get_packed_size(&r));
	return span_of(value, tokend__v1__journal_record__pack(&r, value));
}

static const char *
metadata(unsigned char id, uint64_t seq)
{
	return arena_text(&bytes, "tokend/1 %02x%030d %llu %lld a/b/c", id, 0, (unsigned long long)seq,
	    (long long)clock_wall_ms());
}

/* ---- a journal's story, and how it is judged --------------------------------------------------------------------- */

/* "1:5 #2<1:9 2:10": records of journal id 1 with seq 5, a #loss that makes 1 into 2, ... "1:?7": one that cannot
 * be read. Each at the next offset from 20 on. */
static struct journal *
story(const char *text)
{
	struct journal *j = journal_new(PARTITION, &config, 0);
	int64_t at = 20;

	for (const char *p = text; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
		unsigned id = 0, replaced = 0, seq = 0;

		if (sscanf(p, "#%u<%u:%u", &id, &replaced, &seq) == 3)
			journal_remember(j, span_str("#loss"), loss((unsigned char)id, (unsigned char)replaced, seq),
			    at++);
		else if (sscanf(p, "%u:%u", &id, &seq) == 2)
			journal_remember(j, span_str("#3:1"), record((unsigned char)id, seq, DONE, 1, 0), at++);
		else
			journal_remember(j, span_str("#3:1"), span_str("\xff\xff"), at++);
	}
	return j;
}

/* Whatever was wrong with it: what tokenctl journal accept-loss writes behind it makes it good. */
static void
assert_healed(const char *what, const char *records, const struct journal_found *f, const struct journal_past *past)
{
	struct loss l = { .journal_id = { 9 }, .seq = past->seq + 1, .moment = LOST_AT };
	struct journal *j = story(records);
	char text[OFFSET_METADATA_ROOM];
	struct err e;
	int64_t start;

	memcpy(l.replaced_id, past->id, sizeof l.replaced_id);
	journal_remember(j, span_str(JOURNAL_LOSS_KEY), loss_value(&l, &bytes), 29);
	if (journal_open(j, f, &start, &e) != 0)
		fail_msg("%s, and healed: %s", what, e.text);
	assert_int_equal(journal_seq(j), past->seq + 1);
	assert_int_equal(journal_loss_offset(j), 29);
	journal_metadata(j, 1, 17, "a/b/c", text);
	assert_int_equal(strncmp(text, "tokend/1 0900", 13), 0);
	journal_free(j);
}

static void
test_stories(void **state)
{
	const struct {
		const char *what, *records;
		const char *committed;          /* the metadata, "id:seq"; "": none of ours; NULL: no offset */
		int64_t offset;                 /* the request log reaches from 10 to 100 */
		const char *refused;            /* part of the sentence; NULL: opens */
		int64_t start;
	} rows[] = {
		{ "whole", "1:5 1:6", "1:6", 50, NULL, 50 },
		{ "ahead of the commit", "1:5 1:6", "1:5", 50, NULL, 50 },
		{ "its end is missing", "1:5 1:6", "1:7", 50, "ends with record 6, but 7 was committed", 0 },
		{ "empty", "", "1:7", 50, "the journal is empty, but offset 50 was committed with its record 7", 0 },
		{ "another one", "2:9", "1:7", 50, "another one than offset 50 was committed with", 0 },
		{ "two in one", "1:5 2:9", "2:9", 50, "record 3@21 belongs to another journal", 0 },
		{ "two in one, nothing committed", "1:5 2:9", NULL, 0, "record 3@21 belongs to another journal", 0 },
		{ "a record that cannot be read", "1:5 ? 1:6", "1:6", 50, "record 3@21: cannot be decoded", 0 },
		{ "no metadata of ours", "1:5", "", 50, "offset 50 carries no metadata of ours", 0 },
		{ "offset below the log", "1:5", "1:5", 9, "outside the request log (10 to 100)", 0 },
		{ "offset above the log", "1:5", "1:5", 101, "outside the request log (10 to 100)", 0 },
		{ "the log's very end", "1:5", "1:5", 100, NULL, 100 },
		{ "no committed offset, but a journal", "1:5 1:6", NULL, 0, NULL, 10 },
		{ "neither", "", NULL, 0, NULL, 10 },

		{ "loss accepted", "1:5 #2<1:9", "1:8", 50, NULL, 50 },
		{ "accepted in an empty journal", "#2<1:9", "1:8", 50, NULL, 50 },
		{ "accepted, and gone on", "1:5 #2<1:9 2:10", "2:10", 50, NULL, 50 },
		{ "records before it are of any id", "1:5 3:6 #2<1:9", "1:8", 50, NULL, 50 },
		{ "records before it need not be readable", "1:5 ? #2<1:9", "1:8", 50, NULL, 50 },
		{ "records behind it are its own", "1:5 #2<1:9 1:10", "2:9", 50, "record 3@22 belongs to another", 0 },
		{ "records behind it must be readable", "1:5 #2<1:9 ?", "2:9", 50, "record 3@22: cannot be", 0 },
		{ "replaced id, offset below the log", "#2<1:9", "1:8", 9, NULL, 10 },
		{ "replaced id, offset above the log", "#2<1:9", "1:8", 101, NULL, 10 },
		{ "new id, offset outside the log", "#2<1:9 2:10", "2:10", 9, "outside the request log", 0 },
		{ "metadata of a third", "1:5 #2<1:9", "3:8", 50, "another one than offset 50", 0 },
		{ "it went backwards again", "1:5 #2<1:9", "2:10", 50, "ends with record 9, but 10 was committed", 0 },
		{ "no metadata of ours, forgiven", "1:5 #2<0:9", "", 50, NULL, 50 },
		{ "no metadata, outside the log", "1:5 #2<0:9", "", 9, NULL, 10 },
		{ "no metadata, and gone on", "1:5 #2<0:9 2:10", "", 50, "carries no metadata of ours", 0 },
		{ "two losses", "1:5 #2<1:9 2:10 #3<2:12", "2:11", 50, NULL, 50 },
		{ "two losses, the first id is too old", "1:5 #2<1:9 #3<2:12", "1:8", 50, "another one than", 0 },
		{ "loss accepted, nothing committed", "1:5 #2<1:9", NULL, 0, NULL, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct journal *j = story(rows[i].records);
		struct journal_found f = { .has_offset = rows[i].committed != NULL, .offset = rows[i].offset,
		    .request_low = 10, .request_high = 100, .journal_high = 30, .marker_offsets = 1 };
		unsigned id = 0, seq = 0;
		struct err e = { .text = "" };
		struct journal_past past;
		int64_t start = -7;
		int rc;

		if (rows[i].committed != NULL && sscanf(rows[i].committed, "%u:%u", &id, &seq) == 2)
			f.metadata = metadata((unsigned char)id, seq);
		rc = journal_open(j, &f, &start, &e);
		if ((rc == 0) != (rows[i].refused == NULL))
			fail_msg("%s: %s", rows[i].what, rc == 0 ? "opened" : e.text);
		if (rc == 0) {
			assert_int_equal(start, rows[i].start);
			assert_true(journal_seq(j) >= seq);
		} else {
			assert_int_equal(e.next, ERR_REFUSE);
			if (strstr(e.text, rows[i].refused) == NULL)
				fail_msg("%s: %s", rows[i].what, e.text);
			journal_past(j, &f, &past);
			assert_true(past.seq >= seq);
			assert_healed(rows[i].what, rows[i].records, &f, &past);
		}
		journal_free(j);
	}
}

/* What is committed next says the new id, and a number above all that were. */
static void
test_the_new_id_is_committed(void **state)
{
	struct journal *j = story("1:5 #2<1:9");
	struct journal_found f = nothing;
	char text[OFFSET_METADATA_ROOM];
	struct ticket *t = request("r", 50, 1);
	struct err e;
	uint64_t seq;
	int64_t start;

	(void)state;
	f.has_offset = true;
	f.offset = 50;
	f.metadata = metadata(FIRST, 30);
	assert_int_equal(journal_open(j, &f, &start, &e), 0);
	(void)journal_answer(j, t, &t->arena, &seq);
	assert_int_equal(seq, 31);
	journal_metadata(j, seq, 17, "a/b/c", text);
	assert_string_equal(text, "tokend/1 02000000000000000000000000000000 31 17 a/b/c");
	ticket_free(t);
	journal_free(j);
}

/* Idle past the window: the journal has expired, and the floor covers what is gone. */
static void
test_an_empty_journal_is_believed_after_the_window(void **state)
{
	const int64_t after_ms = (int64_t)(duration_ms(DURATION_WINDOW) - 2 * duration_ms(DURATION_SKEW));

	(void)state;
	for (int past = 0; past < 2; past++) {
		struct journal *j = journal_new(PARTITION, &config, 0);
		struct journal_found f = nothing;
		char text[OFFSET_METADATA_ROOM];
		struct err e;
		int64_t start;

		f.has_offset = true;
		f.offset = 50;
		f.metadata = arena_text(&bytes, "tokend/1 07%030d 41 %lld a/b/c", 0,
		    (long long)(clock_wall_ms() - after_ms + (past ? 0 : 5000)));
		assert_int_equal(journal_open(j, &f, &start, &e), past ? 0 : -1);
		if (past) {
			assert_int_equal(journal_seq(j), 41);
			journal_metadata(j, 42, 17, "a/b/c", text);
			assert_memory_equal(text, "tokend/1 0700", 13);         /* the metadata's id is kept */
		}
		journal_free(j);
	}
}

/* ---- records that cannot be read --------------------------------------------------------------------------------- */

static void
refused(struct span key, struct span value, bool is)
{
	struct journal *j = journal_new(PARTITION, &config, 0);
	struct err e;
	int64_t start;

	journal_remember(j, key, value, 20);
	assert_int_equal(journal_open(j, &nothing, &start, &e), is ? -1 : 0);
	if (is) {
		assert_int_equal(e.next, ERR_REFUSE);
		assert_non_null(strstr(e.text, "3@20"));
	}
	journal_free(j);
}

static struct span
packed(const Tokend__V1__JournalRecord *r)
{
	unsigned char *value = arena_alloc(&bytes, tokend__v1__journal_record__get_packed_size(r));

	return span_of(value, tokend__v1__journal_record__pack(r, value));
}

static void
test_unreadable_records(void **state)
{
	Tokend__V1__JournalRecord r = TOKEND__V1__JOURNAL_RECORD__INIT;
	unsigned char id[16] = { 1 };
	struct span key = span_str("#3:1");

	(void)state;
	refused(key, span_str("\xff\xff"), true);
	refused(key, span_of(NULL, 0), true);
	r.format = r.lowest_reader = 1;
	r.state = TOKEND__V1__JOURNAL_STATE__DONE;
	r.journal_id = (ProtobufCBinaryData){ sizeof id, id };
	refused(key, packed(&r), false);
	r.lowest_reader = 2;
	refused(key, packed(&r), true);
	r.lowest_reader = 1;
	for (const char **k = (const char *[]){ "x", "C", "C1:a", "C1:a,", "C1:a,2:b", "C1:a,1:bc", "C9:a,1:b",
	    "C1:A,1:b", "#loss", NULL }; *k != NULL; k++)
		refused(span_str(*k), packed(&r), true);
	refused(span_str("C1:a,1:b"), packed(&r), false);
	r.journal_id.len = 5;
	refused(key, packed(&r), true);
	r.journal_id.len = sizeof id;
	r.state = (Tokend__V1__JournalState)4;
	refused(key, packed(&r), true);
	r.state = TOKEND__V1__JOURNAL_STATE__LOSS;
	refused(key, packed(&r), true);                 /* under another key than its own */
	refused(span_str("#loss"), packed(&r), false);
	r.replaced_journal_id = (ProtobufCBinaryData){ 5, id };
	refused(span_str("#loss"), packed(&r), true);
}

/* ---- what a #loss leaves in doubt -------------------------------------------------------------------------------- */

static enum journal_place
place(const struct journal *j, int64_t offset, unsigned char digest)
{
	unsigned char digests[32] = { digest };

	return journal_place(j, offset, digests);
}

static struct journal *
after_loss(void)
{
	struct journal *j = journal_new(PARTITION, &config, 0);
	struct err e;
	int64_t start;

	journal_remember(j, span_str("C9:telemetry,3:old"), record(FIRST, 1, INTENT, 4, 4), 20);
	journal_remember(j, span_str("C9:telemetry,4:done"), record(FIRST, 2, DONE, 5, 5), 21);
	journal_remember(j, span_str("#3:6"), record(FIRST, 3, DONE, 6, 6), 22);
	journal_remember(j, span_str("#3:9"), record(FIRST, 4, DONE, 9, 9), 23);
	journal_remember(j, span_str("#loss"), loss(NEW, FIRST, 5), 24);
	journal_remember(j, span_str("C9:telemetry,3:new"), record(NEW, 6, INTENT, 7, 7), 25);
	journal_remember(j, span_str("#3:8"), record(NEW, 7, DONE, 8, 8), 26);
	journal_remember(j, span_str("C9:telemetry,5:anew9"), record(NEW, 8, DONE, 9, 99), 27);
	assert_int_equal(journal_open(j, &nothing, &start, &e), 0);
	return j;
}

static enum journal_seen
seen_id(const struct journal *j, const char *id)
{
	struct journal_look look;
	struct arena a = { 0 };

	journal_look(j, journal_key_hash(journal_request_key(&a, METHOD_CREATE_TOKEN, "telemetry", id)), NULL, &look);
	arena_free(&a);
	return look.seen;
}

/* It may have been decided in what is lost: it is neither continued nor closed, and its tokens are unknown. */
static void
test_an_intent_before_the_loss_is_nobodys(void **state)
{
	struct journal *j = after_loss();
	struct ticket *t = ticket_new(&assignment);
	struct journal_attempt attempt;
	uint64_t hash = journal_key_hash(span_str("C9:telemetry,3:old"));
	unsigned char uuid[ATTEMPT_UUID_BYTES] = { 0 };

	(void)state;
	assert_int_equal(seen_id(j, "old"), JOURNAL_NEW);
	assert_int_equal(seen_id(j, "done"), JOURNAL_DONE);
	assert_int_equal(seen_id(j, "new"), JOURNAL_BEGUN);
	memcpy(uuid, &hash, sizeof hash);
	journal_look_attempt(j, uuid, "id", &attempt);
	assert_int_equal(attempt.seen, JOURNAL_NEW);
	assert_false(journal_stray_at(j, 4, t));
	assert_true(journal_stray(j, 50, 100, t));      /* the other one, behind the #loss, is */
	assert_string_equal(t->request.request_id, "new");
	ticket_free(t);
	journal_free(j);
}

static void
test_an_older_answer_to_another_record_is_absent(void **state)
{
	struct journal *j = after_loss();

	(void)state;
	assert_int_equal(place(j, 6, 6), JOURNAL_PLACE_ANSWERED);
	assert_int_equal(place(j, 6, 66), JOURNAL_PLACE_FREE);
	assert_int_equal(place(j, 5, 55), JOURNAL_PLACE_FREE);
	assert_int_equal(place(j, 8, 8), JOURNAL_PLACE_ANSWERED);
	assert_int_equal(place(j, 8, 88), JOURNAL_PLACE_OTHER);
	assert_int_equal(place(j, 7, 77), JOURNAL_PLACE_OTHER);         /* an intent behind the #loss */
	assert_int_equal(place(j, 4, 44), JOURNAL_PLACE_FREE);          /* one before it */
	/* The topic was made anew, that was accepted, and another record was answered at the same offset. */
	assert_int_equal(place(j, 9, 99), JOURNAL_PLACE_ANSWERED);
	assert_int_equal(place(j, 9, 9), JOURNAL_PLACE_OTHER);
	journal_free(j);
}

static void
test_what_was_issued_before_is_not_believed_absent(void **state)
{
	const unsigned char id[JOURNAL_ID_BYTES] = { NEW };
	struct journal *j = after_loss(), *whole = open_empty();

	(void)state;
	assert_true(journal_in_loss(j, LOST_AT + 120));        /* as far ahead as a clock may be */
	assert_false(journal_in_loss(j, LOST_AT + 121));
	assert_false(journal_in_loss(whole, 0));
	assert_true(journal_may_have_forgotten(j, LOST_AT, LOST_AT + 86400, LOST_AT));  /* whatever its deadline */
	assert_false(journal_may_have_forgotten(j, LOST_AT + 121, LOST_AT + 86400, LOST_AT));
	assert_false(journal_may_have_forgotten(whole, LOST_AT, LOST_AT + 86400, LOST_AT));
	assert_int_equal(journal_loss_offset(j), 24);
	assert_memory_equal(journal_loss_id(j), id, sizeof id);
	assert_int_equal(journal_loss_offset(whole), -1);
	assert_null(journal_loss_id(whole));
	journal_free(j);
	journal_free(whole);
}

/* ---- clusters that are gone -------------------------------------------------------------------------------------- */

static void
test_a_cluster_that_is_gone(void **state)
{
	const int64_t day_ms = (int64_t)duration_ms(DURATION_SWEEP_FOR);
	const struct {
		const char *what, *cluster;
		unsigned char digest;
		int64_t ago_ms;
		bool closed;
		const char *refused;
	} rows[] = {
		{ "as it was", "main", 7, 0, false, NULL },
		{ "under another name, and the same API", "former", 7, 0, false, NULL },
		{ "gone", "gone", 9, 0, false, "\"gone\", which is not in the configuration any more" },
		{ "gone, of a closed attempt", "gone", 9, 0, true, "\"gone\", which is not in" },
		{ "another one by that name", "main", 9, 0, false, "\"main\", which the configuration now" },
		{ "gone, a day ago but a minute", "gone", 9, day_ms - 60000, false, "retiring: true" },
		{ "gone, more than a day ago", "gone", 9, day_ms + 1000, false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct journal *j = open_empty(), *next = journal_new(PARTITION, &config, 0);
		struct ticket *t = request("r", 5, 1);
		struct err e = { .text = "" };
		uint64_t seq;
		int64_t start;

		begin(t);
		t->attempts.current.cluster = rows[i].cluster;
		t->attempts.current.cluster_digest[0] = rows[i].digest;
		t->attempts.current.not_after_ms = clock_wall_ms() - rows[i].ago_ms;
		if (rows[i].closed)
			attempts_settle(&t->attempts, FATE_UNKNOWN, &t->arena);
		journal_remember(next, t->journal_key, journal_intent(j, t, &t->arena, &seq), 20);
		if (journal_open(next, &nothing, &start, &e) != (rows[i].refused == NULL ? 0 : -1))
			fail_msg("%s: %s", rows[i].what, e.text);
		if (rows[i].refused != NULL) {
			assert_int_equal(e.next, ERR_FATAL);
			assert_non_null(strstr(e.text, rows[i].refused));
			assert_non_null(strstr(e.text, "partition 3: until 2"));
		}
		ticket_free(t);
		journal_free(j);
		journal_free(next);
	}
}

static int
let_go(void **state)
{
	(void)state;
	arena_free(&bytes);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories), cmocka_unit_test(test_the_new_id_is_committed),
		cmocka_unit_test(test_an_empty_journal_is_believed_after_the_window),
		cmocka_unit_test(test_unreadable_records), cmocka_unit_test(test_an_intent_before_the_loss_is_nobodys),
		cmocka_unit_test(test_an_older_answer_to_another_record_is_absent),
		cmocka_unit_test(test_what_was_issued_before_is_not_believed_absent),
		cmocka_unit_test(test_a_cluster_that_is_gone),
	};

	return cmocka_run_group_tests_name("lineage", tests, NULL, let_go);
}
