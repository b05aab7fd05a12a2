/* Goal: a request goes to nobody but a server that the configured authority vouches for, under the configured name. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <microhttpd.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/config.h"
#include "service/base/mailbox.h"
#include "workers/job.h"
#include "workers/pool.h"

#define DESCRIPTION "d [tokend/1:svc:p:0:66666666-6666-4666-8666-666666666666]"
#define ANSWER "{\"id\":\"55555555-5555-4555-8555-555555555555\",\"description\":\"" DESCRIPTION "\"," \
	"\"permissions\":[{\"action\":\"read\",\"resource\":\"db\"}],\"createdAt\":\"2023-12-21T17:32:28Z\"," \
	"\"accessToken\":\"apiv1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}"
#define PEM_ROOM 4096

/* A certificate that vouches for itself. */
struct identity {
	char certificate[PEM_ROOM], key[PEM_ROOM];
	char file[64];                  /* holds the certificate */
};

static void
read_back(BIO *bio, char pem[PEM_ROOM])
{
	int n = BIO_read(bio, pem, PEM_ROOM - 1);

	assert_true(n > 0);
	pem[n] = '\0';
	BIO_free(bio);
}

static void
write_file(const char *content, char path[64])
{
	int fd;

	(void)strcpy(path, "/tmp/tokend-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	(void)close(fd);
}

/* For the name that subject_alternative gives: "IP:127.0.0.1", "DNS:example.org". */
static void
invent_identity(struct identity *id, const char *subject_alternative)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_EXTENSION *name = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, subject_alternative);
	BIO *certificate_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());

	(void)X509_set_version(certificate, X509_VERSION_3);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	(void)X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	(void)X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	(void)X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
	    (const unsigned char *)"test", -1, -1, 0);
	(void)X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	(void)X509_set_pubkey(certificate, key);
	(void)X509_add_ext(certificate, name, -1);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	(void)PEM_write_bio_X509(certificate_pem, certificate);
	(void)PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL);
	read_back(certificate_pem, id->certificate);
	read_back(key_pem, id->key);
	write_file(id->certificate, id->file);
	X509_EXTENSION_free(name);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* ---- the server ---- */

static _Atomic unsigned requests;

static enum MHD_Result
handle(void *userp, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *data, size_t *data_bytes, void **at)
{
	static int seen;
	struct MHD_Response *response;
	enum MHD_Result queued;

	(void)userp, (void)url, (void)method, (void)version, (void)data;
	if (*at == NULL) {
		requests++;
		*at = &seen;
		return MHD_YES;
	}
	if (*data_bytes > 0) {
		*data_bytes = 0;
		return MHD_YES;
	}
	response = MHD_create_response_from_buffer(strlen(ANSWER), (void *)(uintptr_t)ANSWER, MHD_RESPMEM_PERSISTENT);
	queued = MHD_queue_response(connection, 200, response);
	MHD_destroy_response(response);
	return queued;
}

static struct MHD_Daemon *
start_server(const struct identity *id, char url[64])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct MHD_Daemon *server = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0,
	    NULL, NULL, handle, NULL, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_HTTPS_MEM_CERT, id->certificate,
	    MHD_OPTION_HTTPS_MEM_KEY, id->key, MHD_OPTION_END);

	assert_non_null(server);
	(void)snprintf(url, 64, "https://127.0.0.1:%u", MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port);
	return server;
}

/* ---- one call ---- */

/* Ask the server with that identity, trusting what ca_file holds; NULL: the system's authorities. */
static void
expect_call(const struct identity *id, const char *ca_file, enum verdict verdict)
{
	static const struct permission asked[] = { { PERMISSION_READ, "db" } };
	char url[64], token_file[64], name[] = "prod";
	struct MHD_Daemon *server = start_server(id, url);
	struct cluster cluster = { .name = name, .product = CLUSTER_CLUSTERED, .url = url,
	    .management_token_file = token_file, .ca_file = (char *)(uintptr_t)ca_file, .max_concurrency = 1 };
	struct mailbox *outcomes = mailbox_new(NULL);
	struct pollfd fd = { .fd = mailbox_fd(outcomes), .events = POLLIN };
	uint64_t now = clock_boot_ms();
	struct job job = { .verb = JOB_CREATE, .lease_until_boot_ms = now + 5000, .not_after_boot_ms = now + 10000,
	    .description = DESCRIPTION, .permissions = asked, .n_permissions = 1 };
	struct pool *pool;

	requests = 0;
	write_file("management-token", token_file);
	pool = pool_new(&(struct pool_options){
	    .threads = 1, .clusters = &cluster, .n_clusters = 1, .outcomes = outcomes }, NULL);
	assert_non_null(pool);
	pool_submit(pool, &job);
	assert_int_equal(poll(&fd, 1, 10000), 1);
	assert_ptr_equal(mailbox_take(outcomes), &job);
	if (job.verdict != verdict)
		fail_msg("%s: %s", verdict_label(job.verdict), job.message);
	assert_int_equal(job.left, verdict == VERDICT_CREATED);
	assert_int_equal(requests, verdict == VERDICT_CREATED ? 1 : 0);
	pool_return(pool, &job);
	pool_free(pool);
	mailbox_free(outcomes);
	MHD_stop_daemon(server);
	(void)unlink(token_file);
}

static void
the_configured_authority_is_trusted(void **state)
{
	struct identity ours;

	(void)state;
	invent_identity(&ours, "IP:127.0.0.1");
	expect_call(&ours, ours.file, VERDICT_CREATED);
	(void)unlink(ours.file);
}

static void
another_authority_is_not(void **state)
{
	struct identity ours, theirs;

	(void)state;
	invent_identity(&ours, "IP:127.0.0.1");
	invent_identity(&theirs, "IP:127.0.0.1");
	expect_call(&theirs, ours.file, VERDICT_NOT_SENT);
	expect_call(&theirs, NULL, VERDICT_NOT_SENT);
	(void)unlink(ours.file);
	(void)unlink(theirs.file);
}

static void
another_name_is_not(void **state)
{
	struct identity ours;

	(void)state;
	invent_identity(&ours, "DNS:elsewhere.example");
	expect_call(&ours, ours.file, VERDICT_NOT_SENT);
	(void)unlink(ours.file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_configured_authority_is_trusted),
		cmocka_unit_test(another_authority_is_not),
		cmocka_unit_test(another_name_is_not),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
