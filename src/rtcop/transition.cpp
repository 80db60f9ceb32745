// The one switch of RTCOP. Mirrors the table of docs/protocol/rtcop.md (transition_test.cpp compares them).
#include "rtcop/path.hpp"

namespace rtchan::rtcop {

namespace {

using enum PathState;
using enum Deed;

constexpr Transition stay(PathState state) { return {state, ignore}; }

// What ends a path that holds something but that no neighbour relies on for data yet.
constexpr Transition before_commit(PathState state, PathEvent event) {
  switch (event) {
    case PathEvent::teardown:
    case PathEvent::close: return {none, end};
    case PathEvent::expire:
    case PathEvent::voided: return {none, give_up};
    case PathEvent::setup:
    case PathEvent::reserved:
    case PathEvent::denied:
    case PathEvent::commit:
    case PathEvent::refuse:
    case PathEvent::opened:
    case PathEvent::failed:
    case PathEvent::confirm:
    case PathEvent::start: return stay(state);
  }
  return stay(state);
}

// What ends a path once this node has committed: nothing can be refused any more.
constexpr Transition after_commit(PathState state, PathEvent event) {
  switch (event) {
    case PathEvent::refuse:
    case PathEvent::failed:
    case PathEvent::teardown:
    case PathEvent::close:
    case PathEvent::expire: return {none, end};
    case PathEvent::voided: return {state, pass_void};
    case PathEvent::setup:
    case PathEvent::reserved:
    case PathEvent::denied:
    case PathEvent::commit:
    case PathEvent::opened:
    case PathEvent::confirm:
    case PathEvent::start: return stay(state);
  }
  return stay(state);
}

}  // namespace

Transition transition(PathState state, PathEvent event) noexcept {
  switch (state) {
    case none:
      if (event == PathEvent::setup) return {reserving, reserve};
      if (event == PathEvent::commit || event == PathEvent::confirm || event == PathEvent::start) {
        return {none, disown};
      }
      return stay(none);
    case reserving:
      if (event == PathEvent::reserved) return {tentative, pass_setup};
      if (event == PathEvent::denied) return {none, refuse_back};
      return before_commit(state, event);
    case tentative:
      if (event == PathEvent::commit) return {opening, open_clip};
      if (event == PathEvent::refuse) return {reserving, detour};
      return before_commit(state, event);
    case opening:
      if (event == PathEvent::opened) return {committed, pass_commit};
      if (event == PathEvent::failed) return {none, give_up};
      if (event == PathEvent::refuse) return {none, refuse_back};
      return before_commit(state, event);
    case committed:
      if (event == PathEvent::confirm) return {confirmed, pass_confirm};
      return after_commit(state, event);
    case confirmed:
      if (event == PathEvent::start) return {open, pass_start};
      return after_commit(state, event);
    case open: return after_commit(state, event);
  }
  return stay(state);
}

const char* name(PathState state) noexcept {
  switch (state) {
    case none: return "none";
    case reserving: return "reserving";
    case tentative: return "tentative";
    case opening: return "opening";
    case committed: return "committed";
    case confirmed: return "confirmed";
    case open: return "open";
  }
  return "?";
}

const char* name(PathEvent event) noexcept {
  switch (event) {
    case PathEvent::setup: return "setup";
    case PathEvent::reserved: return "reserved";
    case PathEvent::denied: return "denied";
    case PathEvent::commit: return "commit";
    case PathEvent::refuse: return "refuse";
    case PathEvent::opened: return "opened";
    case PathEvent::failed: return "failed";
    case PathEvent::confirm: return "confirm";
    case PathEvent::start: return "start";
    case PathEvent::teardown: return "teardown";
    case PathEvent::close: return "close";
    case PathEvent::expire: return "expire";
    case PathEvent::voided: return "voided";
  }
  return "?";
}

const char* name(Deed deed) noexcept {
  switch (deed) {
    case ignore: return "ignore";
    case disown: return "disown";
    case reserve: return "reserve";
    case pass_setup: return "pass setup";
    case open_clip: return "open clip";
    case pass_commit: return "pass commit";
    case pass_confirm: return "pass confirm";
    case pass_start: return "pass start";
    case refuse_back: return "refuse back";
    case detour: return "detour";
    case give_up: return "give up";
    case end: return "end";
    case pass_void: return "pass void";
  }
  return "?";
}

}  // namespace rtchan::rtcop
