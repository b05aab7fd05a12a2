/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The series live in lists, one for each row of the table, and only ever grow: a series once handed out
 * is valid for ever, so whoever counts holds a pointer and pays one relaxed atomic addition. The lock
 * guards the lists, not the numbers; a scrape that runs beside the counting may see one number newer
 * than another, as with any exporter. A histogram's count is summed from its buckets at the scrape, so
 * that those two agree always.
 */
#include "service/base/metrics.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/base/process_stats.h"

/* The buckets' upper bounds: microseconds, and as Prometheus reads them. */
#define BUCKETS(ROW) \
	ROW(5000, "0.005") ROW(10000, "0.01") ROW(25000, "0.025") ROW(50000, "0.05") ROW(100000, "0.1") \
	ROW(250000, "0.25") ROW(500000, "0.5") ROW(1000000, "1") ROW(2500000, "2.5") ROW(5000000, "5") \
	ROW(10000000, "10") ROW(30000000, "30") ROW(60000000, "60") ROW(UINT64_MAX, "+Inf")

static const struct { uint64_t us; const char *le; } buckets[] = {
#define ROW(us, le) { us, le },
	BUCKETS(ROW)
#undef ROW
};
#define N_BUCKETS (sizeof(buckets) / sizeof(buckets[0]))

#define LABELS_MOST 3

enum kind { COUNTER, GAUGE, HISTOGRAM };
static const char *const kind_names[] = { "counter", "gauge", "histogram" };

static const struct row {
	enum kind kind;
	const char *name, *labels[LABELS_MOST], *help;
} table[METRIC_COUNT] = {
#define ROW(id, kind, name, label1, label2, label3, help) { kind, name, { label1, label2, label3 }, help },
	METRICS(ROW)
#undef ROW
};

struct series {
	struct series *next;
	const struct row *row;
	char *labels;                           /* as printed, without braces; "" when there are none */
	_Atomic uint64_t value;                 /* a gauge's as two's complement; a histogram's sum in microseconds */
	_Atomic uint64_t in_bucket[];           /* N_BUCKETS for a histogram, not cumulated */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct series *lists[METRIC_COUNT];      /* under lock; oldest first */

static void
print_escaped(FILE *out, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\n')
			(void)fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			(void)fprintf(out, "\\%c", *value);
		else
			(void)fputc(*value, out);
	}
}

/* Out of memory aborts, as in base/arena.c. */
static char *
labels_of(const struct row *row, const char *const values[LABELS_MOST])
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (out == NULL)
		abort();
	for (int i = 0; i < LABELS_MOST && row->labels[i][0] != '\0'; i++) {
		(void)fprintf(out, "%s%s=\"", i > 0 ? "," : "", row->labels[i]);
		print_escaped(out, values[i] != NULL ? values[i] : "");
		(void)fputc('"', out);
	}
	if (fclose(out) != 0)
		abort();
	return text;
}

/* Under lock; takes labels. */
static struct series *
find_or_add(enum metric m, char *labels)
{
	size_t n = table[m].kind == HISTOGRAM ? N_BUCKETS : 0;
	struct series **at = &lists[m];

	for (; *at != NULL; at = &(*at)->next) {
		if (strcmp((*at)->labels, labels) == 0) {
			free(labels);
			return *at;
		}
	}
	*at = calloc(1, sizeof(**at) + n * sizeof((*at)->in_bucket[0]));
	if (*at == NULL)
		abort();
	(*at)->row = &table[m];
	(*at)->labels = labels;
	return *at;
}

struct series *
metrics_at(enum metric m, const char *value1, const char *value2)
{
	return metrics_at3(m, value1, value2, NULL);
}

struct series *
metrics_at3(enum metric m, const char *value1, const char *value2, const char *value3)
{
	const char *const values[LABELS_MOST] = { value1, value2, value3 };
	struct series *s;
	char *labels;

	assert(m < METRIC_COUNT);
	labels = labels_of(&table[m], values);
	(void)pthread_mutex_lock(&lock);
	s = find_or_add(m, labels);
	(void)pthread_mutex_unlock(&lock);
	return s;
}

void
metrics_add(struct series *s, uint64_t by)
{
	assert(s->row->kind == COUNTER);
	(void)atomic_fetch_add_explicit(&s->value, by, memory_order_relaxed);
}

void
metrics_set(struct series *s, int64_t value)
{
	assert(s->row->kind == GAUGE);
	atomic_store_explicit(&s->value, (uint64_t)value, memory_order_relaxed);
}

void
metrics_observe(struct series *s, uint64_t us)
{
	size_t b = 0;

	assert(s->row->kind == HISTOGRAM);
	while (us > buckets[b].us)
		b++;
	(void)atomic_fetch_add_explicit(&s->in_bucket[b], 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&s->value, us, memory_order_relaxed);
}

static void
print_head(FILE *out, const char *name, const char *kind, const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void
print_histogram(FILE *out, struct series *s)
{
	uint64_t sum_us = atomic_load_explicit(&s->value, memory_order_relaxed), count = 0;
	bool labelled = s->labels[0] != '\0';
	const char *open = labelled ? "{" : "", *close = labelled ? "}" : "", *comma = labelled ? "," : "";
	const char *name = s->row->name;

	for (size_t b = 0; b < N_BUCKETS; b++) {
		count += atomic_load_explicit(&s->in_bucket[b], memory_order_relaxed);
		(void)fprintf(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", name, s->labels, comma, buckets[b].le,
		    (unsigned long long)count);
	}
	(void)fprintf(out, "%s_sum%s%s%s %llu.%06llu\n", name, open, s->labels, close,
	    (unsigned long long)(sum_us / 1000000), (unsigned long long)(sum_us % 1000000));
	(void)fprintf(out, "%s_count%s%s%s %llu\n", name, open, s->labels, close, (unsigned long long)count);
}

static void
print_series(FILE *out, struct series *s)
{
	uint64_t value;

	if (s->row->kind == HISTOGRAM) {
		print_histogram(out, s);
		return;
	}
	(void)fputs(s->row->name, out);
	if (s->labels[0] != '\0')
		(void)fprintf(out, "{%s}", s->labels);
	value = atomic_load_explicit(&s->value, memory_order_relaxed);
	if (s->row->kind == GAUGE)
		(void)fprintf(out, " %lld\n", (long long)(int64_t)value);
	else
		(void)fprintf(out, " %llu\n", (unsigned long long)value);
}

/* A number that nobody has touched yet is 0, not absent: an alert on its rise sees the first one. */
static void
print_ours(FILE *out)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		if (table[m].labels[0][0] == '\0')
			(void)metrics_at((enum metric)m, NULL, NULL);
		(void)pthread_mutex_lock(&lock);
		print_head(out, table[m].name, kind_names[table[m].kind], table[m].help);
		for (struct series *s = lists[m]; s != NULL; s = s->next)
			print_series(out, s);
		(void)pthread_mutex_unlock(&lock);
	}
}

static void
print_process(FILE *out)
{
	struct process_stats stats;

	process_stats_read(&stats);
#define PRINT(name, kind, help, format, value) \
	print_head(out, name, kind, help); \
	(void)fprintf(out, name " " format "\n", value)
	PRINT("process_resident_memory_bytes", "gauge", "Resident memory.", "%.0f", (double)stats.resident_bytes);
	PRINT("process_virtual_memory_bytes", "gauge", "Virtual memory.", "%.0f", (double)stats.virtual_bytes);
	PRINT("process_cpu_seconds_total", "counter", "CPU time, user and system.", "%.6f", stats.cpu_seconds);
	PRINT("process_open_fds", "gauge", "Open file descriptors.", "%.0f", (double)stats.open_fds);
	PRINT("process_max_fds", "gauge", "File descriptors that may be open.", "%.0f", (double)stats.max_fds);
	PRINT("process_start_time_seconds", "gauge", "Unix time of its start.", "%.2f", stats.start_seconds);
#undef PRINT
}

char *
metrics_text(size_t *ret_bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_bytes);

	if (out == NULL)
		abort();
	print_ours(out);
	print_process(out);
	if (fclose(out) != 0)
		abort();
	return text;
}
