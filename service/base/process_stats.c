/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The usual process_* numbers, out of /proc/self. A process that is not dumpable may still read its own.
 */
#include "service/base/process_stats.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/base/clock.h"

static void
read_memory(struct process_stats *ret)
{
	unsigned long long size = 0, resident = 0;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return;
	if (fscanf(f, "%llu %llu", &size, &resident) == 2) {
		ret->virtual_bytes = size * page;
		ret->resident_bytes = resident * page;
	}
	(void)fclose(f);
}

static void
read_fds(struct process_stats *ret)
{
	DIR *d = opendir("/proc/self/fd");
	struct rlimit limit;

	if (d != NULL) {
		for (struct dirent *e; (e = readdir(d)) != NULL;)
			ret->open_fds += e->d_name[0] != '.';
		(void)closedir(d);
		ret->open_fds -= ret->open_fds > 0;     /* the directory's own */
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		ret->max_fds = (uint64_t)limit.rlim_cur;
}

static void
read_cpu(struct process_stats *ret)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return;
	ret->cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The kernel knows it in ticks after boot; read once, so that a clock that is set does not look like a
 * restart. */
static double start_seconds;

static void
read_start(void)
{
	char text[1024];
	unsigned long long ticks;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t got = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
	const char *at;

	if (f != NULL)
		(void)fclose(f);
	text[got] = '\0';
	at = strrchr(text, ')');                /* the program's name stands in brackets and may hold anything */
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL || sscanf(at, " %llu", &ticks) != 1)
		return;
	start_seconds = (double)clock_wall_ms() / 1e3 - (double)clock_boot_ms() / 1e3 +
	    (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void
process_stats_read(struct process_stats *ret)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	*ret = (struct process_stats){ 0 };
	(void)pthread_once(&once, read_start);
	ret->start_seconds = start_seconds;
	read_memory(ret);
	read_fds(ret);
	read_cpu(ret);
}
