#include "cli/demo/series.hpp"

#include <algorithm>

namespace rtchan::demo {

std::vector<Bin> series(const FlowResult& flow, Instant start, Duration duration, Duration bin) {
  std::vector<Bin> bins(static_cast<std::size_t>((duration + bin - Duration{1}) / bin));
  const double width = std::chrono::duration<double>(bin).count();
  for (std::size_t i = 0; i < bins.size(); ++i) bins[i].begin = static_cast<double>(i) * width;
  std::vector<Record> records = flow.records;
  std::ranges::sort(records, {}, &Record::sequence);
  const auto l =
      flow.contract.guaranteed ? logical_arrivals(records, flow.contract.period()) : std::vector<Instant>{};
  for (std::size_t i = 0; i < records.size(); ++i) {
    const Record& r = records[i];
    if (r.readable < start) continue;
    const auto at = static_cast<std::size_t>((r.readable - start) / bin);
    if (at >= bins.size()) continue;
    const Instant from = flow.contract.guaranteed ? l[i] : r.handover;
    bins[at].bits += r.bytes * 8 / width;
    bins[at].worst_ms =
        std::max(bins[at].worst_ms, std::chrono::duration<double, std::milli>(r.readable - from).count());
    ++bins[at].messages;
  }
  return bins;
}

}  // namespace rtchan::demo
