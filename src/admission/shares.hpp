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
  // `input_apart`: somebody else takes the input in, so that it is no part of the load here but a sum of its own.
  explicit EntrySet(bool input_apart) : input_apart_(input_apart) {}
  EntryId insert(const Task& task);
  void erase(EntryId id);
  void set_delay(EntryId id, Duration delay);
  [[nodiscard]] const Task& task(EntryId id) const { return entries_[id.value].task; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const Totals& totals() const noexcept { return totals_; }
  [[nodiscard]] Wide bursts() const noexcept { return bursts_; }  // sum of burst * C, ns
  [[nodiscard]] Wide input() const noexcept { return input_; }    // sum of input_service/T, 2^-60
  [[nodiscard]] std::vector<Task> tasks() const;
  [[nodiscard]] bool reconciles() const;

 private:
  struct Entry {
    Task task;
    bool used = false;
  };
  void count(const Task& task);
  [[nodiscard]] Task charged(const Task& task) const;

  bool input_apart_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t size_ = 0;
  Totals totals_;
  Wide bursts_ = 0;
  Wide input_ = 0;
};

// Common ground of what only sums up: keep a set, promise nothing about the device.
class SharePolicy : public AdmissionPolicy {
 public:
  SharePolicy(const StageSettings& settings, const PolicyOptions& options, bool input_apart = false)
      : settings_(settings), options_(options), set_(input_apart) {}

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

// The classes below guaranteed: what they may be given depends on the class above, and their input is taken in by the
// same polling server as best effort's (before it), so that it costs the class above nothing more.
class BelowPolicy : public SharePolicy {
 public:
  BelowPolicy(const StageSettings& settings, const PolicyOptions& options)
      : SharePolicy(settings, options, true) {}

 protected:
  // What every class below asks of a candidate; Reason::none: all well so far.
  [[nodiscard]] Reason flaw(const Candidate& c) const noexcept;
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
// stage; what was admitted is not given to guaranteed channels that come later.
class ControlledLoadPolicy final : public BelowPolicy {
 public:
  using BelowPolicy::BelowPolicy;
  [[nodiscard]] std::string_view name() const noexcept override { return "controlled_load"; }
  // The delay named is the time that all bursts together take at the share's rate: typical, not promised.
  [[nodiscard]] std::expected<Duration, StageRefusal> test(const Candidate& candidate,
                                                           Duration enough) const override;
  // The rates that were admitted stay free below the class above.
  [[nodiscard]] Reason bears(const Candidate& more) const override;
};

}  // namespace rtchan::admission
