// Test hosts on one machine: network namespaces joined by veth pairs, removed again whatever happens.
//
// A small helper process (the janitor) holds the read end of a pipe; when the lab is destroyed, or its
// process is ended by any signal (KILL included), the pipe closes and the janitor ends what still runs in the
// namespaces and deletes them. Names carry the pid, so several labs live side by side.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "lab/command.hpp"
#include "lab/process.hpp"
#include "rtchan/error.hpp"

namespace rtchan::lab {

struct Interface {
  std::string name;     // "net0", "net1", ... within its host
  std::string address;  // IPv4, numeric; empty on a host that only passes frames on
  std::string mac;
};

struct Host {
  std::string name;   // "a", as the test calls it
  std::string netns;  // the namespace, unique on this machine
  std::vector<Interface> interfaces;
};

// Needs CAP_NET_ADMIN and CAP_SYS_ADMIN in its user namespace (see privileges.hpp). Not thread-safe.
class Lab {
 public:
  // `label` (letters) names scratch directory and namespaces. With keep_directory the scratch directory
  // survives.
  [[nodiscard]] static std::expected<std::unique_ptr<Lab>, Error> create(const std::string& label,
                                                                         bool keep_directory = false);
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;
  ~Lab();

  // A new host without interfaces but lo; IPv6 is off (no neighbour discovery noise).
  [[nodiscard]] std::expected<std::size_t, Error> add_host(const std::string& name);

  // A veth pair between two hosts: 10.77.K.1/24 on `left`, 10.77.K.2/24 on `right` (K counts connections),
  // with permanent neighbour entries. Packets leave one by one: a segmentation super-packet is cut before the
  // wire, so a shaper further on sees frames (real NICs do the same). mtu in bytes.
  [[nodiscard]] std::expected<void, Error> connect(std::size_t left, std::size_t right, unsigned mtu = 1500);

  // A veth pair without addresses (for hosts that only pass frames on).
  [[nodiscard]] std::expected<void, Error> connect_bare(std::size_t left, std::size_t right,
                                                        unsigned mtu = 1500);
  // Gives the newest interface of a host an address.
  [[nodiscard]] std::expected<void, Error> give_address(std::size_t host, const std::string& address);
  // Permanent neighbour entries both ways between the newest interfaces of two hosts that share a segment.
  [[nodiscard]] std::expected<void, Error> introduce(std::size_t left, std::size_t right);

  [[nodiscard]] const Host& host(std::size_t index) const { return hosts_.at(index); }
  [[nodiscard]] std::size_t host_count() const { return hosts_.size(); }
  [[nodiscard]] const std::filesystem::path& directory() const {
    return directory_;
  }  // scratch, private to this lab

  // `ip -n HOST ...` and `tc -n HOST ...`.
  std::expected<std::string, Error> ip(std::size_t host, std::string_view arguments) const;
  std::expected<std::string, Error> tc(std::size_t host, std::string_view arguments) const;
  // Writes a file below /proc/sys/net of a host, e.g. "ipv4/ip_forward".
  std::expected<void, Error> sysctl(std::size_t host, const std::string& key, const std::string& value) const;

  [[nodiscard]] std::expected<Process, Error> start(std::size_t host, const Argv& argv,
                                                    ProcessOptions options = {}) const;

 private:
  Lab(std::string prefix, std::filesystem::path directory, bool keep_directory)
      : prefix_(std::move(prefix)), directory_(std::move(directory)), keep_directory_(keep_directory) {}
  std::expected<void, Error> start_janitor();

  std::string prefix_;
  std::filesystem::path directory_;
  bool keep_directory_;
  std::vector<Host> hosts_;
  unsigned connections_ = 0;
  unsigned macs_ = 0;
  int leash_ = -1;  // write end of the janitor's pipe
};

}  // namespace rtchan::lab
