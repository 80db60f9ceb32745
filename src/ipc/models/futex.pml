/* Blocking calls: sleepers on a futex against one publisher (layout.hpp). For SPIN; scripts/check-models.sh runs it.
 *
 * One line is one atomic operation of the program. All of them are sequentially consistent there, so interleaving them
 * is exact: no weaker order has to be modelled. The kernel compares a futex word and queues the sleeper in one step
 * (under the lock of the word's queue), word after word for FUTEX_WAITV; a wake-up is one step, too.
 *
 * Claim: when nothing can move any more, nobody sleeps while a message waits or the queue is closed.
 *
 * -DCLEARED: `waiting` is set and cleared and the sleeper compares the tail, as the first version did: a publisher that
 * is late from its last message takes a new announcement and wakes nobody. The claim is then broken.
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef SLEEPERS
#define SLEEPERS 2
#endif

byte tail;                   /* messages published */
byte head;                   /* messages taken (the sleepers' side has a lock) */
byte waiting;                /* the announcement */
bool closed;
byte early = 1;              /* wake-ups for no reason: signals, time-outs that the caller repeats */

bool on_word[SLEEPERS];      /* queued on `waiting` (CLEARED: on the tail) */
bool on_closed[SLEEPERS];
bool asleep[SLEEPERS];

inline wake_word(i) {
  d_step {
    i = 0;
    do
    :: i < SLEEPERS -> if :: on_word[i] -> on_word[i] = false; asleep[i] = false :: else fi; i++
    :: else -> break
    od;
    i = 0
  }
}
inline wake_closed(i) {
  d_step {
    i = 0;
    do
    :: i < SLEEPERS -> if :: on_closed[i] -> on_closed[i] = false; asleep[i] = false :: else fi; i++
    :: else -> break
    od;
    i = 0
  }
}

active proctype publisher() {
  byte w, i;
  bool mine;
  do
  :: tail < MESSAGES ->
     tail++;
     w = waiting;
     mine = false;
#ifdef CLEARED
     if
     :: w != 0 -> d_step { mine = (waiting != 0); waiting = 0 }
     :: else
     fi;
#else
     if
     :: w & 1 -> d_step { if :: waiting == w -> waiting = w + 1; mine = true :: else fi }
     :: else
     fi;
#endif
     if :: mine -> wake_word(i) :: else fi
  :: else -> break
  od
}

active proctype closer() {
  byte i;
  if
  :: closed = true; wake_closed(i); wake_word(i)
  :: skip               /* stays open */
  fi
}

active [SLEEPERS] proctype sleeper() {
  byte me = _pid - 2;
  byte w;
again:
  skip;
  d_step { on_word[me] = false; on_closed[me] = false; asleep[me] = false; w = 0 }
  if
  :: atomic { head < tail -> head++ };
     if :: goto again :: goto done fi          /* the caller comes back, or not for a long time */
  :: atomic { head == tail && closed -> goto done }
  :: atomic { head == tail && !closed -> skip }
  fi;
#ifdef CLEARED
  w = tail;
  waiting = 1;
#else
  d_step { waiting = waiting | 1; w = waiting }
#endif
  if :: head < tail || closed -> goto again :: else fi;
  d_step { asleep[me] = true };                /* set_current_state before queueing: a wake-up from here on counts */
#ifdef CLEARED
  if :: atomic { tail == w -> on_word[me] = true } :: atomic { tail != w -> goto again } fi;
#else
  if :: atomic { waiting == w -> on_word[me] = true } :: atomic { waiting != w -> goto again } fi;
#endif
  if :: atomic { !closed -> on_closed[me] = true } :: atomic { closed -> goto again } fi;
end_asleep:
  if
  :: !asleep[me]
  :: atomic { early > 0 -> early-- }
  fi;
  goto again;
done:
  skip
}

active proctype judge() {
  byte i = 0;
  timeout;
  do
  :: i < SLEEPERS -> assert(!asleep[i] || (head == tail && !closed)); i++
  :: else -> break
  od
}
