// The reader trusts no length: none is used before that many bytes are known to be there.

#include "engine/file.h"

#include <cstring>

#include "core/hash128.h"

namespace graphopt {

namespace {

constexpr unsigned char kMagic[8] = {0x89, 'G', 'O', 'P', 'T', '\r', '\n', 0x1a};
constexpr std::size_t kHeader = 40;
constexpr std::size_t kDigestAt = 24;

enum class Tag : unsigned char { kIntegers = 0, kNumbers = 1, kText = 2, kArray = 3 };

class Writer {
 public:
  explicit Writer(std::vector<unsigned char>& bytes) : bytes_(bytes) {}

  void raw(const void* data, std::size_t size) {
    const auto* first = static_cast<const unsigned char*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }
  template <typename Number>
  void number(Number value) {
    raw(&value, sizeof value);
  }
  void length(std::size_t count) {
    if (count > 0xffffffffu) throw Invalid("too much to write to a file");
    number(static_cast<std::uint32_t>(count));
  }
  void text(const std::string& value) {
    length(value.size());
    raw(value.data(), value.size());
  }
  template <typename Number>
  void numbers(const std::vector<Number>& values) {
    length(values.size());
    raw(values.data(), values.size() * sizeof(Number));
  }
  void array(const Array& value) {
    number(value.type);
    number(static_cast<unsigned char>(value.dims.rank()));
    for (int axis = 0; axis < value.dims.rank(); ++axis) number(value.dims[axis]);
    raw(value.bytes.data(), value.bytes.size());
  }

 private:
  std::vector<unsigned char>& bytes_;
};

class Reader {
 public:
  Reader(const unsigned char* data, std::size_t size) : next_(data), left_(size) {}

  std::size_t left() const { return left_; }

  const unsigned char* raw(std::size_t size) {
    if (size > left_) throw Invalid("the program's file is cut off");
    const unsigned char* here = next_;
    next_ += size;
    left_ -= size;
    return here;
  }
  template <typename Number>
  Number number() {
    Number value;
    std::memcpy(&value, raw(sizeof value), sizeof value);
    return value;
  }
  std::uint32_t length() { return number<std::uint32_t>(); }
  std::string text() {
    const std::uint32_t size = length();
    return std::string(reinterpret_cast<const char*>(raw(size)), size);
  }
  template <typename Number>
  std::vector<Number> numbers() {
    const std::size_t size = length() * sizeof(Number);
    const unsigned char* here = raw(size);
    std::vector<Number> values(size / sizeof(Number));
    if (size > 0) std::memcpy(values.data(), here, size);
    return values;
  }
  Type type() {
    const auto value = number<unsigned char>();
    if (value > static_cast<unsigned char>(Type::kBool)) throw Invalid("the program's file holds an unknown element type");
    return static_cast<Type>(value);
  }
  Array array() {
    const Type kind = type();
    const auto rank = number<unsigned char>();
    std::vector<std::int64_t> sizes;
    for (int axis = 0; axis < rank; ++axis) sizes.push_back(number<std::int64_t>());
    const Dims dims(sizes);
    const std::size_t size = Layout(kind, dims).bytes();
    const unsigned char* here = raw(size);
    return {kind, dims, std::vector<unsigned char>(here, here + size)};
  }

 private:
  const unsigned char* next_;
  std::size_t left_;
};

void write(Writer& writer, const Port& input) {
  writer.text(input.name);
  writer.number(input.type);
  writer.length(input.axes.size());
  for (const Axis& axis : input.axes) {
    writer.number(axis.size);
    writer.text(axis.symbol);
  }
}

Port read_port(Reader& reader) {
  Port input;
  input.name = reader.text();
  input.type = reader.type();
  for (std::uint32_t axes = reader.length(); axes > 0; --axes) {
    Axis axis;
    axis.size = reader.number<std::int64_t>();
    axis.symbol = reader.text();
    input.axes.push_back(std::move(axis));
  }
  return input;
}

void write(Writer& writer, const Attribute& attribute) {
  writer.number(static_cast<Tag>(attribute.index()));
  switch (static_cast<Tag>(attribute.index())) {
    case Tag::kIntegers: return writer.numbers(std::get<Integers>(attribute));
    case Tag::kNumbers: return writer.numbers(std::get<Numbers>(attribute));
    case Tag::kText: return writer.text(std::get<std::string>(attribute));
    case Tag::kArray: return writer.array(std::get<Array>(attribute));
  }
}

Attribute read_attribute(Reader& reader) {
  const auto tag = reader.number<unsigned char>();
  switch (static_cast<Tag>(tag)) {
    case Tag::kIntegers: return reader.numbers<std::int64_t>();
    case Tag::kNumbers: return reader.numbers<float>();
    case Tag::kText: return reader.text();
    case Tag::kArray: return reader.array();
  }
  throw Invalid("the program's file holds an attribute of an unknown kind");
}

void write(Writer& writer, const Step& step) {
  writer.text(step.kind);
  writer.text(step.name);
  writer.length(step.attributes->all().size());
  for (const auto& [name, value] : step.attributes->all()) {
    writer.text(name);
    write(writer, value);
  }
  writer.length(step.inputs.size());
  for (const int input : step.inputs) writer.number(static_cast<std::int32_t>(input));
  writer.number(static_cast<std::int32_t>(step.outputs));
}

Step read_step(Reader& reader) {
  Step step;
  step.kind = reader.text();
  step.name = reader.text();
  auto attributes = std::make_shared<Attributes>();
  for (std::uint32_t count = reader.length(); count > 0; --count) {
    const std::string name = reader.text();
    attributes->set(name, read_attribute(reader));
  }
  step.attributes = std::move(attributes);
  for (std::uint32_t count = reader.length(); count > 0; --count) step.inputs.push_back(reader.number<std::int32_t>());
  step.outputs = reader.number<std::int32_t>();
  return step;
}

}  // namespace

void sign(std::vector<unsigned char>& bytes) {
  if (bytes.size() < kHeader) return;
  const std::uint64_t size = bytes.size() - kHeader;
  std::memcpy(bytes.data() + 16, &size, sizeof size);
  const auto digest = hash128(bytes.data() + kHeader, bytes.size() - kHeader);
  std::memcpy(bytes.data() + kDigestAt, digest.data(), digest.size());
}

std::vector<unsigned char> encode(const Graph& graph) {
  check(graph);
  std::vector<unsigned char> bytes;
  Writer writer(bytes);
  writer.raw(kMagic, sizeof kMagic);
  writer.number(kFileVersion);
  writer.number(std::uint32_t{0});
  bytes.resize(kHeader);
  writer.length(graph.inputs.size());
  for (const Port& input : graph.inputs) write(writer, input);
  writer.length(graph.constants.size());
  for (const auto& constant : graph.constants) writer.array(*constant);
  writer.length(graph.steps.size());
  for (const Step& step : graph.steps) write(writer, step);
  writer.length(graph.outputs.size());
  for (const Result& output : graph.outputs) {
    writer.text(output.name);
    writer.number(static_cast<std::int32_t>(output.value));
  }
  sign(bytes);
  return bytes;
}

Graph decode(const void* bytes, std::size_t size) {
  const auto* data = static_cast<const unsigned char*>(bytes);
  if (size < kHeader || std::memcmp(data, kMagic, sizeof kMagic) != 0) throw Invalid("this is no program's file");
  Reader header(data + sizeof kMagic, kHeader - sizeof kMagic);
  const auto version = header.number<std::uint32_t>();
  if (version != kFileVersion) {
    throw Invalid("the program's file is of version " + std::to_string(version) + "; this graphopt reads version " +
                  std::to_string(kFileVersion));
  }
  const auto reserved = header.number<std::uint32_t>();
  if (reserved != 0 || header.number<std::uint64_t>() != size - kHeader) throw Invalid("the program's file is cut off or too long");
  const auto digest = hash128(data + kHeader, size - kHeader);
  if (std::memcmp(data + kDigestAt, digest.data(), digest.size()) != 0) {
    throw Invalid("the program's file is damaged: its checksum does not fit its contents");
  }
  Reader reader(data + kHeader, size - kHeader);
  Graph graph;
  for (std::uint32_t count = reader.length(); count > 0; --count) graph.inputs.push_back(read_port(reader));
  for (std::uint32_t count = reader.length(); count > 0; --count) {
    graph.constants.push_back(std::make_shared<const Array>(reader.array()));
  }
  for (std::uint32_t count = reader.length(); count > 0; --count) graph.steps.push_back(read_step(reader));
  for (std::uint32_t count = reader.length(); count > 0; --count) {
    const std::string name = reader.text();
    graph.outputs.push_back({name, reader.number<std::int32_t>()});
  }
  if (reader.left() != 0) throw Invalid("the program's file holds more than a program");
  check(graph);
  return graph;
}

}  // namespace graphopt
