// Admission questions as bytes: whatever a line says, it gets an answer that is JSON, nothing overflows (run under UBSan),
// nothing takes for ever; and where the tests agree to admit, the exact one never asks for the larger delay. Bytes after the
// first newline are numbers for the decision functions themselves: an index lives through them and must say what the plain
// sweep says.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "admission/d_order.hpp"
#include "admission/deadline_policies.hpp"
#include "admission/decide.hpp"
#include "admission/sweep.hpp"

using namespace rtchan;
using namespace rtchan::admission;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

// Numbers from bytes: an exponent and an offset, so that the edges of the range are near.
class Numbers {
 public:
  Numbers(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::int64_t positive(int most_bits = 60) {
    const int bits = byte() % (most_bits + 1);
    const std::int64_t value = (std::int64_t{1} << bits) + static_cast<std::int8_t>(byte());
    return std::clamp<std::int64_t>(value, 1, duration_limit.count());
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

Candidate candidate(Numbers& n, int bits) {
  Candidate c;
  const std::int64_t a = n.positive(bits), b = n.positive(bits);
  c.service = Duration{std::min(a, b)};
  c.period = Duration{std::max(a, b)};
  c.chunk = std::min(c.service, Duration{n.positive(bits)});
  c.last = c.chunk;
  if (n.byte() % 4 == 0) {
    c.input_service = Duration{n.positive(bits)};
    c.input_jitter = Duration{n.positive(bits)};
  }
  return c;
}

void decisions(Numbers n) {
  StageSettings s;
  const std::uint8_t kind = n.byte();
  const int bits = kind & 1 ? 60 : 14;
  if (kind & 2) s.base_blocking = Duration{n.positive(bits)};
  if (kind & 4) s.granularity = Duration{1};
  if (kind & 8) {
    const std::int64_t a = n.positive(bits), b = n.positive(bits);
    s.supply = {Duration{std::min(a, b)}, Duration{std::max(a, b)}, {}, 0};
  }
  s.step_limit = 400;  // sets that take more are for the tests: what is rare is found by trying much
  const unsigned finest = kind & 1 ? 10 : 2;
  EdfPolicy policy(s, finest);
  std::vector<std::pair<EntryId, Task>> present;
  for (int i = 0; i < 8 && !n.empty(); ++i) {
    const Candidate c = candidate(n, bits);
    std::vector<Task> existing;
    for (const auto& [id, task] : present) existing.push_back(task);
    const auto sweep = smallest_delay_edf(existing, c, s, TimeGrid{finest});
    if (n.byte() % 4 == 0) {
      const auto paper = smallest_delay_d_order(existing, c, s);
      const auto envelope = smallest_delay_envelope(existing, c, s);
      if (sweep && paper) expect(*paper >= *sweep);
      if (sweep && envelope) expect(*envelope >= *sweep);
    }
    const auto answer = policy.test(c, Duration{0});
    const auto complex = [](const auto& r) { return !r && r.error().reason == Reason::too_complex; };
    if (sweep) expect(answer && *answer == *sweep);
    if (answer && !sweep) expect(complex(sweep));
    if (!answer && !sweep) expect(answer.error().reason == sweep.error().reason || complex(sweep) || complex(answer));
    if (answer) {
      const Duration d = std::min(duration_limit, *answer + Duration{n.byte() % 2 == 0 ? 0 : n.positive(40)});
      present.emplace_back(policy.reserve(c, *answer), with_delay(c, d));
      policy.commit(present.back().first, d);
    } else if (!present.empty() && n.byte() % 2 == 0) {
      policy.release(present.front().first);
      present.erase(present.begin());
    }
  }
  (void)policy.burst_bound();
  expect(policy.size() == present.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* newline = static_cast<const std::uint8_t*>(size == 0 ? nullptr : std::memchr(data, '\n', size));
  const std::size_t line = newline == nullptr ? size : static_cast<std::size_t>(newline - data);
  const Decision d = decide({reinterpret_cast<const char*>(data), line});
  const auto json = nlohmann::json::parse(d.json, nullptr, false);
  expect(!json.is_discarded() && d.understood == !json.contains("error"));
  expect(d.json.find('\n') == std::string::npos);
  if (newline != nullptr) decisions(Numbers(newline + 1, size - line - 1));
  return 0;
}
