// The words for codes and resources, the same wherever they are printed.
#include <rtchan/error.hpp>

namespace rtchan {

const char* name(Errc code) noexcept {
  switch (code) {
    case Errc::ok: return "ok";
    case Errc::invalid_argument: return "invalid argument";
    case Errc::no_daemon: return "no daemon";
    case Errc::daemon_gone: return "daemon gone";
    case Errc::permission_denied: return "permission denied";
    case Errc::refused: return "refused";
    case Errc::rejected_by_agent: return "rejected by agent";
    case Errc::no_listener: return "no listener";
    case Errc::port_in_use: return "port in use";
    case Errc::no_route: return "no route";
    case Errc::timed_out: return "timed out";
    case Errc::would_block: return "would block";
    case Errc::message_too_long: return "message too long";
    case Errc::contract_exceeded: return "contract exceeded";
    case Errc::closed: return "closed";
    case Errc::peer_closed: return "peer closed";
    case Errc::channel_void: return "channel void";
    case Errc::version_mismatch: return "version mismatch";
    case Errc::exhausted: return "exhausted";
    case Errc::protocol_error: return "protocol error";
    case Errc::would_deadlock: return "would deadlock";
    case Errc::system: return "system error";
    case Errc::peer_gone: return "peer gone";
  }
  return "unknown error";
}

const char* name(Resource resource) noexcept {
  switch (resource) {
    case Resource::none: return "none";
    case Resource::cpu: return "cpu";
    case Resource::link: return "link";
    case Resource::memory: return "memory";
    case Resource::blocking: return "blocking";
    case Resource::quota: return "quota";
    case Resource::delay: return "delay";
  }
  return "unknown resource";
}

}  // namespace rtchan
