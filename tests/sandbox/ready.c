/* SPDX-License-Identifier: Apache-2.0 */
/* Written under another name and renamed, so that nobody reads half of it; removed at the start, so that nobody waits
 * for this run and reads of one that was killed; and at the end only if it still says what this run wrote, which holds
 * its process ID. An inode would not tell: a new file often gets that of the one it replaces. */
#include "tests/sandbox/ready.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/err.h"

struct ready {
	char *path, *partial;
	char *text;                     /* NULL: not written */
};

static char *
copy(const char *text)
{
	char *c = strdup(text);

	if (c == NULL)
		abort();
	return c;
}

int
ready_new(const char *path, struct ready **ret_ready, struct err *ret_err)
{
	struct ready *r;
	struct stat st;

	if (path != NULL && lstat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return err_set(ret_err, ERR_FATAL, "the ready file %s is a directory", path);
		if (unlink(path) != 0)
			return err_set(ret_err, ERR_FATAL, "cannot remove the old ready file %s: %s", path,
			    strerror(errno));
	}
	if ((r = calloc(1, sizeof *r)) == NULL)
		abort();
	if (path != NULL) {
		r->path = copy(path);
		if (asprintf(&r->partial, "%s.%d", path, getpid()) < 0)
			abort();
	}
	*ret_ready = r;
	return 0;
}

int
ready_write(struct ready *r, const char *text, struct err *ret_err)
{
	FILE *f;
	bool good;

	if (r->path == NULL)
		return 0;
	if ((f = fopen(r->partial, "w")) == NULL)
		return err_set(ret_err, ERR_FATAL, "cannot write %s: %s", r->partial, strerror(errno));
	good = fputs(text, f) >= 0;
	good = fclose(f) == 0 && good && rename(r->partial, r->path) == 0;
	if (!good) {
		err_set(ret_err, ERR_FATAL, "cannot write %s: %s", r->path, strerror(errno));
		(void)unlink(r->partial);
		return -1;
	}
	r->text = copy(text);
	return 0;
}

static bool
is_mine(const struct ready *r)
{
	size_t bytes = strlen(r->text);
	char *found = malloc(bytes + 1);
	FILE *f = found != NULL ? fopen(r->path, "r") : NULL;
	bool mine = f != NULL && fread(found, 1, bytes + 1, f) == bytes && memcmp(found, r->text, bytes) == 0;

	if (f != NULL)
		(void)fclose(f);
	free(found);
	return mine;
}

void
ready_free(struct ready *r)
{
	if (r == NULL)
		return;
	if (r->text != NULL && is_mine(r))
		(void)unlink(r->path);
	free(r->path);
	free(r->partial);
	free(r->text);
	free(r);
}
