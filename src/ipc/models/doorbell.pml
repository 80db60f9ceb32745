/* The ReadySet and the doorbell (layout.hpp, daemon_view.hpp, doorbell.cpp): adders against one taker that sleeps.
 * For SPIN; scripts/check-models.sh runs it.
 *
 * One line is one atomic operation of the program, all sequentially consistent. One summary word, GROUPS words of BITS
 * channels. Each adder publishes ROUNDS times on a channel that it chooses. The taker hands back what exceeds MOST.
 *
 * Claim: when nothing can move any more, all that was published has been seen.
 *
 * -DREST: the second look reads the summary only and goes back to work without sleeping, as the worker does
 * (rtcd/data_thread.cpp); otherwise it is a take(), as in librtc/poller.cpp.
 * -DSUMMARY_FIRST: adders set the summary before the word. The claim is then broken.
 * -DLOOK_FIRST: the taker announces itself after its last look. The claim is then broken.
 */
#define GROUPS 2
#define BITS 2
#define CHANNELS 4
#ifndef ADDERS
#define ADDERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif
#ifndef MOST
#define MOST 1
#endif
#define FULL 2               /* bytes that the socket holds */

byte published[CHANNELS];
byte seen[CHANNELS];
byte summary;
byte word[GROUPS];
bool sleeping;
byte bell;

active [ADDERS] proctype adder() {
  byte round, channel, had;
  do
  :: round < ROUNDS ->
     if :: channel = 0 :: channel = 1 :: channel = 2 fi;       /* two of one group, one of another */
     published[channel]++;
#ifdef SUMMARY_FIRST
     had = summary;
     if :: (had & (1 << (channel / BITS))) == 0 -> summary = summary | (1 << (channel / BITS)) :: else fi;
     word[channel / BITS] = word[channel / BITS] | (1 << (channel % BITS));
#else
     word[channel / BITS] = word[channel / BITS] | (1 << (channel % BITS));
     had = summary;
     if :: (had & (1 << (channel / BITS))) == 0 -> summary = summary | (1 << (channel / BITS)) :: else fi;
#endif
     /* ring_if_sleeping */
     if
     :: sleeping ->
        d_step { had = sleeping; sleeping = false };
        if :: had -> d_step { if :: bell < FULL -> bell++ :: else fi } :: else fi
     :: else
     fi;
     had = 0;
     round++
  :: else -> break
  od
}

/* take(ready, MOST): `taken` channels were seen. */
inline take_ready() {
  skip;
  d_step { taken = 0; g = 0; bits = 0; groups = 0 };
  if
  :: summary != 0 ->
     d_step { groups = summary; summary = 0 };
     do
     :: groups != 0 ->
        atomic {
          g = 0;
          do :: (groups & (1 << g)) == 0 -> g++ :: else -> break od;
          groups = groups & ~(1 << g)
        };
        skip;
        d_step { bits = word[g]; word[g] = 0 };
        do
        :: bits != 0 && taken < MOST ->
           atomic { c = 0; do :: (bits & (1 << c)) == 0 -> c++ :: else -> break od; bits = bits & ~(1 << c) };
           skip;
           d_step { seen[g * BITS + c] = published[g * BITS + c]; c = 0 };
           taken++
        :: else -> break
        od;
        if :: bits != 0 -> word[g] = word[g] | bits :: else fi;
        if
        :: bits != 0 -> summary = summary | groups | (1 << g); break
        :: bits == 0 && taken == MOST && groups != 0 -> summary = summary | groups; break
        :: else
        fi
     :: else -> break
     od
  :: else
  fi;
  skip;
  d_step { g = 0; bits = 0; groups = 0 }
}

active proctype taker() {
  byte taken, g, c, bits, groups;
work:
  take_ready();
  if :: taken > 0 -> goto work :: else fi;
#ifndef LOOK_FIRST
  sleeping = true;
#ifdef REST
  if :: summary != 0 -> sleeping = false; goto work :: else fi;
#else
  take_ready();
  if :: taken > 0 -> goto work :: else fi;
#endif
#else
  take_ready();
  if :: taken > 0 -> goto work :: else fi;
  sleeping = true;
#endif
end_asleep:
  bell > 0;
  if :: bell = 0 :: d_step { bell-- } fi;      /* drain(): all the bytes, or as many as fit its buffer */
#ifdef REST
  sleeping = false;
#endif
  goto work
}

active proctype judge() {
  byte i = 0;
  timeout;
  do
  :: i < CHANNELS -> assert(seen[i] == published[i]); i++
  :: else -> break
  od
}
