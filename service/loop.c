/* SPDX-License-Identifier: Apache-2.0 */
/* One epoll over everything that can happen. The loop itself decides nothing: it sleeps until somebody has
 * something, or until the pipeline wants to come back by itself. */
#include "service/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "service/base/clock.h"
#include "service/base/err.h"
#include "service/base/log.h"
#include "service/pipeline.h"

void
loop_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
}

static int
watch(int epoll, int fd, struct err *ret_err)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0)
		return 0;
	return err_set(ret_err, ERR_FATAL, "cannot watch a descriptor: %s", strerror(errno));
}

static void
take_signals(int fd, struct pipeline *p)
{
	struct signalfd_siginfo s;

	while (read(fd, &s, sizeof s) == sizeof s) {
		log_info("loop", "signal", LOG_S("signal", strsignal((int)s.ssi_signo)));
		pipeline_drain(p);
	}
}

static int
wait_ms(uint64_t wake_boot_ms)
{
	uint64_t now = clock_boot_ms();

	return wake_boot_ms <= now ? 0 : (int)(wake_boot_ms - now);
}

int
loop_run(struct pipeline *p, struct err *ret_err)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), signals, fds[PIPELINE_FDS], rc = -1;
	sigset_t set;
	uint64_t wake;

	loop_signals(&set);
	signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (epoll < 0 || signals < 0) {
		err_set(ret_err, ERR_FATAL, "no epoll or signalfd: %s", strerror(errno));
		goto out;
	}
	pipeline_fds(p, fds);
	if (watch(epoll, signals, ret_err) != 0)
		goto out;
	for (int i = 0; i < PIPELINE_FDS; i++)
		if (watch(epoll, fds[i], ret_err) != 0)
			goto out;
	while (pipeline_turn(p, &wake, ret_err)) {
		struct epoll_event happened[PIPELINE_FDS + 1];

		(void)epoll_wait(epoll, happened, PIPELINE_FDS + 1, wait_ms(wake));
		take_signals(signals, p);
	}
	rc = ret_err->text[0] == '\0' ? 0 : -1;
out:
	if (signals >= 0)
		close(signals);
	if (epoll >= 0)
		close(epoll);
	return rc;
}
