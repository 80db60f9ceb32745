// A network that need not exist: hosts, the links between them, where traffic goes, and the channels that
// somebody would like to have, in the order in which they would be asked for. Plain values. Read from one
// TOML file, whose tables mean what the same tables of rtcd.toml mean (docs/guide/plan.md); every wrong value
// is an error that names file, line, key and what is allowed, and all of them are reported.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <rtchan/qos.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "rtcd/config.hpp"

namespace rtchan::plan {

using HostIndex = std::size_t;
using LinkIndex = std::size_t;

struct Host {
  std::string name;
  rtcd::LimitsSection limits;
  rtcd::AdmissionSection admission;          // costs too
  std::vector<rtcd::WorkerSection> workers;  // at least one
};

// One host's side of a link.
struct LinkEnd {
  HostIndex host = 0;
  rtcd::LinkSection settings;  // `name` is the link's
};

// What the guard leaves of the rate, bits a second: all that is ever promised.
[[nodiscard]] std::uint64_t promised_capacity(const rtcd::LinkSection& link);

// Time on the wire of what the guard lets other programs put in front of us.
[[nodiscard]] Duration foreign_blocking(const rtcd::LinkSection& link);

struct Link {
  std::string name;
  std::array<LinkEnd, 2> ends;
};

// At host `at`, traffic for host `to` leaves by `link`, whatever the shortest way.
struct Route {
  HostIndex at = 0;
  HostIndex to = 0;
  LinkIndex link = 0;
};

// `count` channels alike, asked for one after the other.
struct ChannelGroup {
  std::string name;
  HostIndex from = 0;
  HostIndex to = 0;
  Qos qos{};
  std::vector<Extension> extensions;  // statistical: how often it sends
  std::uint32_t count = 1;
};

// Head-room is told in such messages.
struct Reference {
  double rate = 100;  // a second
  std::uint32_t message_bytes = 1'000;
  Duration local_delay = std::chrono::milliseconds{10};  // at one stage
};

struct Network {
  std::string name;
  std::vector<Host> hosts;
  std::vector<Link> links;
  std::vector<Route> routes;
  std::vector<ChannelGroup> channels;
  Reference reference{};
};

// Lines of text, each "FILE:LINE: KEY: what is wrong; what is allowed".
using FileErrors = std::vector<std::string>;

[[nodiscard]] std::expected<Network, FileErrors> load_network(const std::filesystem::path& file);
// `file` is only the name that errors show.
[[nodiscard]] std::expected<Network, FileErrors> parse_network(std::string_view toml, std::string_view file);

}  // namespace rtchan::plan
