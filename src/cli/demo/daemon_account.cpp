#include "cli/demo/daemon_account.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace rtchan::demo {
namespace {

using nlohmann::json;

double ms(Duration d) {
  return std::chrono::duration<double, std::milli>(d).count();
}

std::int64_t number(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<std::int64_t>() : 0;
}

std::string text(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

ChannelAccount account(const json& channel) {
  ChannelAccount a;
  a.sending = text(channel, "role") == "sending";
  a.promise_class = text(channel, "class");
  if (channel.contains("conditions") && channel["conditions"].is_array()) {
    for (const json& condition : channel["conditions"]) {
      if (condition.is_string()) a.conditions.push_back(condition.get<std::string>());
    }
  }
  if (channel.contains("bound_ns")) a.bound = Duration{number(channel, "bound_ns")};
  a.worst = Duration{number(channel, "worst_delay_ns")};
  if (const auto counters = channel.find("counters"); counters != channel.end() && counters->is_object()) {
    a.worst_cpu = Duration{number(*counters, "worst_cpu_ns")};
    a.worst_link = Duration{number(*counters, "worst_link_ns")};
    a.shaped = static_cast<std::uint64_t>(number(*counters, "shaped"));
    a.refused = static_cast<std::uint64_t>(number(*counters, "refused"));
    a.late = static_cast<std::uint64_t>(number(*counters, "late"));
    a.lost = static_cast<std::uint64_t>(number(*counters, "lost"));
  }
  return a;
}

}  // namespace

std::optional<ChannelAccount> find_channel(std::string_view channels_json, std::uint16_t port) {
  const json all = json::parse(channels_json, nullptr, false);
  if (!all.is_object() || !all.contains("channels") || !all["channels"].is_array()) return std::nullopt;
  const std::string ending = fmt::format(":{}", port);
  for (const json& channel : all["channels"]) {
    if (channel.is_object() && text(channel, "destination").ends_with(ending)) return account(channel);
  }
  return std::nullopt;
}

std::string attribution(const std::optional<ChannelAccount>& sender,
                        const std::optional<ChannelAccount>& receiver) {
  if (!sender || !sender->bound) return {};
  const std::string figures =
      fmt::format("{:.2f} of {:.2f} ms until the wire", ms(sender->worst), ms(*sender->bound));
  if (sender->worst > *sender->bound) return fmt::format("sending host ({})", figures);
  if (receiver && receiver->bound && receiver->worst > *receiver->bound)
    return fmt::format("network or receiving host ({})", figures);
  return {};
}

}  // namespace rtchan::demo
