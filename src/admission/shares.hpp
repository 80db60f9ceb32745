// Policies that only add up shares: `utilisation` and `controlled_load`. Neither implies a deadline: under
// non-preemptive service even a load of 1 % can miss one (a long piece of somebody else is enough).
#pragma once

#include <vector>

#include "admission/policy.hpp"
#include "admission/sweep_step.hpp"

namespace rtchan::admission {

// A plain set of entries with running sums; what the policies without a demand test are built on.
class EntrySet {
 public:
  EntryId insert(const Task& task);
  void erase(EntryId id);
  void set_delay(EntryId id, Duration delay);
  [[nodiscard]] const Task& task(EntryId id) const { return entries_[id.value].task; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const Totals& totals() const noexcept { return totals_; }
  [[nodiscard]] Wide bursts() const noexcept { return bursts_; }  // sum of burst * C, ns
  [[nodiscard]] std::vector<Task> tasks() const;
  [[nodiscard]] bool reconciles() const;

 private:
  struct Entry {
    Task task;
    bool used = false;
  };
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
  Totals totals_;
  Wide bursts_ = 0;
};

// Common ground of the classes below guaranteed: keep a set, promise nothing about the device.
class SharePolicy : public AdmissionPolicy {
 public:
  SharePolicy(const StageSettings& settings, const PolicyOptions& options)
      : settings_(settings), options_(options) {}

  EntryId reserve(const Candidate& candidate, Duration delay) override {
    return set_.insert(with_delay(candidate, delay));
  }
  void commit(EntryId id, Duration delay) override { set_.set_delay(id, delay); }
  void release(EntryId id) override { set_.erase(id); }
  [[nodiscard]] std::size_t size() const noexcept override { return set_.size(); }
  [[nodiscard]] Task task(EntryId id) const override { return set_.task(id); }
  [[nodiscard]] std::uint64_t utilisation_ppm() const noexcept override;
  [[nodiscard]] Duration arrivals(Duration t) const override { return set_.totals().arrivals(t); }
  [[nodiscard]] BurstBound burst_bound() const override { return {}; }
  [[nodiscard]] bool reconciles() const override { return set_.reconciles(); }

 protected:
  [[nodiscard]] Wide rate() const noexcept {
    return Wide{settings_.supply.rate_q40()} << (utilisation_bits - 40);
  }
  // Load of the guaranteed channels of the same stage, 2^-60, rounded up.
  [[nodiscard]] Wide load_above() const noexcept;

  StageSettings settings_;
  PolicyOptions options_;
  EntrySet set_;
};

// Sum of C/T (peaks) <= share. The delay that test() names is the period: a figure to account with, not a
// promise.
class UtilisationPolicy final : public SharePolicy {
 public:
  using SharePolicy::SharePolicy;
  [[nodiscard]] std::string_view name() const noexcept override { return "utilisation"; }
  [[nodiscard]] std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                           Duration enough) const override;
};

// Controlled load (in the sense of RFC 2211): little queueing as long as sources keep to rate and burst,
// without a claim per packet. Served below guaranteed, above best effort; its frames must be no longer than
// b0, where the guaranteed class has counted them. Sums of rates and of bursts stay within a share of the
// stage.
class ControlledLoadPolicy final : public SharePolicy {
 public:
  using SharePolicy::SharePolicy;
  [[nodiscard]] std::string_view name() const noexcept override { return "controlled_load"; }
  // The delay named is the time that all bursts together take at the share's rate: typical, not promised.
  [[nodiscard]] std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                           Duration enough) const override;
};

}  // namespace rtchan::admission
