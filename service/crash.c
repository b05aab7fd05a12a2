/* SPDX-License-Identifier: Apache-2.0 */
/* A record that crashes the process before its intent would crash the next life, too, and the one after it:
 * the partition stands still. tokend cannot tell which bytes were to blame, but it knows which record was in
 * its hands. So the last line of the log names it as the configuration wants it (`skip`), and an operator
 * passes it by; it lands among the dead letters, undecoded.
 *
 * A signal handler may do little: no memory is allocated, no lock taken, the line is put together on a stack
 * of its own (a stack that overflowed is a crash, too); the time's few digits are the one thing left to the C
 * library. Then the signal goes to whoever had it before, a sanitizer or the kernel. */
#include "service/crash.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "service/base/text.h"

#define LINE_BYTES 640
#define STACK_BYTES (64 * 1024)

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static struct sigaction before[SIGNALS];
static const char *topic;
static _Atomic int32_t partition;
static _Atomic int64_t offset;
static atomic_bool decoding;
static _Thread_local bool is_loop;

struct line {
	char text[LINE_BYTES];
	size_t bytes;
};

static void
put(struct line *l, const char *text)
{
	size_t n = strlen(text);

	if (n > LINE_BYTES - l->bytes)
		n = LINE_BYTES - l->bytes;
	memcpy(l->text + l->bytes, text, n);
	l->bytes += n;
}

static void
put_number(struct line *l, uint64_t n)
{
	char digits[21], *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	put(l, at);
}

static void
last_words(int signo)
{
	struct line l = { .bytes = 0 };
	char when[TEXT_RFC3339_ROOM];

	put(&l, "{\"ts\":\"");
	put(&l, text_time(time(NULL), -1, when));
	put(&l,
	    "\",\"level\":\"error\",\"msg\":\"crashed while decoding a record; to pass it by, put it under skip in "
	    "the configuration\",\"logger\":\"crash\",\"signal\":");
	put_number(&l, (uint64_t)signo);
	put(&l, ",\"skip\":\"");
	put(&l, topic);
	put(&l, "/");
	put_number(&l, (uint64_t)atomic_load(&partition));
	put(&l, "@");
	put_number(&l, (uint64_t)atomic_load(&offset));
	put(&l, "\"}\n");
	(void)!write(STDERR_FILENO, l.text, l.bytes);
}

/* The signal then reaches the one who had it before: what faulted faults again on return, what was sent is
 * sent again. */
static void
on_crash(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (is_loop && atomic_exchange(&decoding, false))
		last_words(signo);
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i] == signo)
			(void)sigaction(signo, &before[i], NULL);
	if (info->si_code <= 0)
		(void)raise(signo);
}

void
crash_watch(const char *request_topic)
{
	static char stack[STACK_BYTES];
	const stack_t own = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	topic = request_topic;
	is_loop = true;
	(void)sigaltstack(&own, NULL);
	(void)sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < SIGNALS; i++)
		(void)sigaction(signals[i], &sa, &before[i]);
}

void
crash_decoding(int32_t at_partition, int64_t at_offset)
{
	atomic_store_explicit(&partition, at_partition, memory_order_relaxed);
	atomic_store_explicit(&offset, at_offset, memory_order_relaxed);
	atomic_store_explicit(&decoding, true, memory_order_relaxed);
}

void
crash_decoded(void)
{
	atomic_store_explicit(&decoding, false, memory_order_relaxed);
}
