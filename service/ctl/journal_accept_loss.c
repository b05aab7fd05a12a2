/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokenctl journal accept-loss: an operator's word that a partition goes on, though its journal lost records (R11).
 *
 * A partition whose journal went backwards stays closed, because whatever was answered in what is gone would be
 * answered anew, with a second token. Nobody but a person can know that it is gone for good: a broker may come back
 * with it. So a person looks first, is told what is wrong and what going on costs, and says so; and what is written is
 * one record, which every later life of the partition reads.
 *
 * Where nothing is wrong nothing is written: a #loss in a healthy journal would take outcomes away from requesters,
 * and an instance may be writing there. But the service sees more than the journal: it closes a partition while it
 * works when the request log holds another record than the journal knows, or when a record lands too low. The
 * journal alone looks as good as before then, and only the service's log tells. So the person who has read it says
 * that, too: --although-trusted.
 */
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/arena.h"
#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/durations.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/base/random.h"
#include "service/base/text.h"
#include "service/ctl/again.h"
#include "service/ctl/command.h"
#include "service/ctl/confirm.h"
#include "service/ctl/journal_line.h"
#include "service/ctl/loss.h"
#include "service/ctl/options.h"
#include "service/ctl/output.h"
#include "service/ctl/profile.h"

struct flags {
	const char *tokend_config, *partition;
	bool although_trusted, force;
};

static const struct option rows[] = {
	{ "tokend-config", 0, OPTION_TEXT, offsetof(struct flags, tokend_config), 0, "FILE",
	    "tokend.yaml (default: beside the file of --config)" },
	{ "partition", 0, OPTION_TEXT, offsetof(struct flags, partition), 0, "N",
	    "which partition, from 0 on; required. The log and /readyz name those that are closed" },
	{ "although-trusted", 0, OPTION_SWITCH, offsetof(struct flags, although_trusted), 0, NULL,
	    "go on where nothing is wrong with the journal: only for a partition that tokend's log says stays closed" },
	{ "force", 0, OPTION_SWITCH, offsetof(struct flags, force), 0, NULL, "do not ask whether it is meant" },
};

/* One call. */
struct acceptance {
	const struct invocation *v;
	const char *path;
	struct config *config;
	int32_t partition;
	struct journal_view before;
	struct loss loss;
};

static int
read_partition(struct acceptance *p, const char *text, struct err *ret_err)
{
	char shown[TEXT_SHOWN_ROOM], *end;
	long value;

	if (text == NULL)
		return err_set(ret_err, ERR_REFUSE, "--partition N is missing: which partition is closed?");
	value = strtol(text, &end, 10);
	if (end == text || *end != '\0' || value < 0 || value >= p->config->partitions)
		return err_set(ret_err, ERR_REFUSE, "--partition \"%s\" is not from 0 to %d, as %s says",
		    text_shown(span_str(text), shown), (int)p->config->partitions - 1, p->path);
	p->partition = (int32_t)value;
	return 0;
}

static int
prepare(struct acceptance *p, struct err *ret_err)
{
	const struct invocation *v = p->v;
	const struct flags *f = v->options;
	char room[TEXT_SHOWN_ROOM];

	if (v->n_words > 0)
		return err_set(ret_err, ERR_REFUSE, "journal accept-loss takes flags only, not \"%s\"",
		    text_shown(span_str(v->words[0]), room));
	p->path = f->tokend_config != NULL ? f->tokend_config :
	    arena_text(v->arena, "%s/tokend.yaml", profile_directory_of(v->globals->config, v->arena));
	p->config = config_load(p->path, ret_err);
	if (p->config == NULL || read_partition(p, f->partition, ret_err) != 0)
		return -1;
	log_setup(LOG_TEXT, v->globals->debug ? LOG_DEBUG_ : LOG_ERROR_);
	return confirm_check(f->force, ret_err);
}

static const char *
command_line(const struct acceptance *p, bool although_trusted)
{
	const struct flags *f = p->v->options;
	struct arena *a = p->v->arena;

	return arena_text(a, "tokenctl journal accept-loss --tokend-config %s --partition %d%s%s",
	    again_word(p->path, a), (int)p->partition, although_trusted ? " --although-trusted" : "",
	    f->force ? " --force" : "");
}

/* EXIT_DONE: it is closed; p->before says why, unless only the service's log does. */
static enum command_exit
look_before(struct acceptance *p)
{
	const struct flags *f = p->v->options;
	struct err e;

	if (journal_line_look(p->config, p->partition, p->v->globals->timeout_ms, &p->before, &e) != 0) {
		output_say("%s; nothing was written", e.text);
		return e.next == ERR_RETRY ? EXIT_NO_REPLY : EXIT_USAGE;
	}
	if (!p->before.trusted || f->although_trusted)
		return EXIT_DONE;
	output_say("nothing is wrong with the journal of partition %d: an instance works on it, or may; nothing was "
	    "written", (int)p->partition);
	output_say("if tokend's log says that the partition stays closed, it has seen more than the journal shows: %s",
	    command_line(p, true));
	return EXIT_REFUSED;
}

static void
say_what_is_wrong(const struct acceptance *p)
{
	const char *topic = p->config->topic_journal;

	if (!p->before.trusted) {
		output_say("partition %d of %s is closed: %s", (int)p->partition, topic, p->before.why_not.text);
		return;
	}
	output_say("nothing is wrong with partition %d of %s as it stands: go on only if tokend's log says that the "
	    "partition stays closed, and why. Where an instance works on it, this takes outcomes away from requesters, "
	    "and closes it at its next start", (int)p->partition, topic);
}

static void
say_what_it_means(void)
{
	char until[TEXT_RFC3339_ROOM];
	int64_t skew_s = (int64_t)(duration_ms(DURATION_SKEW) / 1000);

	output_say("to accept that what is missing is gone for good means:");
	output_say("  a request issued before %s (now, and %d minutes more) that has no outcome in the journal is "
	    "answered PAST_WINDOW: it may have a token, of which nobody knows here",
	    text_time(clock_wall_ms() / 1000 + skew_s, -1, until), (int)(skew_s / 60));
	output_say("  attempts that were under way are neither continued nor closed: a token that one of them made "
	    "stays, is counted, and is yours to delete");
	output_say("what may yet come back, from a broker that is down or a copy of the topic, should come first");
}

static int
ask_whether_it_is_meant(const struct acceptance *p, struct err *ret_err)
{
	const struct flags *f = p->v->options;

	return confirm_ask(f->force, arena_text(p->v->arena, "Accept the loss for partition %d?", (int)p->partition),
	    ret_err);
}

static int
write_loss(struct acceptance *p, int64_t *ret_offset, struct err *ret_err)
{
	const struct globals *g = p->v->globals;

	memcpy(p->loss.replaced_id, p->before.past.id, sizeof(p->loss.replaced_id));
	random_bytes(p->loss.journal_id, sizeof(p->loss.journal_id));
	p->loss.seq = p->before.past.seq + 1;
	p->loss.moment = clock_wall_ms() / 1000;
	return journal_line_append(p->config, p->partition, span_str(JOURNAL_LOSS_KEY),
	    loss_value(&p->loss, p->v->arena), g->timeout_ms, g->debug, ret_offset, ret_err);
}

/* Read back, and judged as the service will judge it. */
static enum command_exit
look_after(const struct acceptance *p, int64_t offset)
{
	char id[2 * JOURNAL_ID_BYTES + 1];
	struct journal_view after;
	struct err e;

	if (journal_line_look(p->config, p->partition, p->v->globals->timeout_ms, &after, &e) != 0) {
		output_say("the loss was written at offset %lld, but could not be read back: %s", (long long)offset,
		    e.text);
		output_say("to look again: %s", command_line(p, false));
		return EXIT_NO_REPLY;
	}
	if (!after.trusted) {
		output_say("the loss was written at offset %lld, and the partition is still closed: %s",
		    (long long)offset, after.why_not.text);
		return EXIT_REFUSED;
	}
	output_say("partition %d: the loss is accepted; from record %s/%d@%lld on its journal is %s",
	    (int)p->partition, p->config->topic_journal, (int)p->partition, (long long)offset,
	    text_hex(span_of(p->loss.journal_id, JOURNAL_ID_BYTES), id));
	output_say("the instance that holds the partition opens it by itself; /readyz and the log say so");
	return EXIT_DONE;
}

static enum command_exit
accept_loss(struct acceptance *p)
{
	const struct flags *f = p->v->options;
	enum command_exit status = look_before(p);
	int64_t offset;
	struct err e;

	if (status != EXIT_DONE)
		return status;
	say_what_is_wrong(p);
	say_what_it_means();
	if (ask_whether_it_is_meant(p, &e) != 0)
		return output_usage("%s", e.text);
	if (write_loss(p, &offset, &e) != 0) {
		output_say("%s", e.text);
		output_say("%s: %s", e.next == ERR_REFUSE ? "nothing was written; to try again" :
		    "to look whether it was written",
		    command_line(p, e.next == ERR_REFUSE && f->although_trusted));
		return e.next == ERR_REFUSE ? EXIT_USAGE : EXIT_NO_REPLY;
	}
	return look_after(p, offset);
}

static enum command_exit
run(struct invocation *v)
{
	struct acceptance p = { .v = v };
	enum command_exit status;
	struct err e;

	status = prepare(&p, &e) == 0 ? accept_loss(&p) : output_usage("%s", e.text);
	config_free(p.config);
	return status;
}

static const struct command_note examples[] = {
	{ "tokenctl journal accept-loss --tokend-config /etc/tokend/tokend.yaml --partition 3", "One partition:" },
	{ "tokenctl journal accept-loss --tokend-config /etc/tokend/tokend.yaml --partition 3 --although-trusted",
	    "One that tokend closed while it worked, as its log says:" },
	{ NULL, NULL }
};

static const struct command_note exits[] = {
	{ "0", "The loss is accepted, and the partition will be opened." },
	{ "1", "Nothing is wrong with the partition's journal; nothing was written. Or it was written, and did not "
	    "help: why is on standard error." },
	{ "2", "The command line, or tokend.yaml, is wrong, the brokers refused, or the answer to the question was not "
	    "yes; nothing was written." },
	{ "3", "The brokers did not answer in time. The command that looks again is printed." },
	{ NULL, NULL }
};

const struct command journal_accept_loss_command = {
	.name = "journal accept-loss",
	.arguments = "",
	.summary = "go on with a partition whose journal has lost records",
	.about =
	    "For a partition that stays closed because its journal cannot be trusted: its end is missing, it was made "
	    "anew, or a record in it cannot be read. Reads the committed offset and the whole journal partition, "
	    "judges them as the service does, and says what is wrong. Where nothing is, nothing is written: an "
	    "instance may hold the partition.\n"
	    "\n"
	    "tokend also closes a partition while it works: when a request stands where the journal knows another "
	    "one, as in a request topic that was made anew, or when a record lands too low in the journal. Its log "
	    "says so, and names --although-trusted: with it the command goes on where the journal alone looks right.\n"
	    "\n"
	    "Says what going on costs, asks whether it is meant (unless --force is given; without a terminal --force "
	    "is needed), writes one record, #loss, behind the journal's end, and reads it back. What was issued "
	    "before that moment, and two minutes more, and has no outcome in the journal is then answered "
	    "PAST_WINDOW, whatever its deadline. Tokens of attempts that were under way count as unknown and are "
	    "kept.\n"
	    "\n"
	    "It needs to read the request and the journal topic, to see the group's offsets, and to write to the "
	    "journal topic: an operator's rights, not a requester's. --timeout is for each reading of the journal.\n",
	.options = rows,
	.n_options = sizeof(rows) / sizeof(rows[0]),
	.options_bytes = sizeof(struct flags),
	.exits = exits,
	.examples = examples,
	.run = run,
};
