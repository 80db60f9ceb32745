// The question every admission test answers, and the bookkeeping that goes with the answer. One policy object
// per stage (the CPU of one worker, one link): it knows every channel that counts there, tentative ones too.
//
// A policy is used by one thread at a time; the ledger above it serialises. It reads no clock.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <rtchan/error.hpp>
#include <span>
#include <string_view>

#include "admission/burst_bound.hpp"
#include "admission/input_bound.hpp"
#include "admission/supply.hpp"
#include "admission/task.hpp"

namespace rtchan::admission {

enum class Reason : std::uint8_t {
  none = 0,
  blocking,             // its longest piece would hold up a channel that cannot wait so long
  utilisation,          // the stage would be loaded beyond its limit
  infeasible,           // no local delay makes it fit beside the others
  existing_infeasible,  // the set misses deadlines already, before the new channel
  delay,                // it fits, but not within the delay that was asked for
  too_complex,          // not decided within the step limit; refusing is safe
  invalid,              // a value is outside its range
  memory,               // not enough buffer memory
  share,                // the share set aside for this class is used up (utilisation, controlled_load)
  probability,          // the target probability would be exceeded (statistical)
  input,                // its packets would exceed what the input of classes below guaranteed is served with
};
[[nodiscard]] const char* name(Reason reason) noexcept;

// Why a stage said no, and what it would take. Zero: unknown, or nothing would fit.
struct StageRefusal {
  Resource resource = Resource::none;  // filled by the ledger: cpu, link, memory (or blocking)
  Reason reason = Reason::none;
  Duration binding_time{};         // the instant after a simultaneous start at which demand exceeds supply
  Duration fitting_delay{};        // smallest local delay at this period
  Duration fitting_period{};       // smallest period (largest rate) at the delay that was asked for
  std::int64_t available_bytes{};  // reason == memory
};

// What is configured for a stage, whatever the policy.
struct StageSettings {
  Duration base_blocking{};  // b0: blocking by what is not a channel (best-effort frame, wake-up latency)
  Duration granularity{};    // eps: 0 is exact in continuous time; 1 on an integer time line
  Supply supply{};
  InputBound input_bound{};  // CPUs: what the wires into the worker can bring; none: as much as the channels say
  std::uint32_t utilisation_limit_ppm =
      980'000;                            // of the supply; 1'000'000: the pure rule of the test itself
  std::uint64_t step_limit = 50'000'000;  // deadlines or iterations before `too_complex`
  std::uint64_t work_limit = 1'000'000'000;  // d_order: summands of all its iterations together, the searches in the supply included
  Duration burst_cap{2'000'000};  // most that burst_bound() ever allows: how long a channel that has just
                                  // been admitted may find the device occupied
};

class AdmissionPolicy {
 public:
  virtual ~AdmissionPolicy() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;

  // Smallest local delay at which the candidate fits beside everything that is reserved here. With `enough`
  // above zero any answer <= enough will do (a policy may then answer sooner, with a larger value); the exact
  // minimum otherwise. Changes nothing.
  [[nodiscard]] virtual std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                                   Duration enough = Duration{0}) const = 0;
  // Counts the candidate at `delay`, which must not be below what test() has just answered.
  virtual EntryId reserve(const Candidate& candidate, Duration delay) = 0;
  // Raises an entry's delay to its final value. Needs no new test, since a larger delay keeps all others
  // safe. A smaller one than reserved is ignored.
  virtual void commit(EntryId id, Duration delay) = 0;
  // Forgets the entry. Its last messages must not be due any more (ledger.hpp sees to that).
  virtual void release(EntryId id) = 0;

  [[nodiscard]] virtual std::size_t size() const noexcept = 0;
  [[nodiscard]] virtual Task task(EntryId id) const = 0;
  // Sum of C/T over all entries, rounded up, in parts per million.
  [[nodiscard]] virtual std::uint64_t utilisation_ppm() const noexcept = 0;
  // The most work that can arrive here in any interval of length t (t >= 0), whatever its deadline.
  [[nodiscard]] virtual Duration arrivals(Duration t) const = 0;
  // How much may be handed to the device at once beside the present set; see burst_bound.hpp.
  [[nodiscard]] virtual BurstBound burst_bound() const = 0;
  // Classes below guaranteed: why what is promised here would no longer hold if the class above took `more` as well;
  // Reason::none: it would hold. A guaranteed class has nobody above.
  [[nodiscard]] virtual Reason bears(const Candidate& /*more*/) const { return Reason::none; }
  // Recomputes every running sum from the entries; false is a bug of ours. For debug checks and tests.
  [[nodiscard]] virtual bool reconciles() const = 0;
};

// The refusal for a channel that fits nowhere near what was asked, with hints: tries test() at other periods
// (about 40 tests). `wanted` is the local delay asked for; Duration::max() if any would do.
[[nodiscard]] StageRefusal explain(const AdmissionPolicy& policy, const Candidate& candidate,
                                   Duration wanted);

// By configuration name: "edf", "d_order", "utilisation", "controlled_load", "statistical". nullptr: no such
// policy. The last two are classes below guaranteed: `above` is the guaranteed policy of the same stage,
// whose demand they leave alone (may be null: there is none).
struct PolicyOptions {
  std::uint32_t share_ppm = 500'000;  // utilisation, controlled_load: of the stage's rate
  Duration burst_limit{20'000'000};   // controlled_load: work of all bursts together
  std::uint32_t target_ppm = 10'000;  // statistical: probability of missing at an instant
  // Both: sum of input_service/T at most; what comes for them is taken in by a polling server of so much.
  std::uint32_t input_ppm = 1'000'000;
  const AdmissionPolicy* above = nullptr;
};
[[nodiscard]] std::unique_ptr<AdmissionPolicy> make_policy(std::string_view name,
                                                           const StageSettings& settings,
                                                           const PolicyOptions& options = {});

}  // namespace rtchan::admission
