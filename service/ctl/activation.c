/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has InfluxDB begun to take a new token?
 *
 * A fresh token may answer 401 for seconds to minutes. A pipeline that uses it at once fails, and one
 * that asks for another makes the same mistake twice; so the waiting is done here, against an address
 * that the token is for. What the address answers beside 401 is not ours to judge: a 403 or a 404 is
 * the answer to somebody who is known. Only what says nothing of the token (a redirection) ends the
 * waiting, and what passes (429, 5xx, no connection) goes on with it.
 *
 * The token travels as it will later: over TLS that is verified, or within this machine. Through no
 * proxy, to no other address, and never to where a redirection points.
 */
#include "service/ctl/activation.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "service/base/clock.h"
#include "service/base/err.h"
#include "service/base/secret.h"
#include "service/base/text.h"
#include "service/ctl/output.h"

#define FIRST_PAUSE_MS 200
#define PAUSE_MOST_MS 2000
#define ONE_CALL_MS 10000
#define LAST_CALL_MS 500
#define SCHEME "Authorization: Bearer "

struct asking {
	CURL *easy;
	struct curl_slist header;       /* its one line is in guarded memory */
	char why[CURL_ERROR_SIZE];      /* of the last call that got no answer */
	long status;                    /* of the last answer; 0: none */
};

enum activation
activation_of_status(long status)
{
	if (status == 401 || status == 408 || status == 429 || status >= 500)
		return ACTIVATION_NOT_YET;
	return status >= 300 && status < 400 ? ACTIVATION_UNKNOWN : ACTIVATION_ACTIVE;
}

/* A part of the URL as curl itself will understand it; "" when there is none. */
static bool
part_is(CURLU *url, CURLUPart part, const char *const *words, size_t n_words)
{
	char *text = NULL;
	bool found = false;

	(void)curl_url_get(url, part, &text, 0);
	for (size_t i = 0; i < n_words; i++)
		found = found || strcmp(text != NULL ? text : "", words[i]) == 0;
	curl_free(text);
	return found;
}

int
activation_check(const char *url, struct err *ret_err)
{
	static const char *const tls[] = { "https" }, *const plain[] = { "http" }, *const none[] = { "" };
	static const char *const here[] = { "127.0.0.1", "localhost", "[::1]" };
	CURLU *parts = curl_url();
	char shown[TEXT_SHOWN_ROOM];
	bool parsed = parts != NULL && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK;
	bool fits = parsed && part_is(parts, CURLUPART_USER, none, 1) &&
	    (part_is(parts, CURLUPART_SCHEME, tls, 1) ||
	    (part_is(parts, CURLUPART_SCHEME, plain, 1) && part_is(parts, CURLUPART_HOST, here, 3)));

	curl_url_cleanup(parts);
	if (fits)
		return 0;
	return err_set(ret_err, ERR_REFUSE, "--wait-active \"%s\": a token is sent to https://..., or to http:// on "
	    "127.0.0.1, localhost or [::1], and to nothing else", text_shown(span_str(url), shown));
}

static size_t
drop(char *data, size_t size, size_t n, void *context)
{
	(void)data;
	(void)context;
	return size * n;
}

static int
prepare(struct asking *a, const char *url, const char *token, struct err *ret_err)
{
	size_t bytes = strlen(SCHEME) + strlen(token) + 1;

	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, secret_malloc, secret_free, secret_realloc, secret_strdup,
	    secret_calloc) != CURLE_OK)
		return err_set(ret_err, ERR_FATAL, "libcurl cannot begin");
	a->header.data = (char *)secret_guarded_new(bytes);
	a->easy = curl_easy_init();
	if (a->header.data == NULL || a->easy == NULL)
		return err_set(ret_err, ERR_FATAL, "there is no memory to ask with");
	memcpy(stpcpy(a->header.data, SCHEME), token, strlen(token) + 1);
	if (curl_easy_setopt(a->easy, CURLOPT_URL, url) != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_PROXY, "") != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_FOLLOWLOCATION, 0L) != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_HTTPHEADER, &a->header) != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_ERRORBUFFER, a->why) != CURLE_OK ||
	    curl_easy_setopt(a->easy, CURLOPT_WRITEFUNCTION, drop) != CURLE_OK)
		return err_set(ret_err, ERR_FATAL, "libcurl cannot do what is needed to ask safely");
	return 0;
}

static void
ask_once(struct asking *a, uint64_t most_ms)
{
	CURLcode code;

	a->why[0] = '\0';
	a->status = 0;
	(void)curl_easy_setopt(a->easy, CURLOPT_TIMEOUT_MS, (long)(most_ms < ONE_CALL_MS ? most_ms : ONE_CALL_MS));
	code = curl_easy_perform(a->easy);
	if (code == CURLE_OK)
		(void)curl_easy_getinfo(a->easy, CURLINFO_RESPONSE_CODE, &a->status);
	else if (a->why[0] == '\0')
		(void)snprintf(a->why, sizeof(a->why), "%s", curl_easy_strerror(code));
}

static const char *
last_answer(const struct asking *a, char room[CURL_ERROR_SIZE + 32])
{
	if (a->status != 0)
		(void)snprintf(room, CURL_ERROR_SIZE + 32, "HTTP %ld", a->status);
	else
		(void)snprintf(room, CURL_ERROR_SIZE + 32, "none: %s", a->why);
	return room;
}

static void
show_progress(const struct asking *a, uint64_t passed_ms, uint64_t timeout_ms)
{
	char room[CURL_ERROR_SIZE + 32];

	if (isatty(STDERR_FILENO))
		(void)fprintf(stderr, "\r\033[Kwaiting until the token is active: %llu of %llu s (last answer: %s) ",
		    (unsigned long long)(passed_ms / 1000), (unsigned long long)(timeout_ms / 1000),
		    last_answer(a, room));
}

static void
clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		(void)fputs("\r\033[K", stderr);
}

static void
pause_ms(uint64_t ms)
{
	const struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000 * 1000000) };

	(void)nanosleep(&t, NULL);
}

/* Ask until the answer says something, or the time is over; the last time when it just is. */
static enum activation
ask_until(struct asking *a, uint64_t since_boot_ms, uint64_t timeout_ms)
{
	uint64_t pause = FIRST_PAUSE_MS, passed = 0;

	for (;;) {
		ask_once(a, passed < timeout_ms ? timeout_ms - passed : LAST_CALL_MS);
		if (a->status != 0 && activation_of_status(a->status) != ACTIVATION_NOT_YET)
			return activation_of_status(a->status);
		passed = clock_boot_ms() - since_boot_ms;
		if (passed >= timeout_ms)
			return ACTIVATION_NOT_YET;
		show_progress(a, passed, timeout_ms);
		pause_ms(pause < timeout_ms - passed ? pause : timeout_ms - passed);
		pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
		passed = clock_boot_ms() - since_boot_ms;
	}
}

static int
settle(const struct asking *a, enum activation what, const char *url, uint64_t since_boot_ms, struct err *ret_err)
{
	char room[CURL_ERROR_SIZE + 32], shown[TEXT_SHOWN_ROOM];
	double seconds = (double)(clock_boot_ms() - since_boot_ms) / 1000;

	(void)text_shown(span_str(url), shown);
	if (what == ACTIVATION_ACTIVE) {
		output_say("the token is active, after %.1f s: %s answers %s", seconds, shown, last_answer(a, room));
		return 0;
	}
	if (what == ACTIVATION_UNKNOWN)
		return err_set(ret_err, ERR_REFUSE,
		    "--wait-active: %s answers %s, which says nothing of a token; give the address that it points to",
		    shown, last_answer(a, room));
	return err_set(ret_err, ERR_RETRY,
	    "the token is not active yet after %.1f s; the last answer of %s: %s", seconds, shown,
	    last_answer(a, room));
}

int
activation_wait(const char *url, const char *token, uint64_t timeout_ms, struct err *ret_err)
{
	struct asking a = { 0 };
	uint64_t since_boot_ms = clock_boot_ms();
	int result = prepare(&a, url, token, ret_err);

	if (result == 0) {
		enum activation what = ask_until(&a, since_boot_ms, timeout_ms);

		clear_progress();
		result = settle(&a, what, url, since_boot_ms, ret_err);
	}
	curl_easy_cleanup(a.easy);
	curl_global_cleanup();
	secret_guarded_free((unsigned char *)a.header.data);
	return result;
}
