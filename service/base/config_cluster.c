/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters: where the management token goes. So a URL is judged character by character: https, a host,
 * maybe a port, and nothing with which a request could be led elsewhere (user names, paths, queries).
 * Plain http is for a sandbox on this machine alone.
 *
 * The digest says what a cluster's name means. The journal keeps it: an attempt that was begun against
 * one cluster must not be looked for in another that took over its name.
 */
#include "service/base/config_build.h"

#include "service/base/dsse.h"
#include "service/base/err.h"
#include "service/base/text.h"

#define NAME_BYTES_MOST 64
#define CONCURRENCY_MOST 1000

_Static_assert(CLUSTER_DIGEST_BYTES == DSSE_HASH_BYTES, "SHA-256");

static const char *const product_words[] = { [CLUSTER_DEDICATED] = "dedicated", [CLUSTER_CLUSTERED] = "clustered" };
static const char host_characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
static const char ipv6_characters[] = "ABCDEFabcdef0123456789:.";

static bool
port_valid(struct span port)
{
	int number = 0;

	if (port.bytes < 1 || port.bytes > 5 || port.data[0] == '0' || !text_only(port, "0123456789"))
		return false;
	for (size_t i = 0; i < port.bytes; i++)
		number = number * 10 + (port.data[i] - '0');
	return number <= 65535;
}

/* Split "host:port" or "[address]:port"; the port is empty when there is none. */
static bool
split_host(const char *text, struct span *ret_host, struct span *ret_port)
{
	const char *end;

	if (text[0] == '[') {
		end = strchr(text, ']');
		if (end == NULL || end == text + 1 ||
		    !text_only(span_of(text + 1, (size_t)(end - text - 1)), ipv6_characters))
			return false;
		end++;
	} else {
		end = text + strcspn(text, ":");
		if (end == text || !text_only(span_of(text, (size_t)(end - text)), host_characters))
			return false;
	}
	*ret_host = span_of(text, (size_t)(end - text));
	*ret_port = span_of(NULL, 0);
	if (*end == '\0')
		return true;
	*ret_port = span_str(end + 1);
	return *end == ':' && port_valid(*ret_port);
}

static bool
is_loopback(struct span host)
{
	return span_is(host, "127.0.0.1") || span_is(host, "localhost") || span_is(host, "[::1]");
}

static int
build_url(const struct config_build *b, const char *url, char **ret, struct err *ret_err)
{
	static const char tls[] = "https://", plain[] = "http://";
	struct span host, port;
	bool is_plain = strncmp(url, plain, strlen(plain)) == 0;

	if (!is_plain && strncmp(url, tls, strlen(tls)) != 0)
		return config_refuse("url", url, "https://host[:port]", ret_err);
	if (!split_host(url + strlen(is_plain ? plain : tls), &host, &port))
		return config_refuse("url", url, "https://host[:port], with nothing behind, not even a slash",
		    ret_err);
	if (is_plain && !is_loopback(host))
		return config_refuse("url", url, "https: plain http is for 127.0.0.1, localhost and [::1] only",
		    ret_err);
	*ret = arena_text(b->arena, "%s", url);
	return 0;
}

/* A dedicated cluster has both ids, a clustered one none: its URL says all. */
static int
build_id(const struct config_build *b, enum cluster_product product, const char *key, const char *id, char **ret,
    struct err *ret_err)
{
	if (product == CLUSTER_CLUSTERED) {
		if (id != NULL)
			return config_refuse(key, id, "absent: a clustered cluster has none", ret_err);
		return 0;
	}
	if (id == NULL)
		return err_set(ret_err, ERR_REFUSE, "%s is missing: a dedicated cluster has one", key);
	if (!text_is_uuid(span_str(id)))
		return config_refuse(key, id, "a UUID in lower case", ret_err);
	*ret = arena_text(b->arena, "%s", id);
	return 0;
}

static int
build_words(const struct config_file_cluster *f, struct cluster *c, struct err *ret_err)
{
	if (strcmp(f->product, product_words[CLUSTER_DEDICATED]) == 0)
		c->product = CLUSTER_DEDICATED;
	else if (strcmp(f->product, product_words[CLUSTER_CLUSTERED]) == 0)
		c->product = CLUSTER_CLUSTERED;
	else
		return config_refuse("product", f->product, "dedicated or clustered", ret_err);
	if (config_bool("retiring", f->retiring, &c->retiring, ret_err) != 0)
		return -1;
	return config_number("max_concurrency", f->max_concurrency, 1, CONCURRENCY_MOST, &c->max_concurrency, ret_err);
}

static int
build_cluster(const struct config_build *b, const struct config_file_cluster *f, struct cluster *c, struct err *ret_err)
{
	const char *meaning;

	if (config_name("name", f->name, NAME_BYTES_MOST, &CONFIG_LOWER, ret_err) != 0 ||
	    build_words(f, c, ret_err) != 0 ||
	    build_url(b, f->url, &c->url, ret_err) != 0 ||
	    build_id(b, c->product, "account_id", f->account_id, &c->account_id, ret_err) != 0 ||
	    build_id(b, c->product, "cluster_id", f->cluster_id, &c->cluster_id, ret_err) != 0)
		return -1;
	c->name = arena_text(b->arena, "%s", f->name);
	c->management_token_file = config_path(b, f->management_token_file);
	c->ca_file = f->ca_file != NULL ? config_path(b, f->ca_file) : NULL;
	meaning = arena_text(b->arena, "%s\n%s\n%s\n%s", product_words[c->product], c->url,
	    c->account_id != NULL ? c->account_id : "", c->cluster_id != NULL ? c->cluster_id : "");
	dsse_sha256(span_str(meaning), c->digest);
	return 0;
}

/* Two names for one cluster would mean two limits for it, and two owners for its tokens. */
static bool
same_cluster(const struct cluster *x, const struct cluster *y)
{
	if (x->product != y->product)
		return false;
	if (x->product == CLUSTER_CLUSTERED)
		return strcmp(x->url, y->url) == 0;
	return strcmp(x->account_id, y->account_id) == 0 && strcmp(x->cluster_id, y->cluster_id) == 0;
}

static int
check_unlike(const struct cluster *earlier, const struct cluster *c, struct err *ret_err)
{
	if (strcmp(earlier->name, c->name) == 0)
		return config_refuse("name", c->name, "the name of one cluster only", ret_err);
	if (same_cluster(earlier, c))
		return err_set(ret_err, ERR_REFUSE, "\"%s\" is the same cluster as \"%s\"", c->name, earlier->name);
	return 0;
}

int
config_build_clusters(const struct config_build *b, const struct config_file *f, struct config *c, struct err *ret_err)
{
	c->clusters = arena_alloc(b->arena, f->clusters_count * sizeof(*c->clusters));
	for (size_t i = 0; i < f->clusters_count; i++) {
		if (build_cluster(b, &f->clusters[i], &c->clusters[i], ret_err) != 0)
			return err_prefix(ret_err, "clusters[%zu]", i);
		for (size_t j = 0; j < i; j++)
			if (check_unlike(&c->clusters[j], &c->clusters[i], ret_err) != 0)
				return err_prefix(ret_err, "clusters[%zu]", i);
	}
	c->n_clusters = f->clusters_count;
	return 0;
}
