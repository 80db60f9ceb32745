#include "cli/channels_table.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/text.hpp"
#include "cli/common/contract_options.hpp"
#include "cli/common/table.hpp"

namespace rtchan::cli {

namespace {

using json = nlohmann::ordered_json;

std::string text_of(const json& of, const char* key) { return of.value(key, std::string{}); }
std::uint64_t count_of(const json& counters, const char* key) { return counters.value(key, std::uint64_t{0}); }

std::string way(const json& c) {
  const std::string role = text_of(c, "role");
  if (role == "sending") return "to " + text_of(c, "destination");
  if (role == "receiving") return "from " + text_of(c, "source");
  return fmt::format("{} to {}", text_of(c, "source"), text_of(c, "destination"));
}

std::string contract(const json& c) {
  const json& of = c.at("contract");
  Qos qos;
  qos.service = service_named(text_of(c, "service")).value_or(ServiceClass::best_effort);
  qos.max_rate = of.value("max_rate", 0.0);
  qos.max_burst = of.value("max_burst", 0u);
  qos.max_message_bytes = of.value("max_message_bytes", 0u);
  qos.max_delay = Duration{of.value("max_delay_ns", std::int64_t{0})};
  return describe(qos);
}

// The worst delay so far beside its bound; a sender's own part ends at its wire.
std::string kept(const json& c) {
  const bool bounded = c.contains("bound_ns");
  if (!bounded && !c.contains("typical_ns")) return "-";
  std::string bound = format_duration(Duration{c[bounded ? "bound_ns" : "typical_ns"].get<std::int64_t>()});
  if (!bounded) bound = "typically " + bound;
  const std::int64_t worst = c.value("worst_delay_ns", std::int64_t{0});
  return fmt::format("{} of {}", worst > 0 ? format_duration(Duration{worst}) : "-", bound);
}

std::string standing(const json& c) {
  const std::string cls = text_of(c, "class");
  if (cls == "void") return "void: " + text_of(c, "why");
  return cls.empty() ? text_of(c, "state") : fmt::format("{}, {}", text_of(c, "state"), cls);
}

}  // namespace

std::string channels_table(const json& channels) {
  const json list = channels.value("channels", json::array());
  if (list.empty()) return "no channels\n";
  Table table({"channel", "contract", "worst of bound", "messages", "late", "lost", "refused", "state"});
  std::set<std::string> conditions;
  for (const json& c : list) {
    const json counters = c.value("counters", json::object());
    table.row({way(c), contract(c), kept(c), std::to_string(count_of(counters, "delivered")), std::to_string(count_of(counters, "late")),
               std::to_string(count_of(counters, "lost") + count_of(counters, "no_slot")), std::to_string(count_of(counters, "refused")), standing(c)});
    for (const json& condition : c.value("conditions", json::array())) conditions.insert(condition.get<std::string>());
  }
  std::string text = table.text();
  if (!conditions.empty()) text += "\nconditional: the promises hold as far as\n";
  for (const std::string& condition : conditions) text += "  " + condition + "\n";
  text += "\nsending ends count up to the wire; receiving ends count everything. All counters: rtc channels --json\n";
  return text;
}

}  // namespace rtchan::cli
