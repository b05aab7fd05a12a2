/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that must be whole and on disk, or not there at all.
 *
 * A request is stored before it is sent, because its bytes are the only way to ask for the same
 * token again; half a file would be worse than none. So bytes go into a nameless file beside the
 * target, are synced, and get their name by link(2), which refuses an existing one. Then the
 * directory is synced, or a power cut could take the name away again.
 */
#include "service/ctl/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/base/arena.h"
#include "service/base/err.h"

int
files_make_directory(const char *path, struct err *ret_err)
{
	char part[PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(part))
		return err_set(ret_err, ERR_REFUSE, "the path %.100s… is too long", path);
	(void)snprintf(part, sizeof(part), "%s", path);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0700) != 0 && errno != EEXIST)
			return err_set(ret_err, ERR_REFUSE, "cannot make the directory %s: %s", part, strerror(errno));
		*slash = '/';
	}
	if (mkdir(part, 0700) != 0 && errno != EEXIST)
		return err_set(ret_err, ERR_REFUSE, "cannot make the directory %s: %s", path, strerror(errno));
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return err_set(ret_err, ERR_REFUSE, "%s is not a directory", path);
	return 0;
}

static int
write_all(int fd, struct span bytes)
{
	size_t done = 0;

	while (done < bytes.bytes) {
		ssize_t n = write(fd, bytes.data + done, bytes.bytes - done);

		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return fsync(fd);
}

/* Give the synced bytes their name. Not every file system knows nameless files, so they have one
 * until then. */
static int
name_it(int directory, const char *interim, const char *name)
{
	int failed = linkat(directory, interim, directory, name, 0) != 0 ? errno : 0;

	(void)unlinkat(directory, interim, 0);
	if (failed == 0 && fsync(directory) != 0)
		failed = errno;
	return failed;
}

int
files_write_new(const char *path, struct span bytes, struct err *ret_err)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	char above[PATH_MAX], interim[64];
	int directory, fd, failed = 0;

	if (strlen(path) >= sizeof(above))
		return err_set(ret_err, ERR_REFUSE, "the path %.100s… is too long", path);
	(void)snprintf(above, sizeof(above), "%.*s", slash != NULL ? (int)(name - path) : 1,
	    slash != NULL ? path : ".");
	(void)snprintf(interim, sizeof(interim), ".tokenctl.%ld.new", (long)getpid());

	directory = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return err_set(ret_err, ERR_REFUSE, "cannot open the directory %s: %s", above, strerror(errno));
	(void)unlinkat(directory, interim, 0);
	fd = openat(directory, interim, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, bytes) != 0)
		failed = errno;
	if (fd >= 0 && close(fd) != 0 && failed == 0)
		failed = errno;
	if (failed != 0)
		(void)unlinkat(directory, interim, 0);
	else
		failed = name_it(directory, interim, name);
	(void)close(directory);

	if (failed == EEXIST)
		return err_set(ret_err, ERR_REFUSE, "%s exists already; it was left as it is", path);
	return failed == 0 ? 0 : err_set(ret_err, ERR_REFUSE, "cannot write %s: %s", path, strerror(failed));
}

int
files_check_new(const char *path, struct err *ret_err)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX];

	if (strlen(path) >= sizeof(above))
		return err_set(ret_err, ERR_REFUSE, "the path %.100s… is too long", path);
	(void)snprintf(above, sizeof(above), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
	    slash != NULL ? path : ".");
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(ret_err, ERR_REFUSE, "%s exists already, and nothing is written over", path);
	if (access(above, W_OK | X_OK) != 0)
		return err_set(ret_err, ERR_REFUSE, "cannot write to the directory %s: %s", above, strerror(errno));
	return 0;
}

const char *
files_name(const char *path)
{
	return strcmp(path, "-") == 0 ? "standard input" : path;
}

/* Up to room bytes; -1 with errno. */
static ssize_t
read_all(int fd, unsigned char *bytes, size_t room)
{
	size_t done = 0;
	ssize_t n;

	do {
		n = read(fd, bytes + done, room - done);
		if (n < 0 && errno != EINTR)
			return -1;
		done += n > 0 ? (size_t)n : 0;
	} while (n != 0 && done < room);
	return (ssize_t)done;
}

int
files_read(const char *path, size_t max_bytes, struct arena *a, struct span *ret_bytes, struct err *ret_err)
{
	bool stdin_meant = strcmp(path, "-") == 0;
	int fd = stdin_meant ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *bytes = arena_alloc(a, max_bytes + 1);
	ssize_t n = fd >= 0 ? read_all(fd, bytes, max_bytes + 1) : -1;
	int failed = errno;

	if (fd >= 0 && !stdin_meant)
		(void)close(fd);
	if (n < 0)
		return err_set(ret_err, ERR_REFUSE, "cannot read %s: %s", files_name(path), strerror(failed));
	if (n == 0)
		return err_set(ret_err, ERR_REFUSE, "%s is empty", files_name(path));
	if ((size_t)n > max_bytes)
		return err_set(ret_err, ERR_REFUSE, "%s has more than %zu bytes", files_name(path), max_bytes);
	bytes[n] = '\0';
	*ret_bytes = span_of(bytes, (size_t)n);
	return 0;
}
