// Marks the time in which a thread runs a user's agent function: calls that would wait refuse there, since the
// thread that would end their waiting is the one that waits.
#pragma once

namespace rtchan::api {

class AgentScope {
 public:
  AgentScope() noexcept { ++depth(); }
  ~AgentScope() { --depth(); }
  AgentScope(const AgentScope&) = delete;
  AgentScope& operator=(const AgentScope&) = delete;
  static int& depth() noexcept;
};

}  // namespace rtchan::api
