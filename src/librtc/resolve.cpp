#include "librtc/resolve.hpp"

#include <netdb.h>

#include <charconv>
#include <cstring>
#include <memory>
#include <string>

namespace rtchan::api {

namespace {

std::unexpected<Error> fail(std::string text) { return std::unexpected(Error{Errc::invalid_argument, std::move(text), {}}); }

}  // namespace

std::expected<std::vector<Endpoint>, Error> resolve(std::string_view destination) {
  if (const auto numeric = Endpoint::parse(destination)) return std::vector{*numeric};
  const auto colon = destination.rfind(':');
  if (colon == destination.npos || colon == 0) {
    return fail("destination is not \"host:port\" or \"[address]:port\": " + std::string{destination});
  }
  const std::string_view digits = destination.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    return fail("port is not within 0 ... 65,535: " + std::string{destination});
  }
  const std::string host{destination.substr(0, colon)};
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;  // one entry per address
  addrinfo* list = nullptr;
  if (const int code = getaddrinfo(host.c_str(), nullptr, &hints, &list); code != 0) {
    return fail("host name " + host + ": " + gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  std::vector<Endpoint> found;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    sockaddr_storage address{};
    std::memcpy(&address, entry->ai_addr, std::min<std::size_t>(entry->ai_addrlen, sizeof address));
    if (auto endpoint = Endpoint::from_sockaddr(address)) {
      endpoint->port = port;
      found.push_back(*endpoint);
    }
  }
  if (found.empty()) return fail("host name " + host + " has no IPv4 or IPv6 address");
  return found;
}

}  // namespace rtchan::api
