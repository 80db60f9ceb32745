// The tables that say what a host can promise, key by key: read here for rtcd.toml and for the plan of a
// network, where the same keys mean the same. Each function keeps what the table does not name, and reports
// what is wrong through the table; all but read_capacity() also report unknown keys.
#pragma once

#include "rtcd/config.hpp"
#include "rtcd/config_table.hpp"

namespace rtchan::rtcd {

void read_limits(ConfigTable t, LimitsSection& limits);  // [limits]
// [[worker]]; `cores`: how many the host has.
void read_worker(ConfigTable t, WorkerSection& worker, std::int64_t cores);
void read_costs(ConfigTable t, admission::CostModel& costs);      // [costs]
void read_admission(ConfigTable t, AdmissionSection& admission);  // [admission]
// Of a [[link]]: rate, mtu, guard, foreign, worker, horizon, propagation. The table's other keys are the
// caller's.
void read_capacity(ConfigTable& t, LinkSection& link);

}  // namespace rtchan::rtcd
