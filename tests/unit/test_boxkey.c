/* Goal: exactly the keys to which libsodium would not seal are refused before a token is created for them. */
/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "service/base/boxkey.h"

static int
sodium_can_seal(const unsigned char key[BOXKEY_BYTES])
{
	unsigned char box[crypto_box_SEALBYTES + 1];

	return crypto_box_seal(box, (const unsigned char *)"x", 1, key) == 0;
}

static void
expect_same_judgement(const unsigned char key[BOXKEY_BYTES], int *refused)
{
	assert_int_equal(boxkey_usable(key), sodium_can_seal(key));
	*refused += !boxkey_usable(key);
}

/* Every small number, with and without the bit that does not count, and their mirrors below and above p. */
static void
numbers_around_zero_and_p(void **state)
{
	int refused = 0;

	(void)state;
	for (unsigned top = 0; top <= 0x80; top += 0x80) {
		for (unsigned low = 0; low < 256; low++) {
			unsigned char key[BOXKEY_BYTES] = { (unsigned char)low };

			key[31] = (unsigned char)top;
			expect_same_judgement(key, &refused);
			memset(key + 1, 0xff, 30);
			key[31] = (unsigned char)(0x7f | top);
			expect_same_judgement(key, &refused);
		}
	}
	assert_int_equal(refused, 2 * 5);
}

static void
points_of_order_eight(void **state)
{
	static const char *const hex[] = {
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		unsigned char key[BOXKEY_BYTES];
		int refused = 0;

		assert_int_equal(sodium_hex2bin(key, sizeof(key), hex[i], 64, NULL, NULL, NULL), 0);
		expect_same_judgement(key, &refused);
		key[31] |= 0x80;
		expect_same_judgement(key, &refused);
		assert_int_equal(refused, 2);
		key[0] ^= 1;
		expect_same_judgement(key, &refused);
		assert_int_equal(refused, 2);
	}
}

/* Each of the seven; the bit that does not count is set by turns. */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

#define LOW_ORDERS (sizeof(low_order) / sizeof(low_order[0]))

/* With these anybody knows the shared secret: it is zero, whatever the other one's. */
static void
every_secret_shares_zero_with_them(void **state)
{
	unsigned char key[BOXKEY_BYTES], secret[32], shared[32];

	(void)state;
	for (size_t i = 0; i < 2 * LOW_ORDERS; i++) {
		assert_int_equal(sodium_hex2bin(key, sizeof(key), low_order[i / 2], 64, NULL, NULL, NULL), 0);
		key[31] |= (unsigned char)(i % 2 << 7);
		assert_false(boxkey_usable(key));
		randombytes_buf(secret, sizeof(secret));
		assert_int_equal(crypto_scalarmult(shared, secret, key), -1);
	}
}

/* A key that differs from one of them in a single bit is another point: not one too many is refused. */
static void
their_neighbours(void **state)
{
	unsigned char key[BOXKEY_BYTES];
	int refused = 0;

	(void)state;
	for (size_t i = 0; i < LOW_ORDERS; i++) {
		assert_int_equal(sodium_hex2bin(key, sizeof(key), low_order[i], 64, NULL, NULL, NULL), 0);
		for (unsigned bit = 0; bit < 255; bit++) {
			key[bit / 8] ^= (unsigned char)(1u << bit % 8);
			expect_same_judgement(key, &refused);
			key[bit / 8] ^= (unsigned char)(1u << bit % 8);
		}
	}
	assert_int_equal(refused, 6);        /* 0 and 1 are neighbours; p - 1 is one of p and of p + 1 */
}

static void
honest_keys(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		unsigned char public_key[BOXKEY_BYTES], secret[32];
		int refused = 0;

		crypto_box_keypair(public_key, secret);
		expect_same_judgement(public_key, &refused);
		assert_int_equal(refused, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_around_zero_and_p),
		cmocka_unit_test(points_of_order_eight),
		cmocka_unit_test(every_secret_shares_zero_with_them),
		cmocka_unit_test(their_neighbours),
		cmocka_unit_test(honest_keys),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
