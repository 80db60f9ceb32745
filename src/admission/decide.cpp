#include "admission/decide.hpp"

#include <fmt/format.h>

#include <istream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <set>
#include <vector>

#include "admission/d_order.hpp"
#include "admission/policy.hpp"
#include "admission/shares.hpp"
#include "admission/sweep.hpp"
#include "base/limits.hpp"

namespace rtchan::admission {
namespace {

using Json = nlohmann::json;

struct BadField {
  std::string field, text;
};

// Reads fields of one JSON object, and remembers the first thing that is wrong.
class Fields {
 public:
  Fields(const Json& object, std::string where, std::optional<BadField>& bad)
      : object_(object), where_(std::move(where)), bad_(bad) {
    if (!object.is_object()) complain("", "must be an object");
  }
  // The integer `key` in [low, high]; `fallback` if absent, required if there is none.
  std::int64_t integer(const char* key, std::optional<std::int64_t> fallback, std::int64_t low,
                       std::int64_t high = duration_limit.count()) {
    if (!object_.is_object()) return low;
    known_.emplace_back(key);
    const auto found = object_.find(key);
    if (found == object_.end()) {
      if (!fallback) complain(key, "is missing");
      return fallback.value_or(low);
    }
    const bool fits = found->is_number_unsigned() ? found->get<std::uint64_t>() <= std::uint64_t(INT64_MAX)
                                                  : found->is_number_integer();
    if (!fits) {
      complain(key, fmt::format("must be an integer from {} to {}", low, high));
      return low;
    }
    const auto value = found->get<std::int64_t>();
    if (value < low || value > high) {
      complain(key, fmt::format("is {}, must be from {} to {}", value, low, high));
      return low;
    }
    return value;
  }
  const Json* part(const char* key) {
    if (!object_.is_object()) return nullptr;
    known_.emplace_back(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  void complain(std::string_view key, std::string text) {
    if (bad_) return;
    std::string field = where_;
    if (!field.empty() && !key.empty()) field += '.';
    field += key;
    bad_ = BadField{std::move(field), std::move(text)};
  }
  // A misspelt field must not quietly mean its default.
  void nothing_else() {
    if (!object_.is_object()) return;
    for (const auto& [key, value] : object_.items()) {
      if (std::ranges::find(known_, key) == known_.end()) complain(key, "is not a field of this object");
    }
  }

 private:
  const Json& object_;
  std::string where_;
  std::optional<BadField>& bad_;
  std::vector<std::string> known_;
};

// One JSON value, if no object in it says anything twice: which of the two would count?
std::optional<Json> parse(std::string_view line, std::optional<BadField>& bad) {
  std::vector<std::set<std::string>> open;  // keys so far of the objects that are being read
  const auto watch = [&](int, Json::parse_event_t event, const Json& value) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event != Json::parse_event_t::key) return true;
    const auto key = value.get<std::string>();
    if (!open.back().insert(key).second && !bad) bad = BadField{key, "is given twice in one object"};
    return true;
  };
  Json json = Json::parse(line, watch, false);
  if (json.is_discarded()) bad = BadField{"", "not a JSON object"};
  return bad ? std::nullopt : std::optional{std::move(json)};
}

struct Question {
  std::string policy = "edf";
  StageSettings settings{.utilisation_limit_ppm = 1'000'000};
  PolicyOptions options{};
  std::vector<Task> existing;
  Task candidate{};  // delay: as large as it may be; 0: any will do
};

Task read_task(const Json& object, const std::string& where, bool exists, std::optional<BadField>& bad) {
  Fields f(object, where, bad);
  Task t;
  t.service = Duration{f.integer("C", std::nullopt, 1)};
  t.period = Duration{f.integer("T", std::nullopt, 1)};
  t.chunk = Duration{f.integer("q", t.service.count(), 1, t.service.count())};
  t.last = Duration{f.integer("last", t.chunk.count(), 1, t.chunk.count())};
  t.input_service = Duration{f.integer("input", 0, 0)};
  t.input_jitter = Duration{f.integer("jitter", 0, 0)};
  t.burst = static_cast<std::uint32_t>(f.integer("burst", 1, 1, std::numeric_limits<std::uint32_t>::max()));
  t.activity_ppm = static_cast<std::uint32_t>(f.integer("activity_ppm", 1'000'000, 0, 1'000'000));
  t.delay = Duration{f.integer("d", exists ? std::nullopt : std::optional<std::int64_t>{0}, 1)};
  f.nothing_else();
  return t;
}

Supply read_supply(const Json* object, std::optional<BadField>& bad) {
  if (object == nullptr) return {};
  Fields f(*object, "supply", bad);
  Supply s;
  s.period = Duration{f.integer("P", 1, 1)};
  s.quantum = Duration{f.integer("Q", s.period.count(), 1, s.period.count())};
  s.loss_burst = Duration{f.integer("loss_burst", 0, 0)};
  s.loss_ppm = static_cast<std::uint32_t>(f.integer("loss_ppm", 0, 0, 999'999));
  f.nothing_else();
  if (!bad && !s.valid()) f.complain("", "leaves nothing over in the long run");
  return s;
}

std::optional<Question> read_question(const Json& json, std::optional<BadField>& bad) {
  Question q;
  Fields f(json, "", bad);
  if (const Json* policy = f.part("policy"); policy != nullptr) {
    if (policy->is_string()) {
      q.policy = policy->get<std::string>();
    } else {
      f.complain("policy", "must be a string");
    }
  }
  StageSettings& s = q.settings;
  s.granularity = Duration{f.integer("eps", 0, 0, 1)};
  s.base_blocking = Duration{f.integer("b0", 0, 0)};
  s.utilisation_limit_ppm = static_cast<std::uint32_t>(f.integer("limit_ppm", 1'000'000, 0, 1'000'000));
  s.supply = read_supply(f.part("supply"), bad);
  s.step_limit = limits::admit_steps / static_cast<std::uint64_t>(s.supply.search_steps());
  s.work_limit = limits::admit_steps;
  q.options.share_ppm = static_cast<std::uint32_t>(f.integer("share_ppm", q.options.share_ppm, 0, 1'000'000));
  q.options.target_ppm =
      static_cast<std::uint32_t>(f.integer("target_ppm", q.options.target_ppm, 0, 1'000'000));
  if (const Json* existing = f.part("existing"); existing != nullptr) {
    if (!existing->is_array()) f.complain("existing", "must be an array");
    for (std::size_t i = 0; existing->is_array() && i < existing->size(); ++i)
      q.existing.push_back(read_task((*existing)[i], fmt::format("existing[{}]", i), true, bad));
  }
  if (const Json* candidate = f.part("new"); candidate != nullptr) {
    q.candidate = read_task(*candidate, "new", false, bad);
  } else {
    f.complain("new", "is missing");
  }
  f.nothing_else();
  if (bad) return std::nullopt;
  return q;
}

std::expected<Duration, StageRefusal> answer(const Question& q, std::optional<BadField>& bad) {
  if (q.policy == "edf") return smallest_delay_edf(q.existing, q.candidate, q.settings);
  if (q.policy == "d_order") return smallest_delay_d_order(q.existing, q.candidate, q.settings);
  if (q.policy == "envelope") return smallest_delay_envelope(q.existing, q.candidate, q.settings);
  const auto policy = make_policy(q.policy, q.settings, q.options);
  if (policy == nullptr) {
    bad = BadField{"policy",
                   fmt::format("\"{}\" is not edf, d_order, envelope, utilisation, controlled_load or "
                               "statistical",
                               q.policy)};
    return Duration{0};
  }
  for (const Task& t : q.existing) {
    if (t.service > t.period) return std::unexpected(StageRefusal{.reason = Reason::existing_infeasible});
    policy->reserve(t, t.delay);
  }
  return policy->test(q.candidate);
}

bool fits(const std::expected<Duration, StageRefusal>& least, const Question& q) {
  return least && (q.candidate.delay == Duration{0} || *least <= q.candidate.delay);
}

// The smallest period (largest rate) at which the refused channel fits, all else equal: there it does, and one unit below it
// does not. None: at no rate, or it would take long to say. A larger period keeps fitting whatever fits.
std::optional<std::int64_t> fitting_period(Question q) {
  constexpr std::uint64_t steps = 20'000;  // of each of some hundred questions
  q.settings.step_limit = std::min(q.settings.step_limit, steps);
  q.settings.work_limit = std::min(q.settings.work_limit, steps);
  bool complex = false;
  const auto fits_at = [&](std::int64_t period) {
    q.candidate.period = Duration{period};
    std::optional<BadField> bad;
    const auto result = answer(q, bad);
    complex = complex || (!result && result.error().reason == Reason::too_complex);
    return fits(result, q);
  };
  std::int64_t low = q.candidate.period.count(), high = low;  // low: does not fit
  while (!complex && !fits_at(high = std::min(high * 2, duration_limit.count()))) {
    if (high == duration_limit.count()) return std::nullopt;
    low = high;
  }
  while (!complex && high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits_at(middle) ? high : low) = middle;
  }
  return complex ? std::nullopt : std::optional{high};
}

Decision not_understood(const BadField& bad, std::uint64_t line_number) {
  Json out = {{"error", bad.field.empty() ? bad.text : bad.field + " " + bad.text},
              {"field", bad.field},
              {"line", line_number}};
  return {out.dump(-1, ' ', true, Json::error_handler_t::replace), false};
}

}  // namespace

Decision decide(std::string_view line, std::uint64_t line_number) {
  std::optional<BadField> bad;
  const auto json = parse(line, bad);
  if (!json) return not_understood(*bad, line_number);
  const auto question = read_question(*json, bad);
  if (!question) return not_understood(*bad, line_number);
  const auto result = answer(*question, bad);
  if (bad) return not_understood(*bad, line_number);
  Json out;
  if (result) out["min_delay"] = result->count();
  if (!fits(result, *question)) {
    const StageRefusal why = result ? StageRefusal{.reason = Reason::delay} : result.error();
    out["refused"] = name(why.reason);
    if (why.binding_time.count() > 0) out["binding_time"] = why.binding_time.count();
    if (const auto period = fitting_period(*question)) out["fitting_T"] = *period;
  }
  return {out.dump(), true};
}

int run_admit(std::istream& in, std::ostream& out) {
  bool all_understood = true;
  std::string line;
  for (std::uint64_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Decision decision = decide(line, number);
    all_understood = all_understood && decision.understood;
    out << decision.json << '\n' << std::flush;
  }
  return all_understood ? 0 : 1;
}

}  // namespace rtchan::admission
