/* SPDX-License-Identifier: Apache-2.0 */
/* How the four topics must be, in one table: tokenctl creates them so, tokend holds them against it at its
 * start. Pure; any thread.
 *
 * ROW(role, setting, fit, value, weight, why). MUST: the promise breaks without it, and the service does not
 * start. SHOULD: an outage of brokers may break it, and the service warns. */
#ifndef TOKEND_BASE_TOPIC_POLICY_H
#define TOKEND_BASE_TOPIC_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#define TOPIC_POLICIES(ROW) \
	ROW(REQUESTS,    "cleanup.policy",         SET,      "delete",         MUST,   "compaction would remove requests that nobody has answered") \
	ROW(REPLIES,     "cleanup.policy",         SET,      "delete",         MUST,   "compaction lets a later record hide an earlier sealed reply") \
	ROW(JOURNAL,     "cleanup.policy",         SET,      "compact,delete", MUST,   "only the last record of a request counts, for as long as it is remembered") \
	ROW(JOURNAL,     "retention.ms",           AT_LEAST, TOPIC_WINDOW,     MUST,   "an outcome must be remembered for seven days") \
	ROW(JOURNAL,     "retention.bytes",        SET,      "-1",             MUST,   "an outcome must not go because others came") \
	ROW(REPLIES,     "max.message.bytes",      AT_LEAST, TOPIC_MESSAGE,    MUST,   "a reply that does not fit would hold up all others") \
	ROW(JOURNAL,     "max.message.bytes",      AT_LEAST, TOPIC_MESSAGE,    MUST,   "an outcome that does not fit would hold up all others") \
	ROW(DEADLETTERS, "max.message.bytes",      AT_LEAST, TOPIC_MESSAGE,    MUST,   "a dead letter that does not fit would hold up all requests") \
	ROW(DEADLETTERS, "cleanup.policy",         SET,      "delete",         MUST,   "a record without a key cannot be written to a compacted topic") \
	ROW(JOURNAL,     "message.timestamp.type", SET,      "LogAppendTime",  MUST,   "the journal's age is the broker's word: a wrong clock must not make it forget") \
	ROW(REQUESTS,    "retention.ms",           AT_LEAST, TOPIC_WINDOW,     SHOULD, "a request that expires while the service is down is never answered") \
	ROW(REPLIES,     "retention.ms",           AT_LEAST, TOPIC_WINDOW,     SHOULD, "a requester that comes back late looks for its reply here") \
	ROW(DEADLETTERS, "retention.ms",           AT_LEAST, TOPIC_WINDOW,     SHOULD, "somebody must have time to look") \
	ROW(REQUESTS,    "min.insync.replicas",    AT_LEAST, "2",              SHOULD, "a single broker's loss could lose requests") \
	ROW(REPLIES,     "min.insync.replicas",    AT_LEAST, "2",              SHOULD, "a single broker's loss could lose replies") \
	ROW(JOURNAL,     "min.insync.replicas",    AT_LEAST, "2",              SHOULD, "a single broker's loss could lose outcomes") \
	ROW(DEADLETTERS, "min.insync.replicas",    AT_LEAST, "2",              SHOULD, "a single broker's loss could lose dead letters") \
	ROW(REQUESTS,    "unclean.leader.election.enable", SET, "false",       SHOULD, "a broker that missed records must not lead") \
	ROW(REPLIES,     "unclean.leader.election.enable", SET, "false",       SHOULD, "a broker that missed records must not lead") \
	ROW(JOURNAL,     "unclean.leader.election.enable", SET, "false",       SHOULD, "a broker that missed records must not lead") \
	ROW(DEADLETTERS, "unclean.leader.election.enable", SET, "false",       SHOULD, "a broker that missed records must not lead")

#define TOPIC_WINDOW "604800000"        /* seven days: DURATION_WINDOW */
#define TOPIC_MESSAGE "1000000"         /* bytes: what librdkafka sends at most at once */
#define TOPIC_REPLICATION 3             /* SHOULD, of all four */

enum topic_role { TOPIC_REQUESTS, TOPIC_REPLIES, TOPIC_JOURNAL, TOPIC_DEADLETTERS, TOPIC_ROLES };
/* a comma-separated set, in any order; a number, of which -1 is more than any where Kafka says so */
enum topic_fit { TOPIC_FIT_SET, TOPIC_FIT_AT_LEAST };
enum topic_weight { TOPIC_SHOULD, TOPIC_MUST };

struct topic_policy {
	enum topic_role role;
	const char *setting;            /* Kafka's name of it */
	enum topic_fit fit;
	const char *value;
	enum topic_weight weight;
	const char *why;
};

/* All rows; how many. */
const struct topic_policy *topic_policies(size_t *ret_n);

/* Does the topic's value do? */
bool topic_policy_fits(const struct topic_policy *p, const char *value);

#endif
