/* The C API: the nine routines of the paper (Table 1), by name, and what a user of sockets expects beside them.
 *
 * Mapping to sockets: rtcRegisterPort = bind + listen, rtcAcceptConnection = accept, rtcCreateConnection = connect,
 * rtcDestroyConnection = close. Unlike a socket's peer, the receiving application explicitly approves set-up and
 * teardown through its agent function.
 *
 * One process has one session with its rtcd; all routines use it. A connection carries messages in one direction.
 * A channel id is a small number >= 0 and is used again after rtcDestroyConnection.
 *
 * Results: >= 0 is success. Failure is a negative code (RTC_E...); rtcLastError() has the details of the calling
 * thread's last failure. errno is not part of the interface.
 * Times are nanoseconds. A time-out of RTC_NO_WAIT returns at once, RTC_FOREVER waits until something happens.
 *
 * Thread-safety: all routines may be called by several threads at the same time. When a connection is destroyed
 * while other threads wait on it, they return RTC_ECLOSED.
 * fork: the child does not inherit the session; it calls rtcFinish, then rtcInit for one of its own.
 */
#ifndef RTCHAN_RTC_H
#define RTCHAN_RTC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RTC_NO_WAIT ((int64_t)0)
#define RTC_FOREVER INT64_MAX

/* Negative results. The numbers are part of the ABI. */
enum {
  RTC_OK = 0,
  RTC_EINVAL = -1,        /* a parameter is outside its range; the text names it */
  RTC_ENODAEMON = -2,     /* rtcd cannot be reached */
  RTC_EDAEMONGONE = -3,   /* rtcd went away: rtcFinish, rtcInit, connect again */
  RTC_EPERM = -4,         /* not allowed to talk to rtcd, or over this user's quota */
  RTC_EREFUSED = -5,      /* admission said no: hop, resource and what would fit are in rtcLastError() */
  RTC_EREJECTED = -6,     /* the receiving application said no */
  RTC_ENOLISTENER = -7,   /* nobody registered that port */
  RTC_EPORTINUSE = -8,
  RTC_ENOROUTE = -9,
  RTC_ETIMEDOUT = -10,
  RTC_EWOULDBLOCK = -11,
  RTC_EMSGSIZE = -12,     /* longer than the contract allows, or than the buffer */
  RTC_ECONTRACT = -13,    /* policing by refusal: above the contract */
  RTC_ECLOSED = -14,      /* destroyed here */
  RTC_EPEERCLOSED = -15,  /* the other end closed, in order */
  RTC_EVOID = -16,        /* the promise no longer holds */
  RTC_EVERSION = -17,     /* library and rtcd do not fit */
  RTC_EEXHAUSTED = -18,   /* a fixed table or memory is full; the text names it */
  RTC_EPROTOCOL = -19,
  RTC_EDEADLOCK = -20,    /* a call that would wait, inside an agent function */
  RTC_ESYSTEM = -21,      /* an operating system call failed; the text has its name */
  RTC_EPEERGONE = -22     /* the other end, its host or the path died */
};

typedef struct rtcError {
  int code;                 /* RTC_E... */
  char text[512];           /* one sentence for a person */
  char hop[64];             /* RTC_EREFUSED: address of the refusing node ... */
  char resource[16];        /* ... "cpu", "link", "memory", "blocking", "quota", "delay" ... */
  int64_t binding_time_ns;  /* ... deadline at which demand exceeds supply ... */
  int64_t fitting_delay_ns; /* ... smallest max_delay that would have fitted; 0: unknown or nothing ... */
  double fitting_rate;      /* ... largest rate that would have fitted; 0: unknown or nothing */
} rtcError;

/* Of this thread's last failed call. Valid until its next failure. Never NULL. */
const rtcError* rtcLastError(void);
/* A constant word for a code, "timed out" for RTC_ETIMEDOUT. */
const char* rtcErrorName(int code);

typedef enum rtcService { RTC_BEST_EFFORT = 0, RTC_GUARANTEED = 1, RTC_CONTROLLED_LOAD = 2, RTC_STATISTICAL = 3 } rtcService;
typedef enum rtcPolicing { RTC_SHAPE = 0, RTC_REFUSE = 1 } rtcPolicing;

/* In every interval of t seconds at most max_burst + max_rate * t messages of at most max_message_bytes bytes; each
 * delivered within max_delay_ns of its logical arrival. Ranges: <rtchan/qos.hpp>. */
typedef struct rtcQos {
  rtcService service;
  double max_rate;            /* messages per second; best effort: 0 = no limit of its own */
  uint32_t max_burst;         /* messages */
  uint32_t max_message_bytes;
  int64_t max_delay_ns;       /* best effort: ignored */
} rtcQos;
#define RTC_QOS_INIT {RTC_GUARANTEED, 0, 1, 0, 0}

/* Optional model-specific parameter, at most 8 of at most 64 bytes each. Tag 1: the part of the time in which a channel of
 * RTC_STATISTICAL sends, parts per million as 4 bytes, most significant first. Tags from 0x8000 on are your own. */
typedef struct rtcExtension {
  uint16_t tag;
  uint16_t length;
  const void* value;
} rtcExtension;

typedef struct rtcOptions {
  int64_t timeout_ns;          /* for the whole set-up */
  rtcPolicing policing;
  const rtcExtension* extensions;
  size_t extension_count;
} rtcOptions;
#define RTC_OPTIONS_INIT {5000000000LL, RTC_SHAPE, NULL, 0}

typedef struct rtcRemote {
  char host[64];               /* numeric address */
  uint16_t port;
} rtcRemote;

/* --- the agent function: what the receiving application is asked --- */
typedef enum rtcAgentKind {
  RTC_SETUP = 0,    /* somebody asks for a connection; non-zero accepts */
  RTC_TEARDOWN = 1, /* the sender ends `channel`; the answer is recorded, the teardown proceeds */
  RTC_ABORTED = 2   /* the set-up with the same `question` failed elsewhere after our yes: release what was set aside */
} rtcAgentKind;
typedef struct rtcAgentCall {
  rtcAgentKind kind;
  uint64_t question;
  uint16_t port;
  int channel;                 /* RTC_TEARDOWN only, else -1 */
  rtcRemote source;            /* authenticated host where security is on */
  uint32_t source_uid;         /* as the source's rtcd says */
  rtcQos qos;
  const rtcExtension* extensions;
  size_t extension_count;
} rtcAgentCall;
/* Runs on the library's control thread: keep it short; calls that would wait return RTC_EDEADLOCK in it. */
typedef int (*rtcAgent)(const rtcAgentCall* call, void* context);

/* --- utility --- */

/* Opens the session. socket: path of rtcd's socket; NULL: $RTCHAN_SOCKET, else /run/rtchan/rtcd.sock. Once per process:
 * RTC_EINVAL while a session is open. */
int rtcInit(const char* socket);
/* Ends the session with all its connections and ports. Returns when rtcd has released them, after 1 s at most, so that
 * rtcInit can begin anew with the same ports. */
void rtcFinish(void);

typedef enum rtcParameter {
  RTC_MAX_RATE,            /* millionths of a message per second */
  RTC_MAX_BURST,
  RTC_MAX_MESSAGE_BYTES,
  RTC_MAX_DELAY,           /* ns */
  RTC_BOUND,               /* promised delay from logical arrival, ns; 0: best effort */
  RTC_WORST_DELAY,         /* worst seen, ns; -1: none yet, or a sending end */
  RTC_MESSAGES,            /* sent or received */
  RTC_BYTES,
  RTC_QUEUED,              /* sending: handed over and not finished by rtcd */
  RTC_LATE,                /* receiving: readable after the bound */
  RTC_LOST,                /* receiving: message numbers that never came */
  RTC_CONTRACT_VIOLATIONS, /* times rtcd found the connection above its contract */
  RTC_VOID                 /* 1: the promise no longer holds */
} rtcParameter;
/* Writes one parameter or count of a connection to *value. */
int rtcGetParameter(int channel, rtcParameter parameter, int64_t* value);

/* --- signalling --- */

/* Registers a local port (0: any free one) and its agent (NULL accepts all). Returns the port. */
int rtcRegisterPort(uint16_t port, rtcAgent agent, void* context);
int rtcUnRegisterPort(uint16_t port);
/* Asks for a sending connection to host (name or address) and port; options may be NULL. Returns the channel id once every
 * node on the way and the receiving application have agreed. */
int rtcCreateConnection(const char* host, uint16_t port, const rtcQos* qos, const rtcOptions* options);
/* The next connection already established at a registered port. remote may be NULL. Returns the channel id. */
int rtcAcceptConnection(uint16_t port, rtcRemote* remote);
int rtcAcceptConnectionTimed(uint16_t port, rtcRemote* remote, int64_t timeout_ns);
/* Ends a connection (either end may). Messages already sent are still delivered. */
int rtcDestroyConnection(int channel);

/* --- data transfer --- */

/* Sends one message; waits while the queue is full. */
int rtcSendMessage(int channel, const void* message, size_t length);
int rtcSendMessageTimed(int channel, const void* message, size_t length, int64_t timeout_ns);
/* Receives the next message; returns its length. RTC_EMSGSIZE: it is longer than the buffer, and stays. */
int rtcRecvMessage(int channel, void* buffer, size_t size);
int rtcRecvMessageTimed(int channel, void* buffer, size_t size, int64_t timeout_ns);

/* --- polling --- */

/* Readable while rtcReady or rtcNextNotice has something to report. Not to be read or closed. */
int rtcSessionFd(void);
/* Readable while a connection waits to be accepted at the port. */
int rtcPortFd(uint16_t port);
/* Fills ids of connections that have something to do: a message, room after a full queue, an end. Level-triggered.
 * Returns how many. */
int rtcReady(int* channels, size_t most);

typedef enum rtcNoticeKind {
  RTC_CONTRACT_VIOLATED = 0,
  RTC_PEER_CLOSED = 1,
  RTC_PEER_GONE = 2,
  RTC_VOIDED = 3,
  RTC_TORN_DOWN = 4,
  RTC_DAEMON_GONE = 5
} rtcNoticeKind;
typedef struct rtcNotice {
  rtcNoticeKind kind;
  int channel;                 /* -1: the whole session */
  char text[256];
} rtcNotice;
/* 1: *notice was filled; 0: none waits. */
int rtcNextNotice(rtcNotice* notice);

#ifdef __cplusplus
}
#endif

#endif /* RTCHAN_RTC_H */
