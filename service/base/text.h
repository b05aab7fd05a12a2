/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign bytes made fit to be read by people, and the small formats that we share. Pure; any thread. */
#ifndef TOKEND_BASE_TEXT_H
#define TOKEND_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "service/base/span.h"

#define TEXT_SHOWN_BYTES 128            /* of an offending value, at most this much is shown */
#define TEXT_SHOWN_ROOM (TEXT_SHOWN_BYTES * 4 + 4)
#define TEXT_RFC3339_ROOM 40

/* Write value into room as printable text: control bytes, backslashes, double quotes and anything that
 * is not UTF-8 as \xNN, cut after TEXT_SHOWN_BYTES bytes of it (then "…" follows).  Returns room. */
const char *text_shown(struct span value, char room[TEXT_SHOWN_ROOM]);

/* Bytes of the UTF-8 character that value begins with; 0 when it begins with none. */
size_t text_character(struct span value);
/* Does value begin with a character that can be shown as it is? Not: control characters, and those that
 * break lines or turn the direction of reading. */
bool text_is_printable(struct span value);

/* Valid UTF-8 without NUL? */
bool text_is_utf8(struct span value);

/* At most max bytes of value, cut at a character's boundary. */
struct span text_cut(struct span value, size_t max_bytes);

/* Lower-case hex; room holds 2 * bytes + 1. */
const char *text_hex(struct span value, char *room);

/* 8-4-4-4-12 lower-case hex digits?  text_uuid writes one (room: 37 bytes). */
bool text_is_uuid(struct span value);
const char *text_uuid(const unsigned char uuid[16], char room[37]);

/* Unix seconds <-> RFC 3339.  text_time writes "2026-11-24T08:20:00Z" (micros >= 0: with six decimals).
 * text_parse_time takes what RFC 3339 allows, an offset without a colon ("+0000", as `date +%z` prints it)
 * and fractions, too; returns false on anything else. */
const char *text_time(int64_t seconds, int64_t micros, char room[TEXT_RFC3339_ROOM]);
bool text_parse_time(struct span value, int64_t *ret_seconds, int32_t *ret_nanos);

/* "250ms" "10s" "15m" "1h" "90d" -> milliseconds; false on anything else or above ten years. */
bool text_parse_duration(struct span value, uint64_t *ret_ms);

/* Base64 of the standard alphabet, padded, nothing else: returns the number of bytes, or -1 (malformed,
 * or more than max_bytes).  text_base64 writes (bytes + 2) / 3 * 4 + 1 characters. */
long text_parse_base64(struct span value, unsigned char *ret_bytes, size_t max_bytes);
const char *text_base64(struct span value, char *room);

/* All bytes of value from the set?  The set is a strspn-like list of characters. */
bool text_only(struct span value, const char *set);
extern const char TEXT_REQUEST_ID[], TEXT_PRINCIPAL[], TEXT_SERVICE_ID[], TEXT_DATABASE[];

/* The rules of the contract for names, lengths included. */
bool text_is_request_id(struct span value);    /* 1-128 of [A-Za-z0-9._:-] */
bool text_is_principal(struct span value);     /* 1-64 of [a-z0-9._-] */
bool text_is_service_id(struct span value);    /* 1-32 of [a-z0-9-] */
bool text_is_database(struct span value);      /* 1-64 of [A-Za-z0-9_/-] */
/* 1-200 bytes of UTF-8, no control characters, no blank at an end, no "[tokend/" */
bool text_is_description(struct span value);

#endif
