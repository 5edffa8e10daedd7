// numpy's types by their numbers, Python's by what they are.

#include "bindings/attributes.h"

#include <nanobind/stl/string.h>

#include <cstring>
#include <memory>

namespace nb = nanobind;
using graphopt::Type;

namespace {

Type type_of(const nb::dlpack::dtype& type) {
  if (type.lanes == 1) {
    const auto code = static_cast<nb::dlpack::dtype_code>(type.code);
    if (code == nb::dlpack::dtype_code::Float && type.bits == 32) return Type::kF32;
    if (code == nb::dlpack::dtype_code::UInt && type.bits == 8) return Type::kU8;
    if (code == nb::dlpack::dtype_code::Int && type.bits == 8) return Type::kS8;
    if (code == nb::dlpack::dtype_code::Int && type.bits == 32) return Type::kS32;
    if (code == nb::dlpack::dtype_code::Int && type.bits == 64) return Type::kS64;
    if (code == nb::dlpack::dtype_code::Bool) return Type::kBool;
  }
  throw graphopt::Invalid("an array of a type that programs do not know; they know f32, u8, s8, s32, s64 and bool");
}

nb::dlpack::dtype dtype_of(Type type) {
  switch (type) {
    case Type::kF32: return nb::dtype<float>();
    case Type::kU8: return nb::dtype<std::uint8_t>();
    case Type::kS8: return nb::dtype<std::int8_t>();
    case Type::kS32: return nb::dtype<std::int32_t>();
    case Type::kS64: return nb::dtype<std::int64_t>();
    case Type::kBool: return nb::dtype<bool>();
  }
  throw graphopt::Invalid("unknown element type");
}

graphopt::Attribute attribute_of(const nb::handle& value) {
  if (nb::isinstance<nb::bool_>(value)) return graphopt::Integers{nb::cast<bool>(value)};
  if (nb::isinstance<nb::int_>(value)) return graphopt::Integers{nb::cast<std::int64_t>(value)};
  if (nb::isinstance<nb::float_>(value)) return graphopt::Numbers{nb::cast<float>(value)};
  if (nb::isinstance<nb::str>(value)) return std::string(nb::cast<nb::str>(value).c_str());
  if (nb::isinstance<nb::list>(value) || nb::isinstance<nb::tuple>(value)) {
    graphopt::Integers integers;
    graphopt::Numbers numbers;
    bool whole = true;
    for (const nb::handle item : value) {
      whole = whole && nb::isinstance<nb::int_>(item);
      if (whole) integers.push_back(nb::cast<std::int64_t>(item));
      numbers.push_back(nb::cast<float>(item));
    }
    if (whole) return integers;
    return numbers;
  }
  const auto given = nb::cast<AnyArray>(value);
  const graphopt::Layout layout = layout_of(given);
  graphopt::Array array{layout.type, layout.dims, std::vector<unsigned char>(layout.bytes())};
  if (!array.bytes.empty()) std::memcpy(array.bytes.data(), given.data(), array.bytes.size());
  return array;
}

}  // namespace

graphopt::Layout layout_of(const AnyArray& array) {
  std::vector<std::int64_t> sizes(array.ndim());
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) sizes[axis] = static_cast<std::int64_t>(array.shape(axis));
  return {type_of(array.dtype()), graphopt::Dims(sizes)};
}

graphopt::Attributes attributes_of(const nb::dict& given) {
  graphopt::Attributes attributes;
  for (const auto [name, value] : given) attributes.set(nb::cast<std::string>(name), attribute_of(value));
  return attributes;
}

nb::object new_array(const graphopt::Layout& layout, void** data) {
  auto bytes = std::make_unique<unsigned char[]>(layout.bytes() + 1);
  *data = bytes.get();
  std::vector<std::size_t> shape;
  for (int axis = 0; axis < layout.dims.rank(); ++axis) shape.push_back(static_cast<std::size_t>(layout.dims[axis]));
  nb::capsule owner(bytes.release(), [](void* memory) noexcept { delete[] static_cast<unsigned char*>(memory); });
  return nb::cast(nb::ndarray<nb::numpy>(*data, shape.size(), shape.data(), owner, nullptr, dtype_of(layout.type)));
}
