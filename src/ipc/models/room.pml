/* An application that polls for room to send (librtc: Channel::send without waiting, Session::ready()): try-send,
 * wish for room, sleep on the session's descriptor, look. Beside it a thread that blocks in send() on the same queue
 * may take the slots away. For SPIN; scripts/check-models.sh runs it.
 *
 * One line is one atomic operation of the program, all sequentially consistent. The ReadySet is one bit here
 * (doorbell.pml has the real one).
 *
 * Claim: when nothing can move any more, the polling thread has sent its MESSAGES.
 *
 * -DFORGET: a look that finds no room forgets the channel without announcing again, as the first version did: the slot
 * that was reported is gone, and nobody will be told of the next one. The claim is then broken.
 * -DSTOLEN: whoever sends fulfils the wish, also another thread's, as the first version did. The claim is then broken.
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef OTHERS
#define OTHERS 2             /* messages of the other thread */
#endif

byte room = 1;               /* free slots: one in all */
byte with_daemon;
byte waiting;                /* producer.waiting */
bool to_app;                 /* the channel's bit in the ReadySet */
bool app_sleeping;
bool bell;
byte sent;
mtype = { none, open, once, reported };
mtype wish = none;           /* channel_core.hpp */

/* A send has taken a slot. */
inline somebody_sent() {
#ifdef STOLEN
  wish = none
#else
  was = wish;
  if
  :: was == open -> d_step { if :: wish == open -> wish = once :: else fi }
  :: was == reported -> d_step { if :: wish == reported -> wish = none :: else fi }
  :: else
  fi
#endif
}

/* The worker: finishes messages at its own pace and gives their slots back. */
active proctype worker() {
  byte w;
  bool mine;
end_idle:
  do
  :: with_daemon > 0 ->
     d_step { with_daemon--; room++ };
     w = waiting;
     mine = false;
     if
     :: w & 1 -> d_step { if :: waiting == w -> waiting = w + 1; mine = true :: else fi }
     :: else
     fi;
     if
     :: mine ->
        to_app = true;
        if
        :: app_sleeping -> d_step { mine = app_sleeping; app_sleeping = false }; if :: mine -> bell = true :: else fi
        :: else
        fi
     :: else
     fi;
     d_step { w = 0; mine = false }
  od
}

active proctype polling() {
  bool due;
  mtype was;
  do
  :: sent == MESSAGES -> break
  :: else ->
     if
     :: atomic { room > 0 -> room--; with_daemon++; sent++ };
        somebody_sent()
     :: atomic { room == 0 -> skip };
        wish = open;
        waiting = waiting | 1;                 /* want_room() */
        if
        :: room > 0
        :: else ->
           due = false;
           do
           :: due -> break
           :: else ->
              bell = false;                    /* ready(): drain, announce, look */
              app_sleeping = true;
              d_step { due = to_app; to_app = false };
              if
              :: due ->
                 was = wish;                   /* room_is_due() */
                 due = (was != none && room > 0);
#ifndef FORGET
                 if :: !due && was != none -> waiting = waiting | 1; due = (room > 0) :: else fi;
#endif
                 if
                 :: due && was == open -> d_step { if :: wish == open -> wish = reported :: else fi }
                 :: due && was == once -> d_step { if :: wish == once -> wish = none :: else fi }
                 :: else
                 fi
              :: else
              fi;
              if :: !due -> end_asleep: bell :: else fi
           od
        fi
     fi
  od
}

/* Tries now and then; it needs no wake-up here. */
active proctype other() {
  mtype was;
  byte left = OTHERS;
end_other:
  do
  :: left > 0 -> atomic { room > 0 -> room--; with_daemon++; left-- };
     somebody_sent()
  :: left > 0 -> break
  :: left == 0 -> break
  od
}

active proctype judge() {
  timeout;
  assert(sent == MESSAGES)
}
