/* SPDX-License-Identifier: Apache-2.0 */
/* The three ports' handlers, and what they share. */
#ifndef SANDBOX_PORTS_H
#define SANDBOX_PORTS_H

#include <stddef.h>

struct bearer;
struct faults;
struct http_request;
struct store;
struct store_cluster;

struct world {
	struct store *store;
	struct faults *faults;
	struct bearer *bearer;
	const struct store_cluster *clusters; size_t n_clusters;        /* the first is Clustered */
	const char *const *databases; size_t n_databases;               /* none: any exists */
};

/* The Management API, both products on one port. */
void api_handle(struct http_request *r, void *world);
/* Where tokens are used: 401 until a token is active. */
void data_handle(struct http_request *r, void *world);
/* Faults, and the truth. */
void control_handle(struct http_request *r, void *world);

#endif
