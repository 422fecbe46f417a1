#include "storage/testing/fault_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <new>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"

namespace canopy::storage::testing {
namespace {

constexpr int64_t kSector = 512;
constexpr int kRegionBytes = 32'768;

struct Connection;

struct Inode {
  // A write, or a truncation to `offset` where there is no data.
  struct Change {
    int64_t offset = 0;
    std::string data;
    bool truncates = false;
  };
  std::string now;      // what a process reads
  std::string durable;  // what a loss of power leaves for certain
  std::vector<Change> unsynced;
  bool name_is_durable = false;
  std::set<Connection*> connections;
  std::vector<std::unique_ptr<char[]>> shared_memory;

  static void Apply(const Change& change, std::string& bytes) {
    if (change.truncates) {
      bytes.resize(static_cast<size_t>(change.offset));
      return;
    }
    const size_t end = static_cast<size_t>(change.offset) + change.data.size();
    if (bytes.size() < end) bytes.resize(end);
    std::memcpy(bytes.data() + change.offset, change.data.data(), change.data.size());
  }
};

}  // namespace

struct FaultVfs::Disk {
  explicit Disk(uint64_t seed) : random(seed) {}

  // False: this call fails.
  bool Call() {
    if (dead) return false;
    if (undisturbed) return true;
    ++calls;
    if (fail_in == 0) return true;
    if (fail_in > 1) {
      --fail_in;
      return true;
    }
    if (!fail_on) fail_in = 0;
    return false;
  }
  // True: the process dies with this effect.
  bool Dies() {
    if (dead) return true;
    if (effects_left > 0 && --effects_left == 0) dead = true;
    return dead;
  }
  int64_t Size() const {
    int64_t size = 0;
    for (const auto& [name, inode] : files) size += static_cast<int64_t>(inode->now.size());
    return size;
  }
  int64_t Free() const { return std::max<int64_t>(0, capacity - Size() - (*other_bytes)()); }
  int Write(Inode& inode, const void* data, int64_t size, int64_t offset) {
    if (!Call()) return SQLITE_IOERR_WRITE;
    const int64_t grows = offset + size - static_cast<int64_t>(inode.now.size());
    if (capacity > 0 && grows > 0 && grows > Free()) return SQLITE_FULL;
    const bool dies = Dies();
    if (dies) size = static_cast<int64_t>(random.Below(static_cast<uint64_t>(size) + 1));
    Inode::Change change{offset, std::string(static_cast<const char*>(data), static_cast<size_t>(size))};
    Inode::Apply(change, inode.now);
    inode.unsynced.push_back(std::move(change));
    return dies ? SQLITE_IOERR_WRITE : SQLITE_OK;
  }
  int Truncate(Inode& inode, int64_t size) {
    if (!Call() || Dies()) return SQLITE_IOERR_TRUNCATE;
    Inode::Change change{size, {}, true};
    Inode::Apply(change, inode.now);
    inode.unsynced.push_back(std::move(change));
    return SQLITE_OK;
  }
  int Sync(Inode& inode) {
    if (!Call() || Dies()) return SQLITE_IOERR_FSYNC;
    if (!undisturbed && std::exchange(fail_sync, false)) {
      // The kernel has marked the pages clean: a later sync would say OK, and they would not be there.
      inode.unsynced.clear();
      return SQLITE_IOERR_FSYNC;
    }
    ++syncs;
    for (const Inode::Change& change : inode.unsynced) Inode::Apply(change, inode.durable);
    inode.unsynced.clear();
    // SQLite's own file system syncs the folder with a new file.
    if (!std::exchange(inode.name_is_durable, true)) removed.clear();
    return SQLITE_OK;
  }
  int Delete(const std::string& name, bool syncs_folder) {
    if (!Call() || Dies()) return SQLITE_IOERR_DELETE;
    const auto found = files.find(name);
    if (found == files.end()) return SQLITE_IOERR_DELETE_NOENT;
    if (found->second->name_is_durable) removed[name] = found->second;
    files.erase(found);
    if (syncs_folder) removed.clear();
    return SQLITE_OK;
  }
  void LosePower(Rng& rng) {
    // A deleted file's name may come back: nobody synced the folder.
    for (auto& [name, inode] : std::exchange(removed, {}))
      if (files.count(name) == 0 && rng.Below(2) == 0) files[name] = inode;
    const double kept = std::array<double, 5>{0, 0.1, 0.5, 0.9, 1}[rng.Below(5)];
    for (auto entry = files.begin(); entry != files.end();) {
      Inode& inode = *entry->second;
      for (const Inode::Change& change : inode.unsynced) {
        if (change.truncates && rng.Double() < kept) Inode::Apply(change, inode.durable);
        const auto size = static_cast<int64_t>(change.data.size());
        for (int64_t begin = 0, end; begin < size; begin = end) {
          end = std::min(size, (change.offset + begin) / kSector * kSector + kSector - change.offset);
          if (rng.Double() >= kept) continue;
          Inode::Apply({change.offset + begin,
                        change.data.substr(static_cast<size_t>(begin), static_cast<size_t>(end - begin))},
                       inode.durable);
        }
      }
      inode.unsynced.clear();
      inode.now = inode.durable;
      const bool vanishes = !inode.name_is_durable && rng.Below(2) == 0;
      inode.name_is_durable = true;
      entry = vanishes ? files.erase(entry) : std::next(entry);
    }
  }
  bool AnyOpen() const {
    return std::any_of(files.begin(), files.end(),
                       [](const auto& entry) { return !entry.second->connections.empty(); });
  }

  std::map<std::string, std::shared_ptr<Inode>> files, removed;
  Rng random;
  int64_t calls = 0, syncs = 0, capacity = 0;
  int64_t effects_left = 0;  // 0: it does not die
  int64_t fail_in = 0;       // 0: no call fails
  bool fail_on = false, fail_sync = false, dead = false, undisturbed = false;
  std::function<int64_t()>* other_bytes = nullptr;
  std::function<int64_t()>* wall_us = nullptr;
};

namespace {

using Disk = FaultVfs::Disk;

// An open file. The locks are those of SQLite's own file systems.
struct Connection {
  Disk* disk = nullptr;
  std::shared_ptr<Inode> inode;
  std::string delete_on_close;
  int lock = SQLITE_LOCK_NONE;
  unsigned shared = 0, exclusive = 0;  // of the shared memory's locks, one bit each

  int HighestOther() const {
    int highest = SQLITE_LOCK_NONE;
    for (const Connection* other : inode->connections)
      if (other != this) highest = std::max(highest, other->lock);
    return highest;
  }
};

struct File {
  sqlite3_file base;
  Connection* connection;
};
Connection& Of(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->connection; }

int Close(sqlite3_file* file) {
  Connection* const connection = reinterpret_cast<File*>(file)->connection;
  connection->inode->connections.erase(connection);
  if (!connection->delete_on_close.empty()) connection->disk->files.erase(connection->delete_on_close);
  delete connection;
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* buffer, int size, sqlite3_int64 offset) {
  const Connection& connection = Of(file);
  if (!connection.disk->Call()) return SQLITE_IOERR_READ;
  const std::string& bytes = connection.inode->now;
  const int64_t there =
      std::clamp<int64_t>(static_cast<int64_t>(bytes.size()) - offset, 0, static_cast<int64_t>(size));
  if (there > 0) std::memcpy(buffer, bytes.data() + offset, static_cast<size_t>(there));
  if (there == size) return SQLITE_OK;
  std::memset(static_cast<char*>(buffer) + there, 0, static_cast<size_t>(size - there));
  return SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
  return Of(file).disk->Write(*Of(file).inode, data, size, offset);
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return Of(file).disk->Truncate(*Of(file).inode, size);
}

int Sync(sqlite3_file* file, int) { return Of(file).disk->Sync(*Of(file).inode); }

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  if (!Of(file).disk->Call()) return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(Of(file).inode->now.size());
  return SQLITE_OK;
}

int Lock(sqlite3_file* file, int level) {
  Connection& connection = Of(file);
  if (connection.lock >= level) return SQLITE_OK;
  const int other = connection.HighestOther();
  if (level == SQLITE_LOCK_SHARED && other >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_RESERVED && other >= SQLITE_LOCK_RESERVED) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_EXCLUSIVE && other >= SQLITE_LOCK_SHARED) return SQLITE_BUSY;
  connection.lock = level;
  return SQLITE_OK;
}

int Unlock(sqlite3_file* file, int level) {
  Of(file).lock = std::min(Of(file).lock, level);
  return SQLITE_OK;
}

int CheckReservedLock(sqlite3_file* file, int* reserved) {
  *reserved = std::max(Of(file).HighestOther(), Of(file).lock) >= SQLITE_LOCK_RESERVED;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return 4096; }
int DeviceCharacteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
  CANOPY_CHECK(size == kRegionBytes);
  auto& regions = Of(file).inode->shared_memory;
  *memory = nullptr;
  while (static_cast<int>(regions.size()) <= region) {
    if (extend == 0) return SQLITE_OK;
    regions.push_back(std::make_unique<char[]>(kRegionBytes));
  }
  *memory = regions[static_cast<size_t>(region)].get();
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  Connection& connection = Of(file);
  const unsigned mask = ((1U << count) - 1U) << offset;
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    connection.shared &= ~mask;
    connection.exclusive &= ~mask;
    return SQLITE_OK;
  }
  for (const Connection* other : connection.inode->connections) {
    if (other == &connection) continue;
    const bool taken = (other->exclusive & mask) != 0 ||
                       ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && (other->shared & mask) != 0);
    if (taken) return SQLITE_BUSY;
  }
  ((flags & SQLITE_SHM_EXCLUSIVE) != 0 ? connection.exclusive : connection.shared) |= mask;
  return SQLITE_OK;
}

void ShmBarrier(sqlite3_file*) {}

int ShmUnmap(sqlite3_file* file, int deletes) {
  Of(file).shared = Of(file).exclusive = 0;
  // The last one finds nothing when it comes again, as after SQLite's own recovery.
  if (deletes != 0) Of(file).inode->shared_memory.clear();
  return SQLITE_OK;
}

const sqlite3_io_methods kMethods = {2,
                                     Close,
                                     Read,
                                     Write,
                                     Truncate,
                                     Sync,
                                     FileSize,
                                     Lock,
                                     Unlock,
                                     CheckReservedLock,
                                     FileControl,
                                     SectorSize,
                                     DeviceCharacteristics,
                                     ShmMap,
                                     ShmLock,
                                     ShmBarrier,
                                     ShmUnmap,
                                     nullptr,
                                     nullptr};

Disk& Of(sqlite3_vfs* vfs) { return *static_cast<Disk*>(vfs->pAppData); }

int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  Disk& disk = Of(vfs);
  file->pMethods = nullptr;
  if (!disk.Call()) return SQLITE_CANTOPEN;
  std::shared_ptr<Inode> inode;
  if (name == nullptr) {
    inode = std::make_shared<Inode>();
  } else if (const auto found = disk.files.find(name); found != disk.files.end()) {
    inode = found->second;
  } else if ((flags & SQLITE_OPEN_CREATE) != 0) {
    if (disk.dead) return SQLITE_CANTOPEN;
    inode = disk.files[name] = std::make_shared<Inode>();
  } else {
    return SQLITE_CANTOPEN;
  }
  auto* const connection = new Connection{&disk, inode, {}};
  if (name != nullptr && (flags & SQLITE_OPEN_DELETEONCLOSE) != 0) connection->delete_on_close = name;
  inode->connections.insert(connection);
  reinterpret_cast<File*>(file)->connection = connection;
  file->pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* vfs, const char* name, int syncs_folder) {
  return Of(vfs).Delete(name, syncs_folder != 0);
}

int Access(sqlite3_vfs* vfs, const char* name, int, int* there) {
  if (!Of(vfs).Call()) return SQLITE_IOERR_ACCESS;
  *there = Of(vfs).files.count(name) > 0;
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* name, int size, char* out) {
  sqlite3_snprintf(size, out, "%s", name);
  return SQLITE_OK;
}

int Randomness(sqlite3_vfs* vfs, int size, char* out) {
  for (int i = 0; i < size; ++i) out[i] = static_cast<char>(Of(vfs).random.Next() >> 56);
  return size;
}

int Sleep(sqlite3_vfs*, int microseconds) { return microseconds; }

int CurrentTime64(sqlite3_vfs* vfs, sqlite3_int64* julian_ms) {
  constexpr int64_t kUnixEpochMs = 210'866'760'000'000;
  *julian_ms = kUnixEpochMs + (*Of(vfs).wall_us)() / 1000;
  return SQLITE_OK;
}

int CurrentTime(sqlite3_vfs* vfs, double* julian_days) {
  sqlite3_int64 ms = 0;
  CurrentTime64(vfs, &ms);
  *julian_days = static_cast<double>(ms) / 86'400'000.0;
  return SQLITE_OK;
}

int GetLastError(sqlite3_vfs*, int, char*) { return 0; }

sqlite3_vfs* TheVfs() {
  static sqlite3_vfs vfs = {.iVersion = 2,
                            .szOsFile = sizeof(File),
                            .mxPathname = 512,
                            .pNext = nullptr,
                            .zName = "fault",
                            .pAppData = nullptr,
                            .xOpen = Open,
                            .xDelete = Delete,
                            .xAccess = Access,
                            .xFullPathname = FullPathname,
                            .xDlOpen = nullptr,
                            .xDlError = nullptr,
                            .xDlSym = nullptr,
                            .xDlClose = nullptr,
                            .xRandomness = Randomness,
                            .xSleep = Sleep,
                            .xCurrentTime = CurrentTime,
                            .xGetLastError = GetLastError,
                            .xCurrentTimeInt64 = CurrentTime64};
  return &vfs;
}

}  // namespace

namespace {

// The first file that SQLite's own file system opens in a process makes its generator begin anew: not in the
// middle of a life, then.
void OpenRealFile() {
  sqlite3_vfs* const real = sqlite3_vfs_find("unix");
  std::vector<char> memory(static_cast<size_t>(real->szOsFile));
  auto* const file = reinterpret_cast<sqlite3_file*>(memory.data());
  int flags = 0;
  const int opened =
      real->xOpen(real, "/dev/null", file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB, &flags);
  CANOPY_CHECK(opened == SQLITE_OK, "/dev/null cannot be opened");
  file->pMethods->xClose(file);
}

}  // namespace

void FaultVfs::ConfigureProcess() {
  sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
  sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 512, 1'000);
}

FaultVfs::FaultVfs(uint64_t seed) : disk_(std::make_unique<Disk>(seed)) {
  disk_->other_bytes = &other_bytes;
  disk_->wall_us = &wall_us;
  CANOPY_CHECK(TheVfs()->pAppData == nullptr, "one FaultVfs at a time");
  TheVfs()->pAppData = disk_.get();
  sqlite3_vfs_register(TheVfs(), 1);
  // SQLite's generator is the process's: another one begins for each disk.
  OpenRealFile();
  sqlite3_randomness(0, nullptr);
}

FaultVfs::~FaultVfs() {
  CANOPY_CHECK(!disk_->AnyOpen(), "a database is still open");
  sqlite3_vfs_unregister(TheVfs());
  TheVfs()->pAppData = nullptr;
}

void FaultVfs::CrashAfter(int64_t effects) { disk_->effects_left = effects; }
void FaultVfs::Crash() { disk_->dead = true; }
bool FaultVfs::crashed() const { return disk_->dead; }
bool FaultVfs::Effect() { return !disk_->Dies(); }

void FaultVfs::RestartProcess() {
  CANOPY_CHECK(!disk_->AnyOpen(), "the last process has files open");
  for (auto& [name, inode] : disk_->files) inode->shared_memory.clear();
  disk_->dead = false;
  disk_->effects_left = 0;
}

void FaultVfs::RestartMachine(Rng& rng) {
  RestartProcess();
  disk_->LosePower(rng);
}

void FaultVfs::FailCall(int64_t nth, bool from_then_on) {
  disk_->fail_in = nth;
  disk_->fail_on = from_then_on;
}

FaultVfs::Undisturbed::Undisturbed(FaultVfs& vfs) : vfs_(vfs) { vfs_.disk_->undisturbed = true; }
FaultVfs::Undisturbed::~Undisturbed() { vfs_.disk_->undisturbed = false; }

void FaultVfs::FailNextSync() { disk_->fail_sync = true; }
bool FaultVfs::next_sync_fails() const { return disk_->fail_sync; }
void FaultVfs::SetCapacity(int64_t bytes) { disk_->capacity = bytes; }
int64_t FaultVfs::Free() const {
  return disk_->capacity == 0 ? std::numeric_limits<int64_t>::max() : disk_->Free();
}
int64_t FaultVfs::Size() const { return disk_->Size(); }
int64_t FaultVfs::calls() const { return disk_->calls; }
int64_t FaultVfs::syncs() const { return disk_->syncs; }

std::map<std::string, std::string> FaultVfs::Files() const {
  std::map<std::string, std::string> files;
  for (const auto& [name, inode] : disk_->files) files[name] = inode->now;
  return files;
}

void FaultVfs::SetFiles(const std::map<std::string, std::string>& files) {
  CANOPY_CHECK(!disk_->AnyOpen(), "a file that is replaced is open");
  disk_->files.clear();
  disk_->removed.clear();
  for (const auto& [name, bytes] : files) {
    auto inode = std::make_shared<Inode>();
    inode->now = inode->durable = bytes;
    inode->name_is_durable = true;
    disk_->files[name] = std::move(inode);
  }
}

}  // namespace canopy::storage::testing
