/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and histograms, and their text for Prometheus.
 *
 * The table below is the closed set: name, kind, labels and help come from it, and so does the README's
 * reference. Add a metric: add a row, then call metrics_at once where the room begins, and metrics_add
 * / metrics_set / metrics_observe where it happens. Labels are bounded sets (codes, clusters,
 * verdicts): never a token, database, request or principal.
 *
 * metrics_at locks and may allocate; the other three are one atomic operation (a histogram: two). Any
 * thread. */
#ifndef TOKEND_BASE_METRICS_H
#define TOKEND_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

/* ROW(id, kind, name, label1, label2, label3, help): unused labels are "". */
#define METRICS(ROW) \
	ROW(REQUESTS, COUNTER, "tokend_requests_total", "method", "code", "", \
	    "Replies committed, by method and status code.") \
	ROW(DEAD_LETTERS, COUNTER, "tokend_dead_letters_total", "reason", "", "", \
	    "Records that could not be answered, by reason.") \
	ROW(API_REQUESTS, COUNTER, "tokend_api_requests_total", "cluster", "verb", "class", \
	    "Calls of the Management API, by what they asked for and what they came to.") \
	ROW(RETRIES, COUNTER, "tokend_retries_total", "cluster", "reason", "", \
	    "Attempts that were followed by another wait.") \
	ROW(TRANSACTIONS, COUNTER, "tokend_transactions_total", "result", "", "", "Kafka transactions, by result.") \
	ROW(REBALANCES, COUNTER, "tokend_rebalances_total", "", "", "", \
	    "Assignments received from the consumer group.") \
	ROW(FENCED, COUNTER, "tokend_fenced_total", "", "", "", \
	    "Transactions of instances that are gone, ended when their partition was taken over.") \
	ROW(LOST_STRINGS, COUNTER, "tokend_lost_strings_total", "cluster", "", "", \
	    "Tokens whose partition was lost before they could be delivered.") \
	ROW(SWEEPS, COUNTER, "tokend_sweeps_total", "cluster", "result", "", \
	    "Lists of a cluster's tokens looked through for orphans, and those that failed.") \
	ROW(ORPHANS_DELETED, COUNTER, "tokend_orphans_deleted_total", "cluster", "clause", "", \
	    "Tokens deleted because nobody has received them, by the evidence for that.") \
	ROW(RELOADS, COUNTER, "tokend_reload_total", "what", "result", "", \
	    "Files read anew while the process runs: changed, unchanged, failed.") \
	ROW(REQUEST_SECONDS, HISTOGRAM, "tokend_request_duration_seconds", "", "", "", \
	    "From the record's timestamp to its committed reply.") \
	ROW(API_SECONDS, HISTOGRAM, "tokend_api_request_duration_seconds", "cluster", "verb", "", \
	    "One call of the Management API.") \
	ROW(COMMIT_SECONDS, HISTOGRAM, "tokend_commit_duration_seconds", "", "", "", \
	    "One Kafka transaction, begin to acknowledgement.") \
	ROW(INFLIGHT, GAUGE, "tokend_inflight", "cluster", "", "", "Calls in flight.") \
	ROW(CONCURRENCY, GAUGE, "tokend_concurrency_limit", "cluster", "", "", \
	    "Calls that the cluster is allowed now.") \
	ROW(BREAKER_OPEN, GAUGE, "tokend_breaker_open", "cluster", "", "", \
	    "1 while the cluster is left alone after failures.") \
	ROW(CLUSTER_SHUT, GAUGE, "tokend_cluster_shut", "cluster", "", "", \
	    "1 when the cluster takes no requests, because a marker did not come back.") \
	ROW(TOKENS_KEPT, GAUGE, "tokend_tokens_kept", "cluster", "reason", "", \
	    "Tokens with our marker that the last sweep left alone, by the reason; unknown: look at them.") \
	ROW(PENDING, GAUGE, "tokend_pending", "", "", "", "Requests taken and not answered yet.") \
	ROW(ASSIGNED, GAUGE, "tokend_assigned_partitions", "", "", "", "Partitions held.") \
	ROW(JOURNAL_ENTRIES, GAUGE, "tokend_journal_entries", "", "", "", "Requests remembered.") \
	ROW(JOURNAL_CLOSED, GAUGE, "tokend_journal_closed_partitions", "", "", "", \
	    "Partitions closed because their journal cannot be trusted.") \
	ROW(JOURNAL_FILL, GAUGE, "tokend_journal_fill_percent", "partition", "", "", \
	    "How much of max_remembered the partition remembers; at 100 it forgets requests before their time.") \
	ROW(JOURNAL_FULL, GAUGE, "tokend_journal_full_partitions", "", "", "", \
	    "Partitions left unread because all that they remember is still needed.") \
	ROW(LAG, GAUGE, "tokend_consumer_lag", "partition", "", "", \
	    "Records behind the end of the partition, at the last read.") \
	ROW(LOG_LEFT_OUT, COUNTER, "tokend_log_lines_left_out_total", "logger", "", "", \
	    "Lines that were not logged, because there were too many of their kind.") \
	ROW(SECRET_LOADED, GAUGE, "tokend_secret_reload_timestamp_seconds", "secret", "", "", \
	    "Unix time since which the secret has been in use as it is now.") \
	ROW(BUILD_INFO, GAUGE, "tokend_build_info", "version", "librdkafka", "", "Always 1.")

enum metric {
#define ROW(id, kind, name, label1, label2, label3, help) METRIC_##id,
	METRICS(ROW)
#undef ROW
	METRIC_COUNT
};

struct series;                           /* one metric with its labels' values; lives as long as the process */

/* The series; values are copied, NULL or "" where the metric has no such label. */
struct series *metrics_at(enum metric m, const char *value1, const char *value2);
struct series *metrics_at3(enum metric m, const char *value1, const char *value2, const char *value3);

void metrics_add(struct series *s, uint64_t by);          /* counter */
void metrics_set(struct series *s, int64_t value);        /* gauge */
void metrics_observe(struct series *s, uint64_t us);      /* histogram; microseconds */

/* All of it in Prometheus' text format, process_* included; free() it. *ret_bytes without the NUL. */
char *metrics_text(size_t *ret_bytes);

#endif
