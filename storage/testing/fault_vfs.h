#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/random.h"

namespace canopy::storage::testing {

// SQLite's files in memory, on a disk that fails when it is told to. What was written and not synced is kept
// apart from what was, so that a loss of power drops, tears and reorders it. While one lives it is SQLite's
// default file system, and there is no other; one thread alone opens databases meanwhile. File locks and
// shared memory work between its connections.
class FaultVfs {
 public:
  // Before SQLite's first use in a process that has one thread: without its locks, and with more memory that
  // a connection keeps.
  static void ConfigureProcess();
  // `seed`: of what SQLite draws.
  explicit FaultVfs(uint64_t seed);
  // REQUIRES that no file is open.
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  // The process that uses the files dies at its `effects`-th effect from now: a write (which may be cut), a
  // truncation, a sync, a deletion, or a call of Effect. From then on it does nothing that anybody sees.
  void CrashAfter(int64_t effects);
  void Crash();
  bool crashed() const;
  // Counts an effect of the process on something else than its files; false: it died before.
  bool Effect();

  // Another process begins: what the last one wrote is there, synced or not. REQUIRES that no file is open.
  void RestartProcess();
  // The same after a loss of power: of what was not synced any part is there, in units of 512 bytes.
  void RestartMachine(Rng& rng);

  // The `nth` I/O call from now fails, and all later ones where `from_then_on`; 0: none does any more.
  void FailCall(int64_t nth, bool from_then_on);
  void FailNextSync();
  bool next_sync_fails() const;
  // Files, and what else lies there, together have no more bytes; 0: no bound.
  void SetCapacity(int64_t bytes);
  // What is left of it; the largest number where there is no bound.
  int64_t Free() const;
  int64_t Size() const;
  int64_t calls() const;
  // While one lives, calls neither fail by their number nor count: for who looks from outside.
  class Undisturbed {
   public:
    explicit Undisturbed(FaultVfs& vfs);
    ~Undisturbed();
    Undisturbed(const Undisturbed&) = delete;
    Undisturbed& operator=(const Undisturbed&) = delete;

   private:
    FaultVfs& vfs_;
  };
  int64_t syncs() const;

  // All files as they are.
  std::map<std::string, std::string> Files() const;
  // Replaces all files, durably. REQUIRES that none is open.
  void SetFiles(const std::map<std::string, std::string>& files);

  // Bytes on the disk that are none of SQLite's files.
  std::function<int64_t()> other_bytes = [] { return int64_t{0}; };
  // What SQLite takes for wall time.
  std::function<int64_t()> wall_us = [] { return int64_t{0}; };

  struct Disk;  // of the implementation

 private:
  const std::unique_ptr<Disk> disk_;
};

}  // namespace canopy::storage::testing
