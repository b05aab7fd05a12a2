/* SPDX-License-Identifier: Apache-2.0 */
/* What InfluxDB's own API takes to create a token, as what is wanted. */
#ifndef TOKEND_CTL_WANTED_JSON_H
#define TOKEND_CTL_WANTED_JSON_H

struct arena;
struct err;
struct wanted;

/* Fill description, expiry and permissions, which are empty so far, from that file ("-": standard input). In the
 * arena. Fails (ERR_REFUSE) with a sentence that names the file and the member, or line and column. */
int wanted_json_read(const char *path, struct arena *a, struct wanted *w, struct err *ret_err);

#endif
