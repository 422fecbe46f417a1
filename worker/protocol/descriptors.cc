#include "worker/protocol/descriptors.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace canopy::trainer_protocol {
namespace {

constexpr size_t kMaxDescriptors = 8;
constexpr size_t kReceiveBytes = size_t{1} << 16;

}  // namespace

Status SendBytes(int socket, std::string_view bytes, std::span<const int> descriptors) {
  CANOPY_CHECK(descriptors.size() <= kMaxDescriptors);
  CANOPY_CHECK(descriptors.empty() || !bytes.empty());
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))] = {};
  while (!bytes.empty()) {
    iovec data{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    if (!descriptors.empty()) {
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
      cmsghdr* rights = CMSG_FIRSTHDR(&header);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
      std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return FromErrno(errno, "send to the trainer protocol's peer");
    bytes.remove_prefix(static_cast<size_t>(sent));
    descriptors = {};
  }
  return absl::OkStatus();
}

StatusOr<Received> ReceiveBytes(int socket) {
  Received received;
  received.bytes.resize(kReceiveBytes);
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
  iovec data{received.bytes.data(), received.bytes.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t count = 0;
  do {
    count = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return FromErrno(errno, "receive from the trainer protocol's peer");
  received.bytes.resize(static_cast<size_t>(count));
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const size_t number = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    const size_t before = received.descriptors.size();
    received.descriptors.resize(before + number);
    std::memcpy(received.descriptors.data() + before, CMSG_DATA(item), number * sizeof(int));
  }
  return received;
}

}  // namespace canopy::trainer_protocol
