// One input of the fuzzer: the file of a program, true or not. Loads it, and where it is a program, runs it three times,
// to the same bits: as it is meant to, with each value in memory of its own, and by the references.
//
// LLVMFuzzerTestOneInput is the entry that libFuzzer, AFL++ and driver.cc call. Build with address and undefined
// sanitizers: values of their own have red zones around them, of which those in an arena have none.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <new>

#include "engine/file.h"
#include "engine/program.h"
#include "threads/pools.h"

namespace {

using namespace graphopt;

// Larger programs are loaded and their shapes inferred, no more: the references are slow, and an allocation that fails
// is an exception everywhere but under the address sanitizer, which ends the process.
constexpr std::int64_t kMostBytes = 1 << 20;
constexpr std::int64_t kSizes[] = {1, 3, 2, 7};

using Bytes = std::vector<unsigned char>;

// As malloc aligns it, and not a byte longer.
class Exact {
 public:
  explicit Exact(std::size_t size) : data_(static_cast<unsigned char*>(std::malloc(size ? size : 1))) {
    if (data_ == nullptr) throw std::bad_alloc();
    std::memset(data_, 0x5a, size);
  }
  Exact(Exact&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Exact(const Exact&) = delete;
  ~Exact() { std::free(data_); }
  unsigned char* data() const { return data_; }

 private:
  unsigned char* data_;
};

Dims shape_of(const Port& input, std::map<std::string, std::int64_t>& sizes) {
  std::vector<std::int64_t> shape;
  for (const Axis& axis : input.axes) {
    const std::int64_t next = kSizes[sizes.size() % std::size(kSizes)];
    shape.push_back(axis.size >= 0 ? axis.size : sizes.emplace(axis.symbol, next).first->second);
  }
  return Dims(shape);
}

void fill(const Layout& layout, unsigned char* data, std::uint32_t& state) {
  const auto next = [&] { return state = state * 1664525u + 1013904223u; };
  const std::size_t count = layout.bytes() / size_of(layout.type);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t random = next() >> 8;
    if (layout.type == Type::kF32) {
      const float value = static_cast<float>(static_cast<int>(random % 2001) - 1000) / 128.0f;
      std::memcpy(data + i * sizeof value, &value, sizeof value);
    } else if (layout.type == Type::kBool) {
      data[i] = random & 1;
    } else {
      for (std::size_t byte = 0; byte < size_of(layout.type); ++byte) {
        data[i * size_of(layout.type) + byte] = static_cast<unsigned char>(next() >> 16);
      }
    }
  }
}

// The bytes of a value of this layout, at most `kMostBytes` + 1; an axis without elements counts as one with one, for
// operators keep tables of their axes.
std::int64_t extent(const Layout& layout) {
  auto bytes = static_cast<std::int64_t>(size_of(layout.type));
  for (int axis = 0; axis < layout.dims.rank(); ++axis) {
    const std::int64_t size = std::max<std::int64_t>(1, layout.dims[axis]);
    if (size > kMostBytes / bytes) return kMostBytes + 1;
    bytes *= size;
  }
  return bytes;
}

// Whether all values together are larger than what is run here. Throws Invalid where steps are not what operators make.
bool large(const Graph& graph, const std::vector<Dims>& shapes) {
  Layouts layouts;
  for (std::size_t i = 0; i < shapes.size(); ++i) layouts.emplace_back(graph.inputs[i].type, shapes[i]);
  Inference inference;
  for (const auto& constant : graph.constants) {
    layouts.push_back(Inference::constant(constant->type, constant->dims, constant->bytes.data()));
  }
  for (const Step& step : graph.steps) {
    const auto op = kind_named(step.kind).make(*step.attributes, kernels::table_of(kernels::chosen()));
    Layouts given;
    for (const int input : step.inputs) given.push_back(layouts[static_cast<std::size_t>(input)]);
    const Layouts made = inference.outputs(*op, given);
    if (made.size() != static_cast<std::size_t>(step.outputs)) throw Invalid("a step of other outputs");
    layouts.insert(layouts.end(), made.begin(), made.end());
  }
  std::int64_t total = 0;
  for (const Layout& layout : layouts) {
    total += extent(layout);
    if (total > kMostBytes) return true;
  }
  return false;
}

// Each value in memory of its own, each operator bound to dense values.
std::vector<Exact> run_apart(const Graph& graph, const std::vector<View>& inputs, std::vector<View>& results) {
  std::vector<Exact> memory;
  std::vector<View> values = inputs;
  for (const auto& constant : graph.constants) {
    const Layout layout(constant->type, constant->dims);
    memory.emplace_back(layout.bytes());
    if (layout.bytes() > 0) std::memcpy(memory.back().data(), constant->bytes.data(), layout.bytes());
    values.push_back({layout, memory.back().data()});
  }
  for (const Step& step : graph.steps) {
    const auto op = kind_named(step.kind).make(*step.attributes, kernels::table_of(kernels::chosen()));
    Layouts given;
    std::vector<const void*> from;
    std::vector<void*> to;
    for (const int input : step.inputs) {
      given.push_back(values[static_cast<std::size_t>(input)].layout);
      given.back().elements = values[static_cast<std::size_t>(input)].data;
      from.push_back(values[static_cast<std::size_t>(input)].data);
    }
    const Layouts made = op->infer(given);
    for (const Layout& layout : made) {
      memory.emplace_back(layout.bytes());
      to.push_back(memory.back().data());
      values.push_back({layout, to.back()});
    }
    const auto bound = op->bind(given, made);
    const Exact workspace(bound->workspace() + kAlignment);
    const auto address = reinterpret_cast<std::uintptr_t>(workspace.data());
    bound->run({from.data(), to.data(), workspace.data() + (kAlignment - address % kAlignment) % kAlignment,
                shared_pool(1)});
  }
  for (const Result& output : graph.outputs) results.push_back(values[static_cast<std::size_t>(output.value)]);
  return memory;
}

// Whether all floats are the same bits, or no numbers both: which bits these have, processors leave to the order of
// operands.
bool are_same_floats(const void* found, const void* wanted, std::size_t count) {
  const auto* a = static_cast<const float*>(found);
  const auto* b = static_cast<const float*>(wanted);
  for (std::size_t i = 0; i < count; ++i) {
    if (std::memcmp(a + i, b + i, sizeof(float)) != 0 && (a[i] == a[i] || b[i] == b[i])) return false;
  }
  return true;
}

void expect_same(const View& found, const void* wanted, const char* what) {
  const std::size_t size = found.layout.bytes();
  if (size == 0 || std::memcmp(found.data, wanted, size) == 0) return;
  if (found.layout.type == Type::kF32 && are_same_floats(found.data, wanted, size / sizeof(float))) return;
  std::fprintf(stderr, "results differ: %s\n", what);
  std::abort();
}

void try_program(const unsigned char* data, std::size_t size) {
  Bytes bytes(data, data + size);
  sign(bytes);
  const Graph graph = decode(bytes.data(), bytes.size());
  if (decode(encode(graph).data(), size).steps.size() != graph.steps.size()) std::abort();
  const Program program(graph);
  std::map<std::string, std::int64_t> sizes;
  std::vector<Dims> shapes;
  for (const Port& input : graph.inputs) shapes.push_back(shape_of(input, sizes));
  if (large(graph, shapes)) return;
  const auto bound = program.bind(shapes.data());

  std::uint32_t state = static_cast<std::uint32_t>(size);
  std::vector<Exact> memory;
  std::vector<View> inputs, outputs;
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const Layout& layout : bound->inputs()) {
    memory.emplace_back(layout.bytes());
    fill(layout, memory.back().data(), state);
    inputs.push_back({layout, memory.back().data()});
    from.push_back(memory.back().data());
  }
  for (const Layout& layout : bound->outputs()) {
    memory.emplace_back(layout.bytes());
    outputs.push_back({layout, memory.back().data()});
    to.push_back(memory.back().data());
  }
  std::vector<View> apart;
  const std::vector<Exact> values = run_apart(graph, inputs, apart);
  bound->run(from.data(), to.data(), shared_pool(2));
  const std::vector<Computed> wanted = interpret(graph, inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    expect_same(outputs[i], apart[i].data, "in one arena, and each value apart");
    expect_same(outputs[i], wanted[i].bytes.data(), "by kernels, and by references");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    try_program(data, size);
  } catch (const Invalid&) {
  } catch (const std::bad_alloc&) {
  }
  return 0;
}
