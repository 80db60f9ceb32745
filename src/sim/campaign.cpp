#include "sim/campaign.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "sim/world.hpp"

namespace rtchan::sim {
namespace {

std::int64_t median(std::vector<std::int64_t> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

Campaign run_seeds(const Sketch& sketch, std::uint64_t first, std::uint64_t count, unsigned threads,
                   std::size_t failures_most) {
  Campaign all;
  std::vector<std::int64_t> hosts, setups, kinds;
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::size_t> failed{0};
  std::mutex lock;
  const Instant began = RawClock::now();
  const auto work = [&] {
    for (std::uint64_t i = next++; i < count && failed < failures_most; i = next++) {
      Outcome outcome = run(make_script(sketch, first + i));
      const std::scoped_lock held{lock};
      all.totals.add(outcome.totals);
      hosts.push_back(outcome.hosts);
      setups.push_back(static_cast<std::int64_t>(outcome.totals.setups));
      kinds.push_back(outcome.fault_kinds);
      if (outcome.wrong.empty()) continue;
      ++failed;
      all.failures.push_back({first + i, std::move(outcome.wrong)});
    }
  };
  std::vector<std::thread> crew;
  for (unsigned t = 1; t < std::max(1U, threads); ++t) crew.emplace_back(work);
  work();
  for (std::thread& t : crew) t.join();
  std::ranges::sort(all.failures, {}, &Failure::seed);
  all.median_hosts = median(std::move(hosts));
  all.median_setups = median(std::move(setups));
  all.median_fault_kinds = median(std::move(kinds));
  all.seconds = std::chrono::duration<double>(RawClock::now() - began).count();
  return all;
}

}  // namespace rtchan::sim
