/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share: an input taken apart, and the promises that hold for every answer.
 *
 * A target is one file, fuzz_NAME.c, that opens with the sources it is about ("Reads: ...") and then with
 * what must be true of every input. Not crashing is the least of it. Add a target: such a file, seeds for
 * it in seeds.py, and a bug that it must find in planted. */
#ifndef TOKEND_TESTS_FUZZ_HARNESS_H
#define TOKEND_TESTS_FUZZ_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/base/span.h"
#include "service/status.h"

struct config;
struct err;
struct policy;

/* What libFuzzer calls. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A promise. A broken one ends the process, which is how libFuzzer knows a finding. */
#define HOLDS(promise) ((promise) ? (void)0 : harness_broken(#promise, __FILE__, __LINE__))
_Noreturn void harness_broken(const char *promise, const char *file, int line);

/* ---- the input, taken from the front; an input that is too short goes on with zeros and empty spans
 * ------------- */

struct feed {
	struct span rest;
	struct feed_block *blocks;
};

struct feed feed_of(const uint8_t *data, size_t bytes);
uint8_t feed_byte(struct feed *f);
uint64_t feed_number(struct feed *f);          /* 8 bytes, big-endian */
/* A length in one byte (0xff: two more), then the bytes. Each span is an allocation of its own, exactly as
 * large as it is, so that the sanitizer sees the first byte read past it. Lives until feed_end. */
struct span feed_span(struct feed *f);
const char *feed_text(struct feed *f);         /* the same, up to the first NUL, with a NUL */
struct span feed_rest(struct feed *f);
void feed_end(struct feed *f);

/* ---- promises that every room makes
 * ------------------------------------------------------------------------------ */

/* A refusal can be sent: of this table's row and about, a sentence in UTF-8, details likewise. */
void harness_refusal(const struct status *s, enum status_about about);
/* An error can be shown: one sentence, on one line, in UTF-8. */
void harness_sentence(const struct err *e);
bool harness_printable(const char *text);
/* Holds the JSON text what cJSON cuts strings at: a NUL, \u0000, or a \u without its digits? */
bool harness_cuts_strings(struct span json);

/* ---- a world to decide in
 * ---------------------------------------------------------------------------------------- */

#define HARNESS_NOW INT64_C(1795507200)        /* 2026-11-24T08:00:00Z */
#define HARNESS_ID "orders-7f3a"
#define HARNESS_PRINCIPAL "telemetry"
#define HARNESS_KEY_ID "t-2026a"
#define HARNESS_BOX_ID "t-box1"
#define HARNESS_ACCOUNT "11111111-2222-3333-4444-555555555555"
#define HARNESS_CLUSTER "66666666-7777-8888-9999-aaaaaaaaaaaa"

/* Clusters prod (dedicated) and edge (clustered). */
const struct config *harness_config(void);
/* Principal telemetry, whose signing key comes of a seed of 32 times 0x11; it may read and write telemetry_*
 * and db/1 on prod for up to 90 days, and read every database on edge, for ever. */
const struct policy *harness_policy(void);
void harness_signing_secret(unsigned char ret_secret[64]);

/* The path of a file that holds these bytes, until the next call. In memory. */
const char *harness_file(struct span bytes);

#endif
