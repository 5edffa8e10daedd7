// Each misuse is told by the attribute's name.

#include "ops/codes.h"

#include <cmath>

namespace graphopt {

CodeRange range_of(Type type) {
  if (type == Type::kU8) return {0, 255};
  if (type == Type::kS8) return {-128, 127};
  throw Invalid(std::string("codes are of u8 or s8, not ") + name_of(type));
}

Type code_type(const Attributes& attributes, const std::string& name) {
  const Type type = attributes.type(name);
  if (type != Type::kU8 && type != Type::kS8) {
    throw Invalid("attribute '" + name + "' is " + name_of(type) + ", not u8 or s8");
  }
  return type;
}

float scale_of(const Attributes& attributes, const std::string& name) {
  const float scale = attributes.number(name);
  if (!(scale > 0)) throw Invalid("attribute '" + name + "' is not above 0");
  return scale;
}

int zero_of(const Attributes& attributes, const std::string& name, Type type) {
  const CodeRange range = range_of(type);
  return static_cast<int>(attributes.integer_in(name, range.low, range.high));
}

CodeRange bounds_of(const Attributes& attributes, const std::string& low_name, const std::string& high_name,
                    Type type) {
  const CodeRange range = range_of(type);
  CodeRange bounds = range;
  if (attributes.has(low_name)) bounds.low = attributes.integer_in(low_name, range.low, range.high);
  if (attributes.has(high_name)) bounds.high = attributes.integer_in(high_name, range.low, range.high);
  if (bounds.low > bounds.high) throw Invalid("attribute '" + low_name + "' is above '" + high_name + "'");
  return bounds;
}

std::vector<unsigned char> table_of_codes(const Attributes& attributes, const std::string& name) {
  const auto& bytes = attributes.array(name, Type::kU8).bytes;
  if (bytes.size() != 256) {
    throw Invalid("attribute '" + name + "' has " + std::to_string(bytes.size()) + " bytes, not 256");
  }
  return bytes;
}

namespace {

template <typename T>
std::vector<T> by_column(const Attributes& attributes, const std::string& name, Type type, std::int64_t count) {
  const Array& array = attributes.array(name, type);
  const std::int64_t given = array.dims.count();
  if (given != count && given != 1) {
    throw Invalid("attribute '" + name + "' has " + std::to_string(given) + " elements, not " + std::to_string(count) +
                  " or 1");
  }
  const T* from = array.as<T>();
  if (given == 1) return std::vector<T>(static_cast<std::size_t>(count), from[0]);
  return std::vector<T>(from, from + count);
}

}  // namespace

std::vector<float> scales_by_column(const Attributes& attributes, const std::string& name, std::int64_t count) {
  std::vector<float> scales = by_column<float>(attributes, name, Type::kF32, count);
  for (const float scale : scales) {
    if (!std::isfinite(scale) || !(scale > 0)) throw Invalid("attribute '" + name + "' has a scale that is not above 0");
  }
  return scales;
}

std::vector<std::int32_t> integers_by_column(const Attributes& attributes, const std::string& name,
                                             std::int64_t count) {
  if (!attributes.has(name)) return std::vector<std::int32_t>(static_cast<std::size_t>(count), 0);
  return by_column<std::int32_t>(attributes, name, Type::kS32, count);
}

}  // namespace graphopt
