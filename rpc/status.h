#pragma once

#include "base/status.h"

namespace grpc {
class Status;
}

namespace canopy::rpc {

// The codes of both are the same; the message is cut to 4 KiB, as it travels in a header.
grpc::Status ToGrpc(const Status& status);
// Where the connection itself failed, the message says so.
Status FromGrpc(const grpc::Status& status);

}  // namespace canopy::rpc
