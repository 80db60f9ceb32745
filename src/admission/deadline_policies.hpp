// The two policies that guarantee deadlines: `edf` (exact, the default) and `d_order` (the paper's).
#pragma once

#include <vector>

#include "admission/demand_index.hpp"
#include "admission/policy.hpp"

namespace rtchan::admission {

// Admits exactly what non-preemptive EDF can carry. A question costs some ten microseconds however many
// channels there are, as long as few of them are so tight that their deadlines must be looked at one by one.
class EdfPolicy : public AdmissionPolicy {
 public:
  explicit EdfPolicy(const StageSettings& settings, unsigned finest_bits = 10);

  [[nodiscard]] std::string_view name() const noexcept override { return "edf"; }
  [[nodiscard]] std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                           Duration enough) const override;
  EntryId reserve(const Candidate& candidate, Duration delay) override;
  void commit(EntryId id, Duration delay) override;
  void release(EntryId id) override;
  [[nodiscard]] std::size_t size() const noexcept override;
  [[nodiscard]] Task task(EntryId id) const override;
  [[nodiscard]] std::uint64_t utilisation_ppm() const noexcept override;
  [[nodiscard]] Duration arrivals(Duration t) const override;
  [[nodiscard]] BurstBound burst_bound() const override;
  [[nodiscard]] bool reconciles() const override;

  [[nodiscard]] const DemandIndex& index() const noexcept { return index_; }

 protected:
  // Well-formed, and not beyond the stage's utilisation limit?
  [[nodiscard]] std::expected<void, StageRefusal> plausible(const Candidate& candidate) const;

 private:
  struct Place {  // an entry's id stays while its place in the index changes with its delay
    EntryId in_index{};
    bool used = false;
  };
  DemandIndex index_;
  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  bool valid_settings_;
};

// The paper's D_order: the same channels are admitted, some with a larger minimum delay. O(n^2) and more: for
// small sets and for comparison.
class DOrderPolicy final : public EdfPolicy {
 public:
  explicit DOrderPolicy(const StageSettings& settings, unsigned finest_bits = 10);

  [[nodiscard]] std::string_view name() const noexcept override { return "d_order"; }
  [[nodiscard]] std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                           Duration enough) const override;
  EntryId reserve(const Candidate& candidate, Duration delay) override;
  void release(EntryId id) override;

 private:
  std::vector<EntryId> by_age_;
};

}  // namespace rtchan::admission
