/* rtc-canary: an independent witness of the times at which one core of this machine did not run us.
 *
 * A guarantee on time holds while the machine runs. On a virtual machine the host takes the processor away now and
 * then for milliseconds; nothing inside can prevent or even see it directly. This probe shares no code with rtcd. It
 * sits on one core above rtcd's priority, sleeps half a millisecond at a time (it never spins) and, whenever it wakes
 * more than a limit after the instant it asked for, writes one line:
 *
 *     START END KIND
 *
 * START is the instant at which it should have run, END the instant at which it did, both CLOCK_MONOTONIC_RAW in
 * nanoseconds. KIND is
 *   stall      the core ran nothing of ours: the machine was taken away (or a task of higher priority held the core)
 *   throttled  the core did run ordinary processes meanwhile, so the kernel held back the real-time class
 *              (sched_rt_runtime_us): that is a consequence of real-time load, not of the machine. A second, ordinary
 *              thread on the same core tells the two apart: it ran inside the gap.
 *
 * START is late by up to one sleep (the stall may have begun while we slept), so a gap is never overstated.
 * Lines that begin with '#' are remarks; the first one states what the probe is allowed to see:
 *   # rtc-canary core=N class=fifo|other priority=P period_us=U over_us=X
 * With class=other (no permission for the real-time class) a gap also covers ordinary competition by other processes.
 * The last remark is "# end samples=N gaps=M". Exit status: 0 after TERM, INT or --duration; 2 wrong usage or failure.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct options {
  long core, priority, period_us, over_us;
  double duration_s; /* 0: until a signal */
};

static volatile sig_atomic_t ended;
static _Atomic int64_t witness_ran; /* last instant at which the ordinary thread ran */
static struct options opt = {.core = 0, .priority = 80, .period_us = 500, .over_us = 1000, .duration_s = 0};

static int64_t raw_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_us(long us) {
  const struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
  nanosleep(&t, NULL);
}

static void on_signal(int signal) {
  (void)signal;
  ended = 1;
}

static void *witness(void *unused) {
  (void)unused;
  prctl(PR_SET_TIMERSLACK, 1);
  setpriority(PRIO_PROCESS, 0, -20); /* this thread only; without permission it stays as it is */
  while (!ended) {
    atomic_store_explicit(&witness_ran, raw_now(), memory_order_release);
    sleep_us(opt.period_us);
  }
  return NULL;
}

static const char usage[] =
    "Usage: rtc-canary [--core N] [--priority P] [--period-us U] [--over-us X] [--duration SECONDS]\n"
    "Writes to stdout every interval in which core N did not run it: 'START END stall|throttled', CLOCK_MONOTONIC_RAW\n"
    "nanoseconds. It sleeps U us at a time (500), reports what exceeds X us (1000), at SCHED_FIFO priority P (80)\n"
    "where that is permitted; a first line tells. Runs until TERM or INT.\n";

static int parse(int argc, char **argv) {
  for (int i = 1; i < argc; i += 2) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      fputs(usage, stdout);
      exit(0);
    }
    if (i + 1 >= argc) return 0;
    char *rest = NULL;
    const double value = strtod(argv[i + 1], &rest);
    if (*rest != '\0' || rest == argv[i + 1] || !(value >= 0 && value <= 1e9)) return 0;
    if (strcmp(argv[i], "--core") == 0) opt.core = (long)value;
    else if (strcmp(argv[i], "--priority") == 0) opt.priority = (long)value;
    else if (strcmp(argv[i], "--period-us") == 0) opt.period_us = (long)value;
    else if (strcmp(argv[i], "--over-us") == 0) opt.over_us = (long)value;
    else if (strcmp(argv[i], "--duration") == 0) opt.duration_s = value;
    else return 0;
  }
  return opt.core < CPU_SETSIZE && opt.period_us >= 100 && opt.priority >= 1 && opt.priority <= 99;
}

static int pin(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)opt.core, &set);
  return sched_setaffinity(0, sizeof set, &set);
}

/* Above everything of ours on this core; false where it is not permitted. Threads made before keep their class. */
static int become_realtime(void) {
  const struct sched_param p = {.sched_priority = (int)opt.priority};
  return sched_setscheduler(0, SCHED_FIFO, &p) == 0;
}

static unsigned long watch(int realtime, unsigned long *samples) {
  const int64_t begin = raw_now(), period = opt.period_us * 1000, over = opt.over_us * 1000;
  const int64_t last = opt.duration_s > 0 ? begin + (int64_t)(opt.duration_s * 1e9) : INT64_MAX;
  unsigned long gaps = 0;
  while (!ended) {
    const int64_t due = raw_now() + period;
    sleep_us(opt.period_us);
    const int64_t woke = raw_now();
    ++*samples;
    if (woke - due > over && !ended) {
      const int64_t seen = atomic_load_explicit(&witness_ran, memory_order_acquire);
      /* Strictly inside: at the end of a stall we may both become runnable in the same instant. */
      const int inside = realtime && seen > due + 100000 && seen < woke - 100000;
      char line[96];
      const int n = snprintf(line, sizeof line, "%lld %lld %s\n", (long long)due, (long long)woke, inside ? "throttled" : "stall");
      if (write(STDOUT_FILENO, line, (size_t)n) < 0) break;
      ++gaps;
    }
    if (woke >= last) break;
  }
  return gaps;
}

int main(int argc, char **argv) {
  if (!parse(argc, argv)) {
    fputs(usage, stderr);
    return 2;
  }
  struct sigaction action = {.sa_handler = on_signal};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  if (pin() != 0) {
    fprintf(stderr, "rtc-canary: cannot pin to core %ld: %s\n", opt.core, strerror(errno));
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1);
  pthread_t other; /* made before the class changes: it stays ordinary */
  if (pthread_create(&other, NULL, witness, NULL) != 0) {
    fputs("rtc-canary: cannot start its second thread\n", stderr);
    return 2;
  }
  const int realtime = become_realtime();
  mlockall(MCL_CURRENT | MCL_FUTURE); /* a page fault would look like a gap; without permission we do without */
  dprintf(STDOUT_FILENO, "# rtc-canary core=%ld class=%s priority=%ld period_us=%ld over_us=%ld\n", opt.core,
          realtime ? "fifo" : "other", realtime ? opt.priority : 0, opt.period_us, opt.over_us);
  unsigned long samples = 0;
  const unsigned long gaps = watch(realtime, &samples);
  ended = 1;
  pthread_join(other, NULL);
  dprintf(STDOUT_FILENO, "# end samples=%lu gaps=%lu\n", samples, gaps);
  return 0;
}
