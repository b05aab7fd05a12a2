/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every call is held to: who may answer, over what, and how long it may take.
 *
 * Nothing is followed, decoded or taken from the environment: no redirects, no compression, no proxy, no
 * netrc. HTTP/1.1, because libcurl's HTTP/2 is slower here and its buffers are not ours to wipe. Never
 * CURLOPT_VERBOSE: it would print the management token.
 */
#include "workers/call_options.h"

#include <curl/curl.h>
#include <string.h>

#include "service/base/config.h"
#include "service/base/durations.h"
#include "workers/job.h"

#define IDLE_CONNECTION_S 30L           /* below what load balancers wait before they close one under us */

/* How long a list may be nobody knows. */
uint64_t
call_options_time_left_ms(const struct job *job, uint64_t now_ms)
{
	uint64_t most = job->verb == JOB_LIST ? INT32_MAX : duration_ms(DURATION_CALL);
	uint64_t left = job->not_after_boot_ms > now_ms ? job->not_after_boot_ms - now_ms : 0;

	return left < most ? left : most;
}

static bool
set_security(CURL *easy, const struct cluster *cluster)
{
	bool plain = strncmp(cluster->url, "http://", 7) == 0;

	if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_PROXY, "") != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) != CURLE_OK)
		return false;
	if (cluster->ca_file == NULL)
		return true;
	/* This authority instead of the system's, not beside them: the directory is a default, too. */
	return curl_easy_setopt(easy, CURLOPT_CAINFO, cluster->ca_file) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
}

static bool
set_transfer(CURL *easy, uint64_t timeout_ms)
{
	long connect_ms = (long)duration_ms(DURATION_CONNECT);

	return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_USERAGENT, "tokend/" TOKEND_VERSION) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_S) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK &&
	    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK;
}

bool
call_options_set(void *easy, const struct cluster *cluster, uint64_t timeout_ms)
{
	return set_security(easy, cluster) && set_transfer(easy, timeout_ms);
}
