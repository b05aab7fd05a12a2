/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tokend would be if nobody had thought of what stays behind in memory.
 *
 * A search that finds nothing proves little until it has found something. So tokend is linked a second time, out of
 * the very same objects and this file, and bound lazily: what is defined in a program outranks what its libraries
 * define, so here their allocators stay as they come, guarded memory is malloc's, and nothing is wiped. In
 * tokend-naive tokens must be found where in tokend there are none (tests/e2e/test_memory.py).
 *
 * Nothing of it is in any program that is installed.
 */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* What explicit_bzero is called when the compiler knows how much room there is. The C library's headers declare it only
 * where they use it. */
/* NOLINTNEXTLINE(bugprone-*,readability-redundant-declaration,readability-inconsistent-declaration-parameter-name) */
void __explicit_bzero_chk(void *p, size_t bytes, size_t room);

/* ---- nothing is wiped ---- */

void
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
explicit_bzero(void *p, size_t bytes)
{
	(void)p, (void)bytes;
}

void
/* NOLINTNEXTLINE(bugprone-*,readability-inconsistent-declaration-parameter-name) */
__explicit_bzero_chk(void *p, size_t bytes, size_t room)
{
	(void)p, (void)bytes, (void)room;
}

void
sodium_memzero(void *const p, const size_t bytes)
{
	(void)p, (void)bytes;
}

void
sodium_stackzero(const size_t bytes)
{
	(void)bytes;
}

/* ---- nothing is guarded, locked, or left out of a core file ---- */

void *
sodium_malloc(const size_t bytes)
{
	return malloc(bytes);
}

void
sodium_free(void *p)
{
	free(p);
}

int
sodium_mprotect_readonly(void *p)
{
	(void)p;
	return 0;
}

/* ---- the libraries keep their own allocators ---- */

int
CRYPTO_set_mem_functions(CRYPTO_malloc_fn m, CRYPTO_realloc_fn r, CRYPTO_free_fn f)
{
	(void)m, (void)r, (void)f;
	return 1;
}

CURLcode
curl_global_init_mem(long flags, curl_malloc_callback m, curl_free_callback f, curl_realloc_callback r,
    curl_strdup_callback s, curl_calloc_callback c)
{
	(void)m, (void)f, (void)r, (void)s, (void)c;
	return curl_global_init(flags);
}

void
cJSON_InitHooks(cJSON_Hooks *hooks)
{
	(void)hooks;
}
