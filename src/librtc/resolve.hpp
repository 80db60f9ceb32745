// Host names to endpoints, by the host's own resolver.
#pragma once

#include <expected>
#include <string_view>
#include <vector>

#include <rtchan/endpoint.hpp>
#include <rtchan/error.hpp>

namespace rtchan::api {

// "host:port", "10.0.0.1:80", "[fe80::1]:80", in the resolver's order of preference. May ask name servers: waits.
// Errors: invalid_argument (names what is wrong).
std::expected<std::vector<Endpoint>, Error> resolve(std::string_view destination);

}  // namespace rtchan::api
