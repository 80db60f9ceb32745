// Says that the kernel's routes may have changed since one last asked. What has changed is for the router to say: what is
// said here is only heard. Interfaces and addresses count too, since routes go with them unsaid. Control thread only.
#pragma once

namespace rtchan::route {

class Watch {
 public:
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Never blocks. Where the kernel does not tell us (no netlink), never true.
  [[nodiscard]] bool changed();

 private:
  int socket_ = -1;
};

}  // namespace rtchan::route
