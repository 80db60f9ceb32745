// Hostile local applications and hostile packets against two real daemons. Whatever one client does to the memory
// that it shares, to its doorbell or to its socket, an innocent channel between the same two hosts loses nothing
// and nothing remains behind. The innocent channel runs during every attack.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "ipc/daemon_view.hpp"
#include "lab/daemon.hpp"
#include "lab/netns.hpp"
#include "lab/topology.hpp"
#include "support/raw_client.hpp"
#include "wire/data_packet.hpp"

namespace rtchan {
namespace {

using namespace std::chrono_literals;
using testing::RawClient;

constexpr std::uint16_t innocent_port = 7000;
constexpr std::uint16_t victim_port = 7100;

Qos contract(double rate, std::uint32_t burst, std::uint32_t bytes, Duration delay) {
  Qos qos{};
  qos.max_rate = rate;
  qos.max_burst = burst;
  qos.max_message_bytes = bytes;
  qos.max_delay = delay;
  return qos;
}

// 200 numbered messages a second from host a to host b, for as long as it lives.
class Innocent {
 public:
  Innocent(const std::string& socket_a, const std::string& socket_b, const std::string& address_b) {
    if (!receiver_.open(socket_b) || !receiver_.listen(innocent_port) || !sender_.open(socket_a)) return;
    // The receiver's agent answers from its own thread while the sender waits for the outcome.
    std::thread agent{[this] { accepted_ = receiver_.await<ipc::Accepted>(5s); }};
    created_ = sender_.create(address_b + ":" + std::to_string(innocent_port), contract(250, 8, 256, 50ms));
    agent.join();
    if (!created_ || !accepted_) return;
    send_end_ = std::make_unique<ipc::SendEnd>(sender_.arena(), created_->queue);
    receive_end_ = std::make_unique<ipc::ReceiveEnd>(receiver_.arena(), accepted_->queue);
    talking_ = std::thread{[this] { talk(); }};
  }
  ~Innocent() {
    stop_ = true;
    if (talking_.joinable()) talking_.join();
  }

  [[nodiscard]] bool running() const { return talking_.joinable(); }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  // Stops sending, lets what is under way arrive, and says how much did not.
  std::uint64_t lost() {
    stop_ = true;
    if (talking_.joinable()) talking_.join();
    const auto until = std::chrono::steady_clock::now() + 3s;
    while (received_ < sent_ && std::chrono::steady_clock::now() < until) {
      take();
      std::this_thread::sleep_for(5ms);
    }
    return sent_ - received_;
  }
  [[nodiscard]] bool in_order() const { return in_order_; }

 private:
  void talk() {
    std::array<std::byte, 256> message{};
    while (!stop_) {
      const std::uint64_t number = sent_;
      std::memcpy(message.data(), &number, sizeof number);
      if (sender_.publish(*send_end_, *created_, message)) ++sent_;
      take();
      std::this_thread::sleep_for(5ms);
    }
  }
  void take() {
    while (const auto message = receive_end_->take()) {
      std::uint64_t number = 0;
      std::memcpy(&number, receive_end_->bytes(message->slot).data(), sizeof number);
      if (number < next_) in_order_ = false;
      next_ = number + 1;
      ++received_;
      receive_end_->give_back(message->slot);
    }
  }

  RawClient sender_, receiver_;
  std::optional<ipc::Created> created_;
  std::optional<ipc::Accepted> accepted_;
  std::unique_ptr<ipc::SendEnd> send_end_;
  std::unique_ptr<ipc::ReceiveEnd> receive_end_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::uint64_t received_ = 0, next_ = 0;
  bool in_order_ = true;
  std::thread talking_;
};

class Hostile : public ::testing::Test {
 protected:
  void SetUp() override {
    auto hosts = lab::direct_pair("hostile");
    ASSERT_TRUE(hosts) << hosts.error().text;
    hosts_ = std::move(*hosts);
    lab::DaemonOptions options;
    options.extra = "[limits]\nchannels_per_uid = 64\n";
    for (const std::size_t host : {hosts_.a, hosts_.b}) {
      options.core = static_cast<int>(host == hosts_.a ? 0 : 1);
      auto daemon = lab::Daemon::start(*hosts_.lab, host, options);
      ASSERT_TRUE(daemon) << daemon.error().text;
      daemons_.push_back(std::move(*daemon));
    }
    innocent_ = std::make_unique<Innocent>(socket_a(), socket_b(), hosts_.address_b());
    ASSERT_TRUE(innocent_->running()) << log();
    std::this_thread::sleep_for(200ms);
  }

  void TearDown() override {
    if (innocent_ && innocent_->running()) {
      std::this_thread::sleep_for(300ms);
      EXPECT_EQ(innocent_->lost(), 0u) << log();
      EXPECT_GT(innocent_->sent(), 30u);
      EXPECT_TRUE(innocent_->in_order());
    }
    for (auto& daemon : daemons_) EXPECT_TRUE(daemon.process().running()) << daemon.log();
    innocent_.reset();
    for (auto& daemon : daemons_) EXPECT_TRUE(daemon.process().stop(5s).ok()) << daemon.log();
  }

  // A hostile pair: an attacker that sends from a to its own accomplice on b.
  struct Pair {
    RawClient sender, receiver;
    std::optional<ipc::Created> created;
    std::optional<ipc::Accepted> accepted;
  };
  std::unique_ptr<Pair> hostile_pair() {
    auto pair = std::make_unique<Pair>();
    if (!pair->receiver.open(socket_b()) || !pair->receiver.listen(victim_port) || !pair->sender.open(socket_a())) {
      return nullptr;
    }
    std::thread agent{[&] { pair->accepted = pair->receiver.await<ipc::Accepted>(5s); }};
    pair->created = pair->sender.create(victim(), contract(1000, 16, 4096, 100ms));
    agent.join();
    return pair->created && pair->accepted ? std::move(pair) : nullptr;
  }

  [[nodiscard]] std::string victim() const { return hosts_.address_b() + ":" + std::to_string(victim_port); }
  [[nodiscard]] std::string socket_a() const { return daemons_[0].socket().string(); }
  [[nodiscard]] std::string socket_b() const { return daemons_[1].socket().string(); }
  [[nodiscard]] std::string log() const {
    std::string text;
    for (const auto& daemon : daemons_) text += daemon.log();
    return text;
  }
  static nlohmann::json channel_list(const std::string& socket) {
    RawClient asking;
    if (!asking.open(socket)) return {};
    const auto json = nlohmann::json::parse(asking.query("channels"), nullptr, false);
    return json.is_object() ? json.value("channels", nlohmann::json::array()) : json;
  }
  // Channels that a daemon carries; an end that waits for its application to notice its end is none.
  static std::size_t channels(const std::string& socket) {
    const auto list = channel_list(socket);
    if (!list.is_array()) return SIZE_MAX;
    return static_cast<std::size_t>(
        std::ranges::count_if(list, [](const auto& channel) { return channel.value("state", "") != "closed"; }));
  }
  [[nodiscard]] std::string left() const {
    return log() + channel_list(socket_a()).dump(1) + channel_list(socket_b()).dump(1);
  }
  bool channels_become(std::size_t count, std::chrono::seconds patience = 10s) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < until) {
      if (channels(socket_a()) == count && channels(socket_b()) == count) return true;
      std::this_thread::sleep_for(50ms);
    }
    return false;
  }

  lab::TwoHosts hosts_;
  std::vector<lab::Daemon> daemons_;
  std::unique_ptr<Innocent> innocent_;
};

// The queue and the session block, overwritten with random words while the daemon reads them.
TEST_F(Hostile, ScribblingOverTheWholeSharedMemory) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  std::mt19937_64 random{1};
  const std::size_t block_words = sizeof(ipc::SessionBlock) / 8;
  const std::size_t queue_words = ipc::queue_bytes(pair->created->queue) / 8;
  auto* block = reinterpret_cast<std::uint64_t*>(pair->sender.arena().data());
  auto* queue = reinterpret_cast<std::uint64_t*>(pair->sender.arena().data() + pair->created->queue.offset);
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 200; ++i) {
      __atomic_store_n(block + random() % block_words, random(), __ATOMIC_RELAXED);
      __atomic_store_n(queue + random() % queue_words, random(), __ATOMIC_RELAXED);
    }
    pair->sender.ring(pair->created->worker);
    std::this_thread::sleep_for(200us);
  }
  EXPECT_TRUE(pair->sender.evicted(2s)) << "a client that broke the rules of its ring stays";
  EXPECT_TRUE(channels_become(1)) << left();
}

TEST_F(Hostile, ReceiverScribblesOverItsQueue) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  ipc::SendEnd end{pair->sender.arena(), pair->created->queue};
  const std::array<std::byte, 4096> message{};
  std::mt19937_64 random{2};
  auto* queue = reinterpret_cast<std::uint64_t*>(pair->receiver.arena().data() + pair->accepted->queue.offset);
  const std::size_t words = ipc::queue_bytes(pair->accepted->queue) / 8;
  for (int i = 0; i < 1000; ++i) {
    pair->sender.publish(end, *pair->created, message);
    // The indices at the queue's beginning are few words among many: half of the writes go there.
    for (int j = 0; j < 100; ++j) {
      const std::size_t range = j % 2 == 0 ? sizeof(ipc::QueueBlock) / 8 : words;
      __atomic_store_n(queue + random() % range, random(), __ATOMIC_RELAXED);
    }
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(pair->receiver.evicted(2s));
  EXPECT_TRUE(channels_become(1)) << left();
}

class MovedTail : public Hostile, public ::testing::WithParamInterface<std::uint64_t> {};

TEST_P(MovedTail, EvictsTheClient) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  ipc::SendEnd end{pair->sender.arena(), pair->created->queue};
  const std::array<std::byte, 64> message{};
  ASSERT_TRUE(pair->sender.publish(end, *pair->created, message));
  std::this_thread::sleep_for(50ms);
  auto* block = reinterpret_cast<ipc::QueueBlock*>(pair->sender.arena().data() + pair->created->queue.offset);
  block->producer.ready_tail.fetch_add(GetParam());
  ipc::add(pair->sender.block().to_worker[pair->created->worker].ready, pair->created->channel.value);
  pair->sender.ring(pair->created->worker);
  EXPECT_TRUE(pair->sender.evicted(3s));
  EXPECT_TRUE(channels_become(1)) << left();
}
INSTANTIATE_TEST_SUITE_P(By, MovedTail,
                         ::testing::Values(std::uint64_t{1} << 31, ~std::uint64_t{0} /* back by one */, std::uint64_t{1} << 63));

// The length flips between valid and absurd while the daemon reads it: what was checked is what is used.
TEST_F(Hostile, LengthChangesBetweenCheckAndUse) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  auto* queue = pair->sender.arena().data() + pair->created->queue.offset;
  auto* ring = reinterpret_cast<ipc::Descriptor*>(queue + ipc::ready_offset());
  std::atomic<bool> stop{false};
  std::thread flipping{[&] {
    for (std::uint32_t i = 0; !stop; i = (i + 1) % pair->created->queue.capacity) {
      __atomic_store_n(&ring[i].length, 0xffffffffu, __ATOMIC_RELAXED);
      __atomic_store_n(&ring[i].length, 64u, __ATOMIC_RELAXED);
      if (i == 0) std::this_thread::sleep_for(10us);
    }
  }};
  ipc::SendEnd end{pair->sender.arena(), pair->created->queue};
  ipc::ReceiveEnd receive{pair->receiver.arena(), pair->accepted->queue};
  const std::array<std::byte, 64> message{};
  const auto until = std::chrono::steady_clock::now() + 1s;
  bool only_whole = true;
  while (std::chrono::steady_clock::now() < until) {
    pair->sender.publish(end, *pair->created, message);
    while (const auto got = receive.take()) {
      only_whole &= got->length == 64;
      receive.give_back(got->slot);
    }
    std::this_thread::sleep_for(500us);
  }
  stop = true;
  flipping.join();
  EXPECT_TRUE(only_whole);
}

// Nothing that a client does to the file takes memory away under the daemon.
TEST_F(Hostile, MemoryCannotBeTakenAway) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  const int fd = pair->sender.arena_fd();
  const auto offset = static_cast<off_t>(pair->created->queue.offset);
  EXPECT_NE(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, 4096), 0);
  EXPECT_NE(ftruncate(fd, 4096), 0);
  EXPECT_NE(ftruncate(fd, off_t{1} << 50), 0);
  EXPECT_NE(madvise(pair->sender.arena().data() + offset, 4096, MADV_REMOVE), 0);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_NE(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
}

// The doorbell is filled from the client's side, its blocking mode changed, and its other direction never drained.
TEST_F(Hostile, FilledDoorbell) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  for (const int bell : pair->sender.doorbells()) fcntl(bell, F_SETFL, fcntl(bell, F_GETFL) & ~O_NONBLOCK);
  for (const int bell : pair->receiver.doorbells()) fcntl(bell, F_SETFL, fcntl(bell, F_GETFL) & ~O_NONBLOCK);
  ipc::SendEnd end{pair->sender.arena(), pair->created->queue};
  const std::array<std::byte, 64> message{};
  const std::array<char, 4096> noise{};
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 50; ++i) {
      send(pair->sender.doorbells()[0], noise.data(), noise.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    pair->receiver.block().app_sleeping.store(1);  // "ring me", and never read it
    pair->sender.publish(end, *pair->created, message);
    std::this_thread::sleep_for(1ms);
  }
}

// A receiver that is stopped with a full queue: its messages are dropped and counted, it lives on afterwards.
TEST_F(Hostile, StoppedReceiverWithAFullQueue) {
  auto pair = hostile_pair();
  ASSERT_TRUE(pair) << log();
  ipc::SendEnd end{pair->sender.arena(), pair->created->queue};
  const std::array<std::byte, 64> message{};
  int published = 0;
  for (int i = 0; i < 1500; ++i) {  // the receiver takes none of them
    published += pair->sender.publish(end, *pair->created, message) ? 1 : 0;
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_GT(published, 500);
  const auto list = channel_list(socket_b());
  std::uint64_t dropped = 0;
  for (const auto& channel : list) {
    if (channel.contains("counters")) dropped += channel["counters"].value("no_slot", 0u);
  }
  EXPECT_GT(dropped, 0u) << list.dump(1);
  ipc::ReceiveEnd receive{pair->receiver.arena(), pair->accepted->queue};
  std::uint32_t waiting = 0;
  while (const auto got = receive.take()) {
    ++waiting;
    receive.give_back(got->slot);
  }
  EXPECT_EQ(waiting, receive.slots());
  for (int i = 0; i < 20; ++i) {
    pair->sender.publish(end, *pair->created, message);
    std::this_thread::sleep_for(5ms);
  }
  EXPECT_TRUE(receive.take().has_value()) << "the queue works again once it is read";
}

// A process that is killed after each step of its life: everything of it is released at both ends.
TEST_F(Hostile, KilledAtEachStep) {
  const auto steps = std::vector<std::pair<const char*, std::function<bool(RawClient&, RawClient&)>>>{
      {"connected", [&](RawClient& s, RawClient&) { return s.connect(socket_a()); }},
      {"greeted", [&](RawClient& s, RawClient&) { return s.connect(socket_a()) && s.hello(); }},
      {"mapped", [&](RawClient& s, RawClient&) { return s.open(socket_a()); }},
      {"listening", [&](RawClient&, RawClient& r) { return r.open(socket_b()) && r.listen(victim_port); }},
      {"asking, agent silent",
       [&](RawClient& s, RawClient& r) {
         if (!r.open(socket_b()) || !r.listen(victim_port) || !s.open(socket_a())) return false;
         ipc::CreateChannel request{};
         request.request = 77;
         request.destination = Endpoint::parse(victim()).value();
         request.qos = contract(100, 1, 64, 100ms);
         request.timeout = 5s;
         return s.send(request);
       }},
      {"established",
       [&](RawClient& s, RawClient& r) {
         if (!r.open(socket_b()) || !r.listen(victim_port) || !s.open(socket_a())) return false;
         std::optional<ipc::Accepted> accepted;
         std::thread agent{[&] { accepted = r.await<ipc::Accepted>(5s); }};
         const auto created = s.create(victim(), contract(100, 1, 64, 100ms));
         agent.join();
         return created && accepted;
       }},
      {"sending",
       [&](RawClient& s, RawClient& r) {
         if (!r.open(socket_b()) || !r.listen(victim_port) || !s.open(socket_a())) return false;
         std::optional<ipc::Accepted> accepted;
         std::thread agent{[&] { accepted = r.await<ipc::Accepted>(5s); }};
         const auto created = s.create(victim(), contract(100, 8, 64, 100ms));
         agent.join();
         if (!created || !accepted) return false;
         ipc::SendEnd end{s.arena(), created->queue};
         const std::array<std::byte, 64> message{};
         for (int i = 0; i < 8; ++i) s.publish(end, *created, message);
         return true;
       }},
  };
  for (const auto& [name, step] : steps) {
    SCOPED_TRACE(name);
    std::array<int, 2> reached{};
    ASSERT_EQ(pipe2(reached.data(), O_CLOEXEC), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      RawClient sender, receiver;
      const char ok = step(sender, receiver) ? 'y' : 'n';
      [[maybe_unused]] const auto written = write(reached[1], &ok, 1);
      pause();
      _exit(0);
    }
    char ok = 0;
    EXPECT_EQ(read(reached[0], &ok, 1), 1);
    EXPECT_EQ(ok, 'y') << log();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(reached[0]);
    close(reached[1]);
    EXPECT_TRUE(channels_become(1)) << left();
  }
}

// A child that inherited the descriptors cannot keep its parent's channels alive.
TEST_F(Hostile, ForkedChildDoesNotExtendTheLifetime) {
  std::array<int, 2> reached{};
  ASSERT_EQ(pipe(reached.data()), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    auto pair = hostile_pair();
    const pid_t heir = fork();
    if (heir == 0) {
      pause();
      _exit(0);
    }
    const pid_t told = pair ? heir : -1;
    [[maybe_unused]] const auto written = write(reached[1], &told, sizeof told);
    pause();
    _exit(0);
  }
  pid_t heir = -1;
  ASSERT_EQ(read(reached[0], &heir, sizeof heir), static_cast<ssize_t>(sizeof heir));
  EXPECT_GT(heir, 0) << log();
  EXPECT_EQ(channels(socket_a()), 2u);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(channels_become(1)) << left();
  if (heir > 0) kill(heir, SIGKILL);
  close(reached[0]);
  close(reached[1]);
}

// A million channels asked for by one user: it gets its quota and as many clear refusals; another user is served.
TEST_F(Hostile, OneUserAsksForAMillionChannels) {
  RawClient receiver, greedy;
  ASSERT_TRUE(receiver.open(socket_b()) && receiver.listen(victim_port) && greedy.open(socket_a()));
  const std::jthread agent{[&](const std::stop_token& stop) {
    while (!stop.stop_requested()) receiver.await<ipc::Failed>(50ms);  // answers every question with yes meanwhile
  }};
  std::uint64_t created = 0, refused = 0, other = 0;
  const auto drain = [&](std::chrono::milliseconds patience) {
    while (true) {
      if (greedy.await<ipc::Created>(0ms)) {
        ++created;
      } else if (const auto failed = greedy.await<ipc::Failed>(patience)) {
        const bool quota = failed->error.code == Errc::permission_denied || failed->error.code == Errc::exhausted ||
                           failed->error.refusal.resource == Resource::quota;
        ++(quota ? refused : other);
      } else {
        return;
      }
    }
  };
  constexpr std::uint64_t asked = 1'000'000;
  ipc::CreateChannel request{};
  request.destination = Endpoint::parse(victim()).value();
  request.qos = contract(0.01, 1, 16, 1s);
  request.timeout = 30s;
  for (std::uint64_t i = 0; i < asked; ++i) {
    request.request = static_cast<std::uint32_t>(i + 1);
    ASSERT_TRUE(greedy.send(request)) << "after " << i << ": " << log();
    if (i % 64 == 63) drain(0ms);
  }
  while (created + refused + other < asked && !::testing::Test::HasFailure()) {
    const auto before = created + refused + other;
    drain(2s);
    if (created + refused + other == before) break;
  }
  EXPECT_EQ(created + refused + other, asked) << "every request is answered";
  EXPECT_LE(created, 64u);
  EXPECT_GT(created, 0u);
  EXPECT_EQ(other, 0u);
}

// Packets of every malformed kind, and forged labels, from a stranger on the wire: no answer, nothing disturbed.
TEST_F(Hostile, RandomAndForgedDatagrams) {
  int fd = -1;
  ASSERT_TRUE(lab::in_netns(hosts_.lab->host(hosts_.a).netns,
                            [&] { fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }));
  std::mt19937_64 random{3};
  std::array<std::byte, 1400> packet{};
  const auto aim = [&](std::uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    inet_pton(AF_INET, hosts_.address_b().c_str(), &to.sin_addr);
    return to;
  };
  std::uint64_t flown = 0;
  const auto until = std::chrono::steady_clock::now() + 2s;
  while (std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 20; ++i) {
      for (auto& byte : packet) byte = static_cast<std::byte>(random());
      std::size_t size = random() % packet.size();
      if (random() % 4 == 0) size = 0;
      if (random() % 2 == 0) {  // well formed, sealed, with a guessed label
        size = wire::header_bytes + wire::record_bytes + 64 + wire::trailer_bytes;
        wire::DataHeader header{};
        header.type = random() % 3 == 0 ? wire::PacketType::signal : wire::PacketType::messages;
        header.label = {static_cast<std::uint32_t>(random() % 16), static_cast<std::uint32_t>(random())};
        packet[wire::header_bytes] = std::byte{0};
        packet[wire::header_bytes + 1] = std::byte{64};
        wire::encode_header(header, std::span{packet}.first(size));
        wire::seal(std::span{packet}.first(size));
      }
      const auto to = aim(static_cast<std::uint16_t>(7747 + random() % 2));
      if (sendto(fd, packet.data(), size, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) >= 0) ++flown;
    }
    std::this_thread::sleep_for(500us);
  }
  EXPECT_GT(flown, 1000u);
  std::array<char, 2048> answer{};
  EXPECT_LT(recv(fd, answer.data(), answer.size(), MSG_DONTWAIT), 0) << "a stranger got an answer";
  close(fd);
}

// A client that asks and never listens is evicted once its bounded queue is full.
TEST_F(Hostile, ClientThatNeverReads) {
  RawClient deaf;
  ASSERT_TRUE(deaf.open(socket_a()));
  for (std::uint32_t i = 0; i < 200'000 && deaf.send(ipc::Query{i, "status"}, false); ++i) {
    if (i % 64 == 0) std::this_thread::sleep_for(100us);
  }
  EXPECT_TRUE(channels_become(1)) << left();
}

}  // namespace
}  // namespace rtchan
