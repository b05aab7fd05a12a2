/* SPDX-License-Identifier: Apache-2.0 */
/* Written under another name and renamed, so that nobody reads half of it; removed at the start, so that nobody waits for
 * this run and reads of one that was killed; and at the end only if it is still the one that was written. */
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
	dev_t device;
	ino_t inode;                    /* 0: not written */
};

int
ready_new(const char *path, struct ready **ret_ready, struct err *ret_err)
{
	struct ready *r;
	struct stat st;

	if (path != NULL && lstat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return err_set(ret_err, ERR_FATAL, "the ready file %s is a directory", path);
		if (unlink(path) != 0)
			return err_set(ret_err, ERR_FATAL, "cannot remove the old ready file %s: %s", path, strerror(errno));
	}
	if ((r = calloc(1, sizeof *r)) == NULL)
		abort();
	if (path != NULL && ((r->path = strdup(path)) == NULL || asprintf(&r->partial, "%s.%d.partial", path, getpid()) < 0))
		abort();
	*ret_ready = r;
	return 0;
}

int
ready_write(struct ready *r, const char *text, struct err *ret_err)
{
	struct stat st;
	FILE *f;
	bool good;

	if (r->path == NULL)
		return 0;
	if ((f = fopen(r->partial, "w")) == NULL)
		return err_set(ret_err, ERR_FATAL, "cannot write %s: %s", r->partial, strerror(errno));
	good = fprintf(f, "%s\n", text) > 0 && fstat(fileno(f), &st) == 0;
	good = fclose(f) == 0 && good && rename(r->partial, r->path) == 0;
	if (!good) {
		err_set(ret_err, ERR_FATAL, "cannot write %s: %s", r->path, strerror(errno));
		(void)unlink(r->partial);
		return -1;
	}
	r->device = st.st_dev;
	r->inode = st.st_ino;
	return 0;
}

void
ready_free(struct ready *r)
{
	struct stat st;

	if (r == NULL)
		return;
	if (r->inode != 0 && lstat(r->path, &st) == 0 && st.st_dev == r->device && st.st_ino == r->inode)
		(void)unlink(r->path);
	free(r->path);
	free(r->partial);
	free(r);
}
