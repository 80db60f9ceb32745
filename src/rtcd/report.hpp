// What the daemon says of itself when asked ("status", "channels", "workers"): JSON for `rtc` and for programs. Each
// channel's bound stands beside the worst that was seen, with the class of its promise and the reasons in words.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "node/node.hpp"
#include "rtcd/config.hpp"
#include "rtcd/links.hpp"
#include "rtcd/worker_handle.hpp"

namespace rtchan::rtcd {

// What control knows and node does not.
struct Surroundings {
  const Config& config;
  const std::vector<Link>& links;
  const std::vector<std::unique_ptr<WorkerHandle>>& workers;
  std::size_t sessions{};
  std::size_t descriptors_limit{};
  Duration uptime{};
};

[[nodiscard]] std::string status_json(const node::Node& node, const Surroundings& with);
[[nodiscard]] std::string channels_json(const node::Node& node, const Surroundings& with);
[[nodiscard]] std::string workers_json(const Surroundings& with);

}  // namespace rtchan::rtcd
