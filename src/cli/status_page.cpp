#include "cli/status_page.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "cli/common/table.hpp"

namespace rtchan::cli {

namespace {

using json = nlohmann::ordered_json;

std::string text_of(const json& of, const char* key) { return of.value(key, std::string{}); }
std::uint64_t number_of(const json& of, const char* key) { return of.value(key, std::uint64_t{0}); }
json list_of(const json& of, const char* key) { return of.value(key, json::array()); }
json object_of(const json& of, const char* key) { return of.value(key, json::object()); }

std::string headline(const json& status) {
  return fmt::format("rtcd {} on {}, up {}: channels {}, listeners {}, applications {} (this one included)\n", text_of(status, "version"),
                     text_of(status, "name"), format_duration(Duration{status.value("uptime_ns", std::int64_t{0})}),
                     number_of(status, "channels"), number_of(status, "listeners"), number_of(status, "connected_applications"));
}

// One line per worker and link, what weakens them below it.
std::string foundations(const json& status) {
  std::string text;
  for (const json& worker : list_of(status, "workers")) {
    text += fmt::format("worker {}: {}; supply {}\n", number_of(worker, "worker"), text_of(worker, "scheduling"), text_of(worker, "supply"));
    if (!text_of(worker, "weaker_because").empty()) text += "  weaker: " + text_of(worker, "weaker_because") + "\n";
    for (const json& link : list_of(worker, "links")) {
      text += fmt::format("link {}: {}, {} Mbit/s, MTU {} bytes; {}\n", text_of(link, "name"), text_of(link, "address"),
                          number_of(link, "bits_per_second") / 1'000'000, number_of(link, "mtu_bytes"), text_of(link, "guard"));
      if (link.contains("void")) text += "  VOID, nothing is promised over it: " + text_of(link, "void") + "\n";
      for (const json& sentence : list_of(link, "shortcomings")) text += "  weaker: " + sentence.get<std::string>() + "\n";
    }
  }
  return text + "costs: " + text_of(status, "costs") + "\n";
}

std::string resources(const json& status) {
  Table table({"resource", "promised", "policy", "entries"});
  for (const json& stage : list_of(status, "stages")) {
    table.row({text_of(stage, "name"), fmt::format("{:.1f} %", static_cast<double>(number_of(stage, "utilisation_ppm")) / 1e4),
               text_of(stage, "policy"), std::to_string(number_of(stage, "entries"))});
  }
  for (const json& pool : list_of(status, "pools")) {
    const double size = static_cast<double>(std::max<std::uint64_t>(number_of(pool, "size"), 1));
    table.row({text_of(pool, "name"), fmt::format("{:.1f} %", 100.0 * static_cast<double>(number_of(pool, "used")) / size), "-", "-"});
  }
  return table.text();
}

// Counters that are not 0; times that are not 0 beside them.
void counted(const json& counters, const std::string& where, Table& table) {
  for (const auto& [name, count] : counters.items()) {
    if (!count.is_number() || count == 0) continue;
    json one = json::object();
    one[name] = count;
    std::string line = render(one);  // with its unit
    if (!line.empty()) line.pop_back();
    const auto gap = line.rfind("  ");
    table.row({where, line.substr(0, line.find("  ")), gap == std::string::npos ? line : line.substr(gap + 2)});
  }
}

std::string all_counted(const json& status) {
  Table table({"where", "counted", ""});
  counted(object_of(status, "counters"), "signalling", table);
  for (const json& worker : list_of(status, "workers")) {
    const std::string name = fmt::format("worker {}", number_of(worker, "worker"));
    counted(object_of(worker, "counters"), name, table);
    counted(object_of(worker, "domain"), name, table);
    for (const json& link : list_of(worker, "links")) counted(object_of(link, "counters"), "link " + text_of(link, "name"), table);
  }
  return table.text();
}

}  // namespace

std::string status_page(const json& status) {
  json neighbours = json::object();
  neighbours["neighbours"] = list_of(status, "neighbours");
  return headline(status) + foundations(status) + "\n" + resources(status) + "\n" + render(neighbours) + "\n" + all_counted(status) +
         "\nwhat is not listed above was counted 0 times; all of it: rtc status --all\n";
}

}  // namespace rtchan::cli
