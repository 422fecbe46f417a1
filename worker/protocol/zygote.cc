#include "worker/protocol/zygote.h"

#include <nlohmann/json.hpp>

#include "worker/protocol/json_line.h"

namespace canopy::trainer_protocol {
namespace {

using nlohmann::json;

struct Encoder {
  StatusOr<std::string> operator()(const Hello& hello) const {
    return FormatLine({{"type", "hello"}, {"version", hello.version}});
  }
  StatusOr<std::string> operator()(const Spawn& spawn) const {
    const Dataset& dataset = spawn.dataset;
    return FormatLine(
        {{"type", "spawn"},
         {"attempt_id", spawn.attempt_id},
         {"dataset", {{"name", dataset.name}, {"path", dataset.path}, {"digest", dataset.digest}}}});
  }
  StatusOr<std::string> operator()(const Signal& signal) const {
    return FormatLine({{"type", "signal"}, {"attempt_id", signal.attempt_id}, {"signal", signal.signal}});
  }
  StatusOr<std::string> operator()(const Spawned& spawned) const {
    return FormatLine({{"type", "spawned"}, {"attempt_id", spawned.attempt_id}, {"pid", spawned.pid}});
  }
  StatusOr<std::string> operator()(const SpawnFailed& failed) const {
    return FormatLine(
        {{"type", "spawn_failed"}, {"attempt_id", failed.attempt_id}, {"message", failed.message}});
  }
  StatusOr<std::string> operator()(const Exited& exited) const {
    return FormatLine({{"type", "exited"},
                       {"attempt_id", exited.attempt_id},
                       {"pid", exited.pid},
                       {"wait_status", exited.wait_status},
                       {"user_ms", exited.user_ms},
                       {"system_ms", exited.system_ms},
                       {"max_rss_bytes", exited.max_rss_bytes}});
  }
};

ZygoteMessage GetMessage(std::string_view type, FieldReader& fields) {
  if (type == "hello") {
    Hello hello;
    fields.Get("version", hello.version);
    return hello;
  }
  if (type == "spawn") {
    Spawn spawn;
    fields.Get("attempt_id", spawn.attempt_id);
    fields.GetOptionalObject("dataset", [&](FieldReader& inner) {
      inner.Get("name", spawn.dataset.name);
      inner.GetOptional("path", spawn.dataset.path);
      inner.GetOptional("digest", spawn.dataset.digest);
    });
    return spawn;
  }
  if (type == "signal") {
    Signal signal;
    fields.Get("attempt_id", signal.attempt_id);
    fields.Get("signal", signal.signal);
    fields.Expect(signal.signal >= 1 && signal.signal <= 64, "signal", "a signal number from 1 to 64");
    return signal;
  }
  if (type == "spawned") {
    Spawned spawned;
    fields.Get("attempt_id", spawned.attempt_id);
    fields.Get("pid", spawned.pid);
    return spawned;
  }
  if (type == "spawn_failed") {
    SpawnFailed failed;
    fields.Get("attempt_id", failed.attempt_id);
    fields.GetOptional("message", failed.message);
    return failed;
  }
  if (type == "exited") {
    Exited exited;
    fields.Get("attempt_id", exited.attempt_id);
    fields.Get("pid", exited.pid);
    fields.Get("wait_status", exited.wait_status);
    fields.Get("user_ms", exited.user_ms);
    fields.Get("system_ms", exited.system_ms);
    fields.Get("max_rss_bytes", exited.max_rss_bytes);
    return exited;
  }
  fields.Expect(
      false, "type",
      "one of hello, spawn, signal, spawned, spawn_failed, exited, got '" + std::string(type) + "'");
  return Hello{};
}

}  // namespace

StatusOr<std::string> EncodeZygote(const ZygoteMessage& message) { return std::visit(Encoder{}, message); }

StatusOr<ZygoteMessage> DecodeZygote(std::string_view line) {
  CANOPY_ASSIGN_OR_RETURN(const json object, ParseLine(line));
  const auto type = object.at("type").get<std::string>();
  FieldReader fields(object, type.substr(0, 40));
  ZygoteMessage message = GetMessage(type, fields);
  CANOPY_RETURN_IF_ERROR(fields.status());
  return message;
}

}  // namespace canopy::trainer_protocol
