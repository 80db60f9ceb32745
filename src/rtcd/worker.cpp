#include "rtcd/worker.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <new>
#include <thread>

#include "admission/stages.hpp"
#include "rtcd/data_thread.hpp"
#include "rtcd/eventfd.hpp"
#include "rtcd/housekeeper.hpp"
#include "rtcd/node_settings.hpp"
#include "rtcd/scheduling.hpp"

namespace rtchan::rtcd {
namespace {

constexpr std::uint32_t ethernet_wire_bytes = 24;  // preamble 8, frame check sequence 4, gap 12
// J_c: from the instant of a turn to the driver's hand-over in it; a turn of bounded work stays well below.
constexpr Duration hand_over_latency = std::chrono::microseconds{50};

struct Drivers {
  std::vector<std::unique_ptr<link::UdpDriver>> drivers;
  std::vector<clips::LinkConfig> links;
};

std::expected<Drivers, std::string> open_drivers(const WorkerSetup& setup) {
  Drivers result;
  WorkerFacts& facts = setup.shared->block().facts;
  for (const WorkerLink& link : setup.links) {
    auto driver = link::UdpDriver::open(link.udp);
    if (!driver) return std::unexpected(driver.error().text);
    facts.payload_bytes[result.links.size()] = static_cast<std::uint32_t>((*driver)->payload_bytes());
    facts.set_shortcomings(result.links.size(), (*driver)->shortcomings());
    result.links.push_back({.driver = driver->get(),
                            .bits_per_second = link.bits_per_second,
                            .frame_overhead_bytes = (*driver)->header_bytes() + ethernet_wire_bytes,
                            .refill_latency = hand_over_latency,
                            .foreign = link.foreign,
                            .signal_period = link.signal_period,
                            .signal_delay = link.signal_delay});
    result.drivers.push_back(std::move(*driver));
  }
  return result;
}

// How late the worker may visit its links, of whichever class it runs in.
void expect_visits(const WorkerSetup& setup, bool real_time, std::span<clips::LinkConfig> links) {
  admission::PacketFormat format;
  for (const clips::LinkConfig& link : links) {
    format.payload_per_packet_bytes =
        std::max(format.payload_per_packet_bytes, static_cast<std::uint32_t>(link.driver->payload_bytes()));
  }
  const auto costs = worker_costs(setup.section, setup.costs, real_time);
  for (clips::LinkConfig& link : links) link.visit = admission::link_visit(costs, format, static_cast<std::uint32_t>(links.size()));
}

Pacing::Settings pacing_of(const WorkerSetup& setup, bool real_time) {
  return {.spin = setup.section.spin, .duty_ppm = real_time ? setup.section.duty_ppm : 1'000'000};
}

void work(const WorkerSetup& setup) {
  WorkerBlock& block = setup.shared->block();
  auto drivers = open_drivers(setup);
  if (!drivers) return send_answer(setup.socket, Answer::Kind::start_failed, {}, {}, drivers.error());

  // The class is claimed first and by this thread, so that a refusal is known before anything runs; the data thread
  // inherits it, and this thread then gives it up.
  if (auto claimed = claim_core(setup.section, block.facts); !claimed) {
    return send_answer(setup.socket, Answer::Kind::start_failed, {}, {}, claimed.error());
  }
  expect_visits(setup, block.facts.real_time, drivers->links);
  auto inner = std::make_unique<InnerRings>();
  inner->housekeeper_wake.reset(make_eventfd());
  DataThread data{{.block = block,
                   .inner = *inner,
                   .wake_fd = setup.wake_fd,
                   .control_fd = setup.control_fd,
                   .links = drivers->links,
                   .domain = {.links = drivers->links,
                              .clips = setup.limits.clips_per_worker,
                              .packet_frames = setup.limits.packet_buffers,
                              .best_effort_packets = setup.costs.best_effort_packets,
                              .best_effort_period = setup.costs.best_effort_period,
                              .best_effort_delay = setup.costs.best_effort_delay,
                              .counters = setup.shared->clip_counters()},
                   .pacing = pacing_of(setup, block.facts.real_time)}};
  if (setup.own_process) lock_memory(block.facts);
  std::thread thread{[&] { data.run(); }};
  be_ordinary();
  {
    Housekeeper housekeeper{{.worker = setup.number,
                             .socket = setup.socket,
                             .data_wake_fd = setup.wake_fd,
                             .block = block,
                             .inner = *inner,
                             .bells = data.bells()}};
    send_answer(setup.socket, Answer::Kind::started, {}, {});
    housekeeper.run();
    inner->stop.store(true, std::memory_order_seq_cst);
    wake(setup.wake_fd);
    thread.join();
  }
}

}  // namespace

SharedBlock::SharedBlock(std::uint32_t clips)
    : bytes_(sizeof(WorkerBlock) + std::size_t{clips} * sizeof(clips::ClipCounters)) {
  void* at = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc{};
  block_ = new (at) WorkerBlock;
  auto* counters = reinterpret_cast<clips::ClipCounters*>(static_cast<std::byte*>(at) + sizeof(WorkerBlock));
  clips_ = {new (counters) clips::ClipCounters[clips], clips};
}

SharedBlock::~SharedBlock() { munmap(block_, bytes_); }

void run_worker(const WorkerSetup& setup) {
  try {
    work(setup);
  } catch (const std::exception& e) {  // out of memory while starting
    send_answer(setup.socket, Answer::Kind::start_failed, {}, {}, e.what());
  }
}

int fork_worker(const WorkerSetup& setup, std::span<const int> close_in_child) {
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // control killed: nothing of us may stay
  if (getppid() != parent) _exit(1);
  prctl(PR_SET_NAME, fmt::format("rtcd-worker{}", setup.number).c_str());
  // Whoever stops the daemon stops control; it lets channels end in order, then tells us.
  for (const int sig : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) signal(sig, SIG_IGN);
  for (const int fd : close_in_child) close(fd);
  run_worker(setup);
  _exit(0);
}

}  // namespace rtchan::rtcd
