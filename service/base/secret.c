/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where secrets lie while we need them, and how little of them stays behind.
 *
 * Three places hold secret bytes: our own buffers (sodium_malloc: guard pages, locked, wiped on free),
 * what the libraries copy (an allocator that wipes what it frees, given to OpenSSL, libcurl and cJSON),
 * and the process's image (no core file, no ptrace by the same user). None of it helps against root.
 *
 * Reading follows symlinks, because Kubernetes projects a Secret as a chain of them and swaps the
 * middle one to rotate it.
 */
#include "service/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/err.h"

#define PROBE_BYTES ((size_t)1024 * 1024)

struct secret {
	unsigned char *data;            /* guarded, read-only, a NUL behind it */
	size_t bytes;
};

void *
secret_malloc(size_t bytes)
{
	return malloc(bytes);
}

void *
secret_calloc(size_t count, size_t bytes)
{
	return calloc(count, bytes);
}

char *
secret_strdup(const char *text)
{
	return strdup(text);
}

/* All that the allocator gave, not just what was asked for: a library may have used it. */
void
secret_free(void *p)
{
	if (p == NULL)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* Never the C library's realloc, which leaves the old copy behind when it moves. */
void *
secret_realloc(void *p, size_t bytes)
{
	size_t had = p != NULL ? malloc_usable_size(p) : 0;
	void *moved;

	if (p != NULL && bytes == 0) {
		secret_free(p);
		return NULL;
	}
	moved = malloc(bytes);
	if (moved == NULL || p == NULL)
		return moved;
	memcpy(moved, p, had < bytes ? had : bytes);
	secret_free(p);
	return moved;
}

static void *
openssl_malloc(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return bytes > 0 ? secret_malloc(bytes) : NULL;
}

static void *
openssl_realloc(void *p, size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return secret_realloc(p, bytes);
}

static void
openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	secret_free(p);
}

/* How much memory can be locked. The limit is not asked alone: a capability outranks it, and a sandbox may
 * refuse mlock in spite of it; libsodium, which locks what it gives, does not tell. So a mebibyte is tried
 * out, or what of it will do, and the limit's word is taken for more. */
static size_t
lockable(void)
{
	struct rlimit limit = { 0, 0 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *probe = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t bytes = PROBE_BYTES;

	if (probe == MAP_FAILED)
		return 0;
	while (bytes >= page && mlock(probe, bytes) != 0)
		bytes /= 2;
	(void)munmap(probe, PROBE_BYTES);
	if (bytes < PROBE_BYTES)
		return bytes >= page ? bytes : 0;
	(void)getrlimit(RLIMIT_MEMLOCK, &limit);
	return limit.rlim_cur > PROBE_BYTES ? (size_t)limit.rlim_cur : PROBE_BYTES;
}

int
secret_process_harden(size_t *ret_locked_bytes, struct err *ret_err)
{
	const struct rlimit none = { 0, 0 };

	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
		return err_set(ret_err, ERR_FATAL, "OpenSSL has allocated already: its memory would not be wiped");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return err_set(ret_err, ERR_FATAL, "the process cannot be made undumpable: %s", strerror(errno));
	if (setrlimit(RLIMIT_CORE, &none) != 0)
		return err_set(ret_err, ERR_FATAL, "core files cannot be switched off: %s", strerror(errno));
	if (sodium_init() < 0)
		return err_set(ret_err, ERR_FATAL, "libsodium does not start");
	*ret_locked_bytes = lockable();
	return 0;
}

/* A program that is not hardened may still have secrets; libsodium is started by the first, then. */
unsigned char *
secret_guarded_new(size_t bytes)
{
	return sodium_init() >= 0 ? sodium_malloc(bytes) : NULL;
}

void
secret_guarded_free(unsigned char *p)
{
	sodium_free(p);
}

void
secret_wipe(void *p, size_t bytes)
{
	if (bytes > 0)
		sodium_memzero(p, bytes);
}

/* Open path when it is a regular file of a size that will do. */
static int
open_regular(const char *path, size_t max_bytes, size_t *ret_bytes, struct err *ret_err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);      /* a FIFO must not hold us */
	struct stat st;

	if (fd < 0)
		return err_set(ret_err, ERR_REFUSE, "%s: cannot be opened: %s", path, strerror(errno));
	if (fstat(fd, &st) != 0)
		(void)err_set(ret_err, ERR_REFUSE, "%s: cannot be examined: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		(void)err_set(ret_err, ERR_REFUSE, "%s: is not a regular file", path);
	else if (st.st_size == 0)
		(void)err_set(ret_err, ERR_REFUSE, "%s: is empty", path);
	else if ((uint64_t)st.st_size > max_bytes)
		(void)err_set(ret_err, ERR_REFUSE, "%s: has %lld bytes, more than %zu", path, (long long)st.st_size,
		    max_bytes);
	else {
		*ret_bytes = (size_t)st.st_size;
		return fd;
	}
	(void)close(fd);
	return -1;
}

/* Exactly bytes, then the end: a file that is just being written is another matter than a wrong one. */
static int
read_exactly(int fd, unsigned char *ret, size_t bytes, const char *path, struct err *ret_err)
{
	size_t got = 0;
	ssize_t n;

	for (; got <= bytes; got += (size_t)n) {
		n = read(fd, ret + got, bytes + 1 - got);       /* one more than expected, where the NUL will stand */
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return err_set(ret_err, ERR_REFUSE, "%s: cannot be read: %s", path, strerror(errno));
	}
	if (got != bytes)
		return err_set(ret_err, ERR_RETRY, "%s: changed while it was read", path);
	return 0;
}

/* A text's trailing newlines go; a NUL inside would cut it short for somebody else. */
static int
trim_text(struct secret *s, const char *path, struct err *ret_err)
{
	while (s->bytes > 0 && (s->data[s->bytes - 1] == '\n' || s->data[s->bytes - 1] == '\r'))
		s->bytes--;
	if (s->bytes == 0)
		return err_set(ret_err, ERR_REFUSE, "%s: holds nothing but newlines", path);
	if (memchr(s->data, '\0', s->bytes) != NULL)
		return err_set(ret_err, ERR_REFUSE, "%s: holds a NUL byte", path);
	return 0;
}

struct secret *
secret_read_file(const char *path, size_t max_bytes, bool text, struct err *ret_err)
{
	struct secret *s = NULL;
	size_t bytes = 0;
	int fd = open_regular(path, max_bytes, &bytes, ret_err);

	if (fd < 0)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL || (s->data = secret_guarded_new(bytes + 1)) == NULL) {
		(void)err_set(ret_err, ERR_FATAL, "%s: no guarded memory for %zu bytes: %s", path, bytes,
		    strerror(errno));
		goto fail;
	}
	s->bytes = bytes;
	if (read_exactly(fd, s->data, bytes, path, ret_err) != 0 || (text && trim_text(s, path, ret_err) != 0))
		goto fail;
	s->data[s->bytes] = '\0';
	(void)sodium_mprotect_readonly(s->data);
	(void)close(fd);
	return s;
fail:
	(void)close(fd);
	secret_release(s);
	return NULL;
}

/* Private: the rest of the world cannot read or change it. The group may: with an fsGroup, Kubernetes
 * gives 0440. */
bool
secret_file_is_private(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH)) == 0;
}

void
secret_release(struct secret *s)
{
	if (s == NULL)
		return;
	secret_guarded_free(s->data);
	free(s);
}

struct span
secret_bytes(const struct secret *s)
{
	return span_of(s->data, s->bytes);
}
