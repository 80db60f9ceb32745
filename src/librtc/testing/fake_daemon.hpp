// A daemon in miniature for tests of the library: one thread that speaks requests.hpp on a socket and moves messages
// between the arenas of its sessions through the daemon's own view. No admission, no network, no deadlines:
// every channel to a registered port is established if the agent agrees, and messages are delivered at once.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <bit>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ipc/daemon_view.hpp"
#include "ipc/doorbell.hpp"
#include "ipc/packet_socket.hpp"
#include "ipc/requests.hpp"

namespace rtchan::testing {

class FakeDaemon {
 public:
  // What a test may set before the library asks.
  std::atomic<bool> hold{false};                   // messages are not taken
  std::atomic<bool> silent{false};                 // CreateChannel is not answered
  std::atomic<std::int64_t> delay_ns{1'000};       // what every delivered message claims
  std::atomic<bool> abort_after_yes{false};        // the commit fails elsewhere
  std::function<std::optional<Error>(const ipc::CreateChannel&)> refuse;  // set before start

  FakeDaemon() {
    char directory[] = "/tmp/rtchan-test-XXXXXX";
    directory_ = mkdtemp(directory);
    path_ = directory_ + "/rtcd.sock";
    stop_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  }
  ~FakeDaemon() {
    kill();
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  const std::string& path() const { return path_; }

  void start() {
    unlink(path_.c_str());
    listening_.reset(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, path_.size());
    bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    listen(listening_.get(), 64);
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
  }
  // Like SIGKILL: every descriptor of the daemon closes at once.
  void kill() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    wake();
    thread_.join();
    for (auto& [fd, client] : clients_) {
      for (auto& [id, end] : client->ends) end->peer.reset();
    }
    clients_.clear();
    asked_.clear();
    listening_.reset();
  }
  void release_held() {
    hold = false;
    wake();
  }

  std::atomic<std::uint32_t> channels_open{0};  // ends
  std::atomic<std::uint32_t> sessions_open{0};
  std::atomic<std::uint64_t> violations{0};
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> dropped{0};        // messages whose receiver was behind

  // Runs on the daemon's thread.
  void post(std::function<void()> job) {
    {
      const std::scoped_lock lock(jobs_mutex_);
      jobs_.push_back(std::move(job));
    }
    wake();
  }
  void done(std::function<void()> job) {  // the same, and waits
    std::promise<void> ran;
    post([&] {
      job();
      ran.set_value();
    });
    ran.get_future().wait();
  }
  // The workers die, control lives on: the doorbells close, the connections do not.
  void drop_bells() {
    done([this] {
      for (auto& [fd, client] : clients_) client->bell.reset();
    });
  }
  // As many bytes as the doorbells hold, whether anybody sleeps or not.
  void flood_bells() {
    done([this] {
      const std::array<char, 4'096> bytes{};
      for (auto& [fd, client] : clients_) {
        while (::send(client->bell.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
        }
      }
    });
  }
  void notice(ipc::Notice::Kind kind, std::string text) {
    post([this, kind, text] {
      for (auto& [fd, client] : clients_) {
        for (auto& [id, end] : client->ends) send(*client, ipc::Notice{kind, ChannelId{id}, text});
      }
    });
  }
  void void_all() {
    post([this] {
      for (auto& [fd, client] : clients_) {
        for (auto& [id, end] : client->ends) ipc::mark_void(client->arena, end->place);
      }
    });
  }

 private:
  struct Client;
  struct End {
    Client* owner;
    std::uint32_t id;
    ipc::QueuePlace place;
    std::unique_ptr<ipc::SendQueue> send;
    std::unique_ptr<ipc::ReceiveQueue> receive;
    std::shared_ptr<End> peer;
    std::uint64_t number = 0;
    bool guaranteed = true;
  };
  struct Client {
    ipc::Fd control, bell, memfd;
    std::span<std::byte> arena;
    std::map<std::uint32_t, std::shared_ptr<End>> ends;
    std::vector<std::uint16_t> ports;
    std::uint64_t next_place = ipc::queues_offset;
    std::multimap<std::size_t, std::uint64_t> places;
    ipc::SessionBlock& block() { return *reinterpret_cast<ipc::SessionBlock*>(arena.data()); }
    ~Client() {
      if (!arena.empty()) munmap(arena.data(), arena.size());
    }
  };
  struct Question {
    int sender;    // control fd
    int receiver;
    ipc::CreateChannel request;
  };

  void wake() {
    const std::uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof one);
  }

  void run() {
    while (!stopping_) {
      std::vector<pollfd> waited{{stop_.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}};
      bool busy = false;
      for (auto& [fd, client] : clients_) {
        waited.push_back({fd, POLLIN, 0});
        if (client->bell) waited.push_back({client->bell.get(), POLLIN, 0});
        if (client->arena.empty() || hold) continue;
        // A worker's protocol: announce, look again, sleep only if there is nothing.
        client->block().to_worker[0].sleeping.exchange(1);
        busy = move_messages(*client) || busy;
      }
      poll(waited.data(), waited.size(), busy ? 0 : -1);
      std::uint64_t count = 0;
      (void)!read(stop_.get(), &count, sizeof count);
      run_jobs();
      accept_clients();
      std::vector<int> gone;
      for (auto& [fd, client] : clients_) {
        if (client->bell) ipc::drain(client->bell.get());
        if (!serve(*client)) gone.push_back(fd);
      }
      for (const int fd : gone) remove(fd);
    }
  }
  void run_jobs() {
    std::vector<std::function<void()>> jobs;
    {
      const std::scoped_lock lock(jobs_mutex_);
      jobs.swap(jobs_);
    }
    for (auto& job : jobs) job();
  }
  void accept_clients() {
    const int fd = accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    clients_[fd] = std::make_unique<Client>();
    clients_[fd]->control.reset(fd);
    ++sessions_open;
  }
  void remove(int fd) {
    auto node = clients_.extract(fd);
    for (auto& [id, end] : node.mapped()->ends) part(*end);
    std::erase_if(asked_, [fd](const auto& q) { return q.second.sender == fd || q.second.receiver == fd; });
    for (const auto port : node.mapped()->ports) ports_.erase(port);
    --sessions_open;
  }  // only now its end of the connection closes, as rtcd's does
  void part(End& end) {
    --channels_open;
    if (!end.peer) return;
    End& other = *end.peer;
    ipc::close_queue(other.owner->arena, other.place, static_cast<std::uint32_t>(Errc::peer_closed));
    add(*other.owner, other.id);
    send(*other.owner, ipc::Notice{ipc::Notice::Kind::peer_closed, ChannelId{other.id}, "the other end closed"});
    other.peer.reset();
    end.peer.reset();
  }
  void send(Client& client, const ipc::Reply& reply, std::span<const int> fds = {}) {
    const auto bytes = ipc::encode(reply);
    while (ipc::send_packet(client.control.get(), bytes, fds) == ipc::Transfer::would_block) {
      pollfd full{client.control.get(), POLLOUT, 0};  // the library always reads, so this ends
      poll(&full, 1, 100);
    }
  }
  void add(Client& client, std::uint32_t channel) {
    ipc::add(client.block().to_app, channel);
    ipc::ring_if_sleeping(client.block().app_sleeping, client.bell.get());
  }

  bool move_messages(Client& client) {
    constexpr std::uint32_t most = 64;
    const std::uint32_t taken = ipc::take(client.block().to_worker[0].ready, most, [&](std::uint32_t channel) {
      const auto found = client.ends.find(channel);
      if (found == client.ends.end() || !found->second->send) return;
      move(client, *found->second);
    });
    return taken == most;
  }
  void move(Client& client, End& from) {
    while (const auto message = from.send->take()) {
      if (from.peer) deliver(from, *message);
      ++from.number;
      if (from.send->release(*message)) {
        from.send->wake_producer();
        add(client, from.id);
      }
    }
    if (from.send->violation() != ipc::Violation::none) ++violations;
  }
  void deliver(End& from, const ipc::SendQueue::Message& message) {
    End& to = *from.peer;
    const auto slot = to.receive->reserve();
    if (to.receive->violation() != ipc::Violation::none) ++violations;
    if (!slot) {  // the application is behind: lost
      ++dropped;
      return;
    }
    to.receive->write(*slot, 0, from.send->bytes(message));
    const Duration delay = to.guaranteed ? Duration{delay_ns.load()} : Duration{INT64_MIN};
    if (to.receive->publish(*slot, message.length, from.number, RawClock::now(), delay)) to.receive->wake_consumer();
    add(*to.owner, to.id);
    ++delivered;
  }

  bool serve(Client& client) {
    std::vector<std::byte> bytes;
    std::vector<ipc::Fd> fds;
    for (int i = 0; i < 64; ++i) {
      const auto got = ipc::receive_packet(client.control.get(), bytes, fds);
      if (got == ipc::Transfer::would_block) return true;
      if (got != ipc::Transfer::done) return false;
      auto request = ipc::decode_request(bytes);
      if (!request) return false;
      std::visit([&](auto& m) { on(client, m); }, *request);
    }
    wake();
    return true;
  }
  void on(Client& client, ipc::Hello&) {
    client.memfd.reset(memfd_create("test-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    (void)!ftruncate(client.memfd.get(), static_cast<off_t>(limits::arena_bytes));
    void* at = mmap(nullptr, limits::arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, client.memfd.get(), 0);
    client.arena = {static_cast<std::byte*>(at), limits::arena_bytes};
    client.block().version = ipc::layout_version;
    client.block().workers = 1;
    client.block().daemon_alive.store(1);
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    client.bell.reset(pair[0]);
    const ipc::Fd theirs(pair[1]);
    const int fds[] = {client.memfd.get(), theirs.get()};
    send(client, ipc::Welcome{ipc::protocol_version, 1, limits::arena_bytes, SessionId{1}}, fds);
  }
  void on(Client& client, ipc::Mapped&) {
    fcntl(client.memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
    send(client, ipc::Ready{});
  }
  void on(Client& client, ipc::RegisterPort& m) {
    const std::uint16_t port = m.port != 0 ? m.port : next_port_++;
    if (!ports_.emplace(port, client.control.get()).second) {
      send(client, ipc::Failed{m.request, Error{Errc::port_in_use, "port is taken", {}}});
      return;
    }
    client.ports.push_back(port);
    send(client, ipc::Registered{m.request, port});
  }
  void on(Client& client, ipc::UnregisterPort& m) {
    if (std::erase(client.ports, m.port) > 0) ports_.erase(m.port);
    send(client, ipc::Done{m.request});
  }
  void on(Client& client, ipc::CreateChannel& m) {
    if (silent) return;
    if (refuse) {
      if (auto error = refuse(m)) {
        send(client, ipc::Failed{m.request, *error});
        return;
      }
    }
    const auto listener = ports_.find(m.destination.port);
    if (listener == ports_.end()) {
      send(client, ipc::Failed{m.request, Error{Errc::no_listener, "nobody registered that port", {}}});
      return;
    }
    const std::uint64_t question = next_question_++;
    asked_.emplace(question, Question{client.control.get(), listener->second, m});
    send(*clients_[listener->second],
         ipc::Asked{question, m.destination.port, false, {}, *Endpoint::parse("10.0.0.1:0"), 1000, m.qos, m.extensions});
  }
  void on(Client& receiver, ipc::Decision& m) {
    auto node = asked_.extract(m.question);
    if (node.empty()) return;  // a teardown's
    const Question& q = node.mapped();
    Client& sender = *clients_[q.sender];
    if (!m.accept) {
      send(sender, ipc::Failed{q.request.request, Error{Errc::rejected_by_agent, "the receiving application said no", {}}});
      return;
    }
    if (abort_after_yes) {
      send(receiver, ipc::Aborted{m.question});
      send(sender, ipc::Failed{q.request.request, Error{Errc::no_route, "the path failed", {}}});
      return;
    }
    auto out = open(sender, q.request.qos, true);
    auto in = open(receiver, q.request.qos, false);
    out->peer = in;
    in->peer = out;
    send(receiver, ipc::Accepted{m.question, ChannelId{in->id}, q.request.destination.port, 0, *Endpoint::parse("10.0.0.1:0"),
                                 q.request.qos, in->place});
    send(sender, ipc::Created{q.request.request, ChannelId{out->id}, 0, out->place,
                              out->guaranteed ? Duration{q.request.qos.max_delay} : Duration{}});
  }
  std::shared_ptr<End> open(Client& client, const Qos& qos, bool sends) {
    auto end = std::make_shared<End>();
    end->owner = &client;
    while (client.ends.contains(end->id)) ++end->id;
    const std::uint32_t slots = qos.max_burst;
    const auto slot_bytes = static_cast<std::uint32_t>((qos.max_message_bytes + 63) / 64 * 64);
    end->place = {0, slots, slot_bytes, std::bit_ceil(slots), qos.max_message_bytes};
    const std::size_t bytes = ipc::queue_bytes(end->place);
    if (auto free = client.places.find(bytes); free != client.places.end()) {
      end->place.offset = free->second;
      client.places.erase(free);
    } else {
      end->place.offset = client.next_place;
      client.next_place += bytes;
    }
    end->guaranteed = qos.service == ServiceClass::guaranteed;
    if (sends) end->send = std::make_unique<ipc::SendQueue>(client.arena, end->place);
    if (!sends) end->receive = std::make_unique<ipc::ReceiveQueue>(client.arena, end->place);
    client.ends.emplace(end->id, end);
    ++channels_open;
    return end;
  }
  void on(Client& client, ipc::DestroyChannel& m) {
    const auto found = client.ends.find(m.channel.value);
    if (found == client.ends.end()) {
      send(client, ipc::Failed{m.request, Error{Errc::invalid_argument, "no such channel", {}}});
      return;
    }
    const auto end = found->second;
    if (end->send) move(client, *end);  // what was accepted is still delivered
    client.ends.erase(found);
    client.places.emplace(ipc::queue_bytes(end->place), end->place.offset);
    part(*end);
    send(client, ipc::Done{m.request});
  }
  void on(Client& client, ipc::Query& m) {
    send(client, ipc::Text{m.request, false, "{\"what\":\"" + m.what + "\","});
    send(client, ipc::Text{m.request, true, "\"pages\":2}"});
  }

  std::string directory_, path_;
  ipc::Fd listening_, stop_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::mutex jobs_mutex_;
  std::vector<std::function<void()>> jobs_;
  // The newest mostly first: the end of an earlier session is noticed as late as it may be.
  std::map<int, std::unique_ptr<Client>, std::greater<>> clients_;
  std::map<std::uint16_t, int> ports_;
  std::map<std::uint64_t, Question> asked_;
  std::uint64_t next_question_ = 1;
  std::uint16_t next_port_ = 40'000;
};

}  // namespace rtchan::testing
