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
		cmocka_unit_test(honest_keys),
	};

	return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
