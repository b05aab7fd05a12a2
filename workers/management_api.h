/* SPDX-License-Identifier: Apache-2.0 */
/* The Management API's words, going out: addresses and the JSON of a create. Any thread, management_api_setup aside. */
#ifndef TOKEND_WORKERS_MANAGEMENT_API_H
#define TOKEND_WORKERS_MANAGEMENT_API_H

struct cluster;
struct err;
struct job;

/* From here on cJSON wipes what it frees. Before threads; it may be called again. */
void management_api_setup(void);

/* Where a cluster's tokens live, and where one of them does. NULL when an id that would go into the path is not a UUID
 * (ERR_REFUSE), or there is no memory. free() it. */
char *management_api_tokens_url(const struct cluster *c, struct err *ret_err);
char *management_api_token_url(const char *tokens_url, const char *token_id, struct err *ret_err);

/* The body of the POST that job describes; NULL when out of memory. secret_free it. */
char *management_api_create_body(const struct job *job);

#endif
