// A fuzzer for compilers that have none: changes the files of a folder at random, for some seconds.
//
//   fuzz_program FOLDER SECONDS [SEED]
//
// The input at hand is written to FOLDER/../crash before it is tried: what a crash leaves there reproduces it, by
// `fuzz_program --one FILE`.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kHeader = 40;  // of a program's file: rarely worth a change
constexpr std::int64_t kOdd[] = {0,   1,    -1,   2,     3,     7,      8,          64,         127,        128,
                                 255, 256,  -128, 32767, 65535, 1 << 16, 0x7fffffff, 0xffffffff, 1LL << 40, INT64_MIN,
                                 INT64_MAX};
constexpr float kOddNumbers[] = {0.0f, -0.0f, 1.0f, -1.0f, 1e-38f, 1e38f, 1e-45f, HUGE_VALF, -HUGE_VALF, 0.5f, 255.0f};

Bytes read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void write(const fs::path& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

class Mutator {
 public:
  Mutator(const std::vector<Bytes>& files, std::uint64_t seed) : files_(files), random_(seed) {}

  Bytes next() {
    Bytes bytes = files_[below(files_.size())];
    for (std::size_t changes = 1 + below(4); changes > 0; --changes) change(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t count) { return count == 0 ? 0 : random_() % count; }

  // Small fields lie at the beginning and the end; constants in between matter less.
  std::size_t position(const Bytes& bytes) {
    const std::size_t header = below(50) == 0 ? 0 : kHeader;
    if (bytes.size() <= header) return below(bytes.size());
    return header + below(bytes.size() - header);
  }

  template <typename Value>
  void put(Bytes& bytes, Value value) {
    if (bytes.size() < sizeof value) return;
    const std::size_t at = std::min(position(bytes), bytes.size() - sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
  }

  void change(Bytes& bytes) {
    if (bytes.empty()) return;
    switch (below(10)) {
      case 0: bytes[position(bytes)] ^= static_cast<std::uint8_t>(1u << below(8)); break;
      case 1: bytes[position(bytes)] = static_cast<std::uint8_t>(random_()); break;
      case 2: bytes[position(bytes)] += static_cast<std::uint8_t>(below(2) == 0 ? 1 : -1); break;
      case 3: put(bytes, static_cast<std::int32_t>(kOdd[below(std::size(kOdd))])); break;
      case 4: put(bytes, kOdd[below(std::size(kOdd))]); break;
      case 5: put(bytes, kOddNumbers[below(std::size(kOddNumbers))]); break;
      case 6: nudge(bytes); break;
      case 7: copy_within(bytes); break;
      case 8: splice(bytes); break;
      default:
        if (below(4) == 0) bytes.resize(position(bytes));
        else nudge(bytes);
    }
  }

  // Finds a small number in four bytes, as lengths and references to values are, and makes it another small one.
  void nudge(Bytes& bytes) {
    for (int tries = 0; tries < 64; ++tries) {
      const std::size_t at = position(bytes);
      if (at + 4 > bytes.size() || bytes[at] > 64 || bytes[at + 1] != 0 || bytes[at + 2] != 0 || bytes[at + 3] != 0) continue;
      bytes[at] = static_cast<std::uint8_t>(below(2) == 0 ? below(16) : bytes[at] + (below(2) == 0 ? 1 : -1));
      return;
    }
  }

  void copy_within(Bytes& bytes) {
    const std::size_t from = position(bytes), to = position(bytes);
    const std::size_t size = std::min(1 + below(32), bytes.size() - std::max(from, to));
    std::memmove(bytes.data() + to, bytes.data() + from, size);
  }

  // The beginning of one file and the end of another.
  void splice(Bytes& bytes) {
    const Bytes& other = files_[below(files_.size())];
    bytes.resize(position(bytes));
    bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(position(other)), other.end());
  }

  const std::vector<Bytes>& files_;
  std::mt19937_64 random_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count == 3 && std::strcmp(arguments[1], "--one") == 0) {
    const Bytes bytes = read(arguments[2]);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    return 0;
  }
  if (count < 3) {
    std::fprintf(stderr, "usage: %s FOLDER SECONDS [SEED] | --one FILE\n", arguments[0]);
    return 2;
  }
  const fs::path folder = arguments[1];
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> files;
  for (const fs::path& path : paths) {
    files.push_back(read(path));
    LLVMFuzzerTestOneInput(files.back().data(), files.back().size());
  }
  if (files.empty()) {
    std::fprintf(stderr, "%s holds no file\n", arguments[1]);
    return 2;
  }
  const fs::path crash = fs::absolute(folder).lexically_normal().parent_path() / "crash";
  Mutator mutator(files, count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(std::atof(arguments[2]));
  std::int64_t tried = 0;
  for (; std::chrono::steady_clock::now() < end; ++tried) {
    const Bytes bytes = mutator.next();
    write(crash, bytes);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  fs::remove(crash);
  std::printf("%lld changed programs, of %zu files: none crashed\n", static_cast<long long>(tried), files.size());
  return 0;
}
