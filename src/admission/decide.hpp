// `rtc admit`: admission decisions without a network, as JSON lines. Each input line is one whole question,
// each output line its answer, in order:
//
//   {"policy":"edf","eps":0,"b0":N,"existing":[{"C":N,"T":N,"d":N,"q":N,"last":N},...],"new":{"C":N,"T":N,"q":N,"last":N}}
//   -> {"min_delay":N}   or   {"refused":"utilisation","binding_time":N,"fitting_T":N}
//   -> {"error":"...","field":"existing[2].C","line":7}   for a line that cannot be understood
//
// Integers, in any one unit of time. Defaults: policy edf, eps 0, b0 0, existing [], q = C, last = q. "d" of the new one: the
// largest delay that will do (any); if the smallest is larger, the answer is {"min_delay":N,"refused":"delay",...}. Of a refused
// one "fitting_T" is the smallest period with which it would be admitted: with one unit less it would not.
// `existing` is in order of admission (ties in delay: the older goes first). Also understood: policies
// d_order, envelope, utilisation, controlled_load, statistical; "limit_ppm" (utilisation limit; default
// 1000000, the pure rule); "supply":{"Q":N,"P":N,"loss_burst":N,"loss_ppm":N}; "share_ppm", "target_ppm"; per
// channel "burst", "activity_ppm", "input" and "jitter" (work at arrival, and how far arrivals bunch).
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

namespace rtchan::admission {

struct Decision {
  std::string json;  // one line, no newline
  bool understood = true;
};
// Answers one question. Never throws.
[[nodiscard]] Decision decide(std::string_view line, std::uint64_t line_number = 1);

// Answers every line (empty ones are skipped). Returns the exit status: 0, or 1 if any line was not
// understood.
int run_admit(std::istream& in, std::ostream& out);

}  // namespace rtchan::admission
