/* SPDX-License-Identifier: Apache-2.0 */
/* From what was typed to a signed request on disk: what every command that asks has in common. */
#ifndef TOKEND_CTL_ASK_H
#define TOKEND_CTL_ASK_H

#include "service/ctl/options.h"
#include "service/ctl/request.h"

struct err;
struct invocation;
struct profile;

struct ask_flags {
	struct options_list permissions;
	const char *expires_at, *json, *request_id;
	uint64_t deadline_ms;
};

/* Rows for a command whose own struct has a struct ask_flags as that member. */
#define ASK_ROWS(structure, member) \
	{ "read-database", 0, OPTION_LIST, offsetof(structure, member.permissions), TOKEND__V1__ACTION__READ, \
	    "NAME", "the token may query it; * for every database; repeatable" }, \
	{ "write-database", 0, OPTION_LIST, offsetof(structure, member.permissions), TOKEND__V1__ACTION__WRITE, \
	    "NAME", "the token may write to it; * for every database; repeatable" }, \
	{ "expires-at", 0, OPTION_TEXT, offsetof(structure, member.expires_at), 0, "TIME", \
	    "RFC 3339, or with +0000 as date +%z prints it; without it the token never expires" }, \
	{ "json", 0, OPTION_TEXT, offsetof(structure, member.json), 0, "FILE", \
	    "description, permissions and expiry as the body that InfluxDB's own API takes; - for standard input" }, \
	{ "request-id", 0, OPTION_TEXT, offsetof(structure, member.request_id), 0, "ID", \
	    "name the request (default: a new UUID); an ID used before: the very same record again" }, \
	{ "deadline", 0, OPTION_DURATION, offsetof(structure, member.deadline_ms), 0, "DURATION", \
	    "how long the service may go on trying (default 15m)" }

/* The request: one stored under that ID, if what was typed beside does not contradict it; else a new one, signed
 * and stored in the profile's state_dir. Fails (ERR_REFUSE) with a sentence, and then nothing was stored. */
int ask_sign(const struct invocation *v, const struct ask_flags *f, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err);

/* The one stored under that ID. Fails when there is none, or when it is another profile's. */
int ask_stored(const struct invocation *v, const char *request_id, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err);

/* A GetOutcome about that ID, signed: about the stored request, else about one whose bytes are lost. The service shall
 * wait for what is in flight until shortly before --timeout is over. Fails as ask_stored does, but for the missing
 * one. */
int ask_outcome(const struct invocation *v, const char *request_id, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err);

/* Before anybody is asked whether to revoke that ID's token: the stored request, NULL when its bytes are not here.
 * Fails when the ID is none, or another profile's. */
int ask_revocable(const struct invocation *v, const char *request_id, const struct profile *p,
    const Tokend__V1__CreateTokenRequest **ret_create, struct err *ret_err);

/* A RevokeToken about that ID, signed now: its time begins to run. */
int ask_revocation(const struct invocation *v, const char *request_id, const char *reason, const struct profile *p,
    struct signed_request *ret_request, struct err *ret_err);

/* Others can read a key: say so. */
void ask_warn_if_public(const char *path);

#endif
