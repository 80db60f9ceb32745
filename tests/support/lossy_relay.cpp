// A wire that loses, damages and repeats what it carries, as a program: every frame that enters one interface leaves by the
// other, but for those that chance picks. Kernels without netem have nothing like it.
//
//   lossy-relay LEFT RIGHT --loss PERCENT --corrupt PERCENT --repeat PERCENT --seed N
//
// Same seed, same frames: same losses. UDP datagrams go on without a UDP checksum (IPv4 allows it): a veth leaves it to a
// device to be filled in, which there is none of, and what is damaged must be noticed by our own checksum, not the
// kernel's. Only UDP over IPv4 is lost or damaged: neighbour entries stay.
// Ends with SIGTERM; says then what it did, in one line of JSON.
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <string_view>

namespace {

volatile sig_atomic_t ended = 0;

struct Tally {
  unsigned long passed = 0, lost = 0, damaged = 0, repeated = 0, refused = 0;
};

// Everything that the interface receives, and nothing that it sends.
int open_interface(const char* name) {
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(name));
  const int yes = 1, bytes = 4 << 20;
  if (fd < 0 || address.sll_ifindex == 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) != 0) {
    std::perror(name);
    std::exit(1);
  }
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  // Destination addresses are the far end's, not ours.
  packet_mreq all{};
  all.mr_ifindex = address.sll_ifindex;
  all.mr_type = PACKET_MR_PROMISC;
  (void)setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all);
  return fd;
}

class Relay {
 public:
  struct Chances {
    double loss = 0, corruption = 0, repetition = 0;  // per cent
  };
  Relay(const Chances& chances, unsigned long seed) : chances_(chances), random_(seed) {}

  // Until nothing is left to be read.
  void pass(int from, int to) {
    for (;;) {
      const ssize_t n = recv(from, frame_.data(), frame_.size(), MSG_DONTWAIT);
      if (n <= 0) return;
      std::span<unsigned char> frame{frame_.data(), static_cast<std::size_t>(n)};
      if (!survives(frame)) continue;
      put(to, frame);
      if (!is_udp(frame) || !chance(chances_.repetition)) continue;
      ++tally.repeated;
      put(to, frame);
    }
  }

  Tally tally;

 private:
  bool chance(double percent) { return percent > 0 && std::uniform_real_distribution<>{0, 100}(random_) < percent; }

  void put(int to, std::span<const unsigned char> frame) {
    const bool sent = send(to, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
    ++(sent ? tally.passed : tally.refused);
  }

  static constexpr std::size_t ip = 14;
  static bool is_udp(std::span<const unsigned char> frame) {
    return frame.size() >= ip + 20 && frame[12] == 0x08 && frame[13] == 0x00 && frame[ip + 9] == IPPROTO_UDP;
  }

  bool survives(std::span<unsigned char> frame) {
    if (!is_udp(frame)) return true;
    const std::size_t udp = ip + (frame[ip] & 0x0fU) * 4U;
    if (frame.size() <= udp + 8) return true;
    frame[udp + 6] = frame[udp + 7] = 0;
    if (chance(chances_.loss)) {
      ++tally.lost;
      return false;
    }
    if (!chance(chances_.corruption)) return true;
    frame[udp + 8 + random_() % (frame.size() - udp - 8)] ^= static_cast<unsigned char>(1U << random_() % 8);
    ++tally.damaged;
    return true;
  }

  Chances chances_;
  std::mt19937_64 random_;
  std::array<unsigned char, 65'536> frame_{};
};

}  // namespace

int main(int argc, char** argv) {
  Relay::Chances chances;
  unsigned long seed = 1;
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string_view key = argv[i];
    if (key == "--loss") chances.loss = std::atof(argv[i + 1]);
    if (key == "--corrupt") chances.corruption = std::atof(argv[i + 1]);
    if (key == "--repeat") chances.repetition = std::atof(argv[i + 1]);
    if (key == "--seed") seed = std::strtoul(argv[i + 1], nullptr, 10);
  }
  if (argc < 3 || argc % 2 == 0) {
    std::fputs("usage: lossy-relay LEFT RIGHT [--loss PERCENT] [--corrupt PERCENT] [--repeat PERCENT] [--seed N]\n", stderr);
    return 2;
  }
  struct sigaction stop{};
  stop.sa_handler = [](int) { ended = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  const int left = open_interface(argv[1]), right = open_interface(argv[2]);
  Relay relay(chances, seed);
  std::puts("ready");
  std::fflush(stdout);
  while (ended == 0) {
    pollfd fds[2] = {{left, POLLIN, 0}, {right, POLLIN, 0}};
    if (poll(fds, 2, 500) <= 0) continue;
    relay.pass(left, right);
    relay.pass(right, left);
  }
  const Tally& t = relay.tally;
  std::printf("{\"passed\": %lu, \"lost\": %lu, \"damaged\": %lu, \"repeated\": %lu, \"refused\": %lu}\n", t.passed, t.lost, t.damaged, t.repeated, t.refused);
}
