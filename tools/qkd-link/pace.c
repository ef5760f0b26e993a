// SPDX-License-Identifier: GPL-2.0-only
/* The link's own clock. */
#include <errno.h>
#include <time.h>

#include "../common/log.h"
#include "end.h"

#define SLOW 0.9 /* of the speed that was asked for; below it is said */
#define SLOW_AFTER 10 /* seconds of work */

double wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void doze(double seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	ts.tv_nsec = (seconds - ts.tv_sec) * 1e9;
	nanosleep(&ts, NULL); /* a signal ends it, as it should */
}

void pace_begin(struct pace *pace, double speed)
{
	*pace = (struct pace){ .speed = speed, .begun = wall() };
	pace->due = pace->begun;
}

static void say_slow(struct pace *pace)
{
	double busy = wall() - pace->begun - pace->idle;
	double speed = pace->time / (wall() - pace->begun);

	if (pace->slow || busy < SLOW_AFTER || speed > SLOW * pace->speed)
		return;
	pace->slow = true;
	log_info(
		"this machine runs the link at %.2g of its own time, not %.2g: rates by the wall clock are lower by as much",
		speed, pace->speed);
}

int pace_work(struct pace *pace, double seconds, int (*dark)(void *arg),
	      void *arg)
{
	double left;
	int err = 0;

	pace->time += seconds;
	if (!pace->speed)
		return 0;
	/* what was late is not made up for */
	if (pace->due < wall())
		pace->due = wall();
	pace->due += seconds / pace->speed;
	while (!err && !link_stop && (left = pace->due - wall()) > 0) {
		doze(left < 1 ? left : 1);
		if (left > 1)
			err = dark(arg);
	}
	say_slow(pace);
	return err;
}

void pace_idle(struct pace *pace, double seconds)
{
	double begun = wall(), passed;

	doze(seconds);
	passed = wall() - begun;
	pace->time += passed * (pace->speed ? pace->speed : 1);
	pace->due = wall();
	pace->idle += passed;
}

void pace_follow(struct pace *pace, double time)
{
	pace->time = time;
}
