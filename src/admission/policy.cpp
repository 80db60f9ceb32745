#include "admission/policy.hpp"

#include "admission/deadline_policies.hpp"
#include "admission/shares.hpp"
#include "admission/statistical.hpp"

namespace rtchan::admission {

const char* name(Reason reason) noexcept {
  switch (reason) {
    case Reason::none:
      return "none";
    case Reason::blocking:
      return "blocking";
    case Reason::utilisation:
      return "utilisation";
    case Reason::infeasible:
      return "infeasible";
    case Reason::existing_infeasible:
      return "existing_infeasible";
    case Reason::delay:
      return "delay";
    case Reason::too_complex:
      return "too_complex";
    case Reason::invalid:
      return "invalid";
    case Reason::memory:
      return "memory";
    case Reason::share:
      return "share";
    case Reason::probability:
      return "probability";
    case Reason::input:
      return "input";
  }
  return "unknown";
}

StageRefusal explain(const AdmissionPolicy& policy, const Candidate& candidate, Duration wanted) {
  const auto first = policy.test(candidate);
  StageRefusal refusal{.reason = Reason::delay};
  if (first) {
    refusal.fitting_delay = *first;
  } else {
    refusal = first.error();
    if (refusal.reason == Reason::invalid) return refusal;
  }
  // Raising the period keeps whatever fits fitting, so the smallest period is found by bisection.
  const auto fits = [&](std::int64_t period) {
    Candidate slower = candidate;
    slower.period = Duration{period};
    const auto answer = policy.test(slower);
    return answer && *answer <= wanted;
  };
  std::int64_t low = candidate.period.count();  // does not fit
  if (low <= 0 || fits(low)) return refusal;
  std::int64_t high = low;
  constexpr std::int64_t slowest = 1'000'000'000'000;  // one message in 1,000 s, the slowest contract
  while (high < slowest && !fits(high = high > slowest / 2 ? slowest : high * 2)) low = high;
  if (high >= slowest && !fits(high)) return refusal;
  while (high - low > 1 + low / 1000) {  // to 0.1 %: a hint
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? high : low) = middle;
  }
  refusal.fitting_period = Duration{high};
  return refusal;
}

std::unique_ptr<AdmissionPolicy> make_policy(std::string_view name, const StageSettings& settings,
                                             const PolicyOptions& options) {
  if (name == "edf") return std::make_unique<EdfPolicy>(settings);
  if (name == "d_order") return std::make_unique<DOrderPolicy>(settings);
  if (name == "utilisation") return std::make_unique<UtilisationPolicy>(settings, options);
  if (name == "controlled_load") return std::make_unique<ControlledLoadPolicy>(settings, options);
  if (name == "statistical") return std::make_unique<StatisticalPolicy>(settings, options);
  return nullptr;
}

}  // namespace rtchan::admission
