/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of a waiting.
 *
 * Records under our ID that do not verify end no waiting: they are counted, and told of when the time is over
 * without an answer, because the likeliest reason is a profile that does not know the service's new key.
 */
#include "service/ctl/waiting.h"

#include <stdio.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/record.h"
#include "service/ctl/command.h"
#include "service/ctl/output.h"

struct waiting
waiting_begin(const struct invocation *v, const char *request_id)
{
	return (struct waiting){ .v = v, .request_id = request_id, .since_boot_ms = clock_boot_ms() };
}

uint64_t
waiting_until_boot_ms(const struct waiting *w)
{
	return w->since_boot_ms + w->v->globals->timeout_ms;
}

void
waiting_pass_over(struct waiting *w, const struct record *record, const char *why)
{
	w->ignored++;
	w->ignored_why = why;
	if (w->v->globals->debug)
		output_say("ignored the record at offset %lld: %s", (long long)record->offset, why);
}

void
waiting_show(const struct waiting *w)
{
	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\rwaiting for the reply to %s: %llu of %llu s ", w->request_id,
		    (unsigned long long)((clock_boot_ms() - w->since_boot_ms) / 1000),
		    (unsigned long long)(w->v->globals->timeout_ms / 1000));
}

void
waiting_clear(void)
{
	if (isatty(STDERR_FILENO))
		(void)fputs("\r\033[K", stderr);
}

void
waiting_tell_ignored(const struct waiting *w, bool settled)
{
	if (w->ignored == 0 || (settled && !w->v->globals->debug))
		return;
	output_say("%u record%s under this ID did not verify and %s ignored; of the last: %s", w->ignored,
	    w->ignored > 1 ? "s" : "", w->ignored > 1 ? "were" : "was", w->ignored_why);
	if (!settled)
		output_say("has the service a new key? where it runs, tokenctl keys export prints the profile's "
		    "service_keys");
}
