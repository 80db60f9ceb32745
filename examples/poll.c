/* The paper's routines from C: one thread receives from many connections with poll(), approves each set-up in its agent
 * function, and says what became of every promise. Usage: poll_c PORT [RTCD_SOCKET] */
#include <rtchan/rtc.h>

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char* what) {
  const rtcError* error = rtcLastError();
  fprintf(stderr, "%s: %s: %s\n", what, rtcErrorName(error->code), error->text);
  return 1;
}

/* Accepts what asks for at most 1 MB/s. */
static int agent(const rtcAgentCall* call, void* context) {
  (void)context;
  if (call->kind != RTC_SETUP) return 1;
  return call->qos.max_rate * call->qos.max_message_bytes <= 1e6;
}

static void end(int channel) {
  int64_t messages = 0, lost = 0, late = 0, worst = 0, bound = 0;
  rtcGetParameter(channel, RTC_MESSAGES, &messages);
  rtcGetParameter(channel, RTC_LOST, &lost);
  rtcGetParameter(channel, RTC_LATE, &late);
  rtcGetParameter(channel, RTC_WORST_DELAY, &worst);
  rtcGetParameter(channel, RTC_BOUND, &bound);
  printf("channel %d: %" PRId64 " messages, %" PRId64 " lost, %" PRId64 " late, worst %" PRId64 " of %" PRId64 " us\n",
         channel, messages, lost, late, worst / 1000, bound / 1000);
  rtcDestroyConnection(channel);
}

static void receive_all(int channel) {
  static char buffer[1 << 20];
  int length;
  while ((length = rtcRecvMessageTimed(channel, buffer, sizeof buffer, RTC_NO_WAIT)) >= 0) {
  }
  if (length != RTC_EWOULDBLOCK) end(channel);
}

int main(int argc, char** argv) {
  if (argc < 2) return fprintf(stderr, "usage: %s PORT [RTCD_SOCKET]\n", argv[0]), 2;
  if (rtcInit(argc > 2 ? argv[2] : NULL) < 0) return fail("rtcInit");
  const int port = rtcRegisterPort((uint16_t)atoi(argv[1]), agent, NULL);
  if (port < 0) return fail("rtcRegisterPort");
  printf("listening on port %d\n", port);
  struct pollfd waited[2] = {{rtcSessionFd(), POLLIN, 0}, {rtcPortFd((uint16_t)port), POLLIN, 0}};
  while (poll(waited, 2, -1) > 0) {
    rtcRemote from;
    int channels[64];
    int accepted = rtcAcceptConnectionTimed((uint16_t)port, &from, RTC_NO_WAIT);
    if (accepted >= 0) printf("channel %d: from %s\n", accepted, from.host);
    const int ready = rtcReady(channels, 64);
    for (int i = 0; i < ready; ++i) receive_all(channels[i]);
    rtcNotice notice;
    while (rtcNextNotice(&notice) > 0) {
      printf("channel %d: %s\n", notice.channel, notice.text);
      if (notice.kind == RTC_DAEMON_GONE) return 1;
    }
    fflush(stdout);
  }
  return fail("poll");
}
