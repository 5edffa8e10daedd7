// Element types by name, and sizes that are checked once, when they are made.

#include "ops/tensor.h"

namespace graphopt {

namespace {

struct Fact {
  const char* name;
  std::size_t size;
};

constexpr Fact kFacts[] = {{"f32", 4}, {"u8", 1}, {"s8", 1}, {"s32", 4}, {"s64", 8}, {"bool", 1}};

}  // namespace

std::size_t size_of(Type type) { return kFacts[static_cast<std::size_t>(type)].size; }

const char* name_of(Type type) { return kFacts[static_cast<std::size_t>(type)].name; }

Type type_named(const std::string& name) {
  for (std::size_t type = 0; type < std::size(kFacts); ++type) {
    if (name == kFacts[type].name) return static_cast<Type>(type);
  }
  throw Invalid("no element type is named '" + name + "'");
}

Dims::Dims(std::initializer_list<std::int64_t> sizes) : Dims(std::vector<std::int64_t>(sizes)) {}

Dims::Dims(const std::vector<std::int64_t>& sizes) : rank_(static_cast<int>(sizes.size())) {
  if (sizes.size() > static_cast<std::size_t>(kMaxRank)) {
    throw Invalid("a tensor of " + std::to_string(sizes.size()) + " axes; at most " + std::to_string(kMaxRank));
  }
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) at_[axis] = sizes[axis];
  check();
}

void Dims::check() const {
  std::int64_t total = 1;
  for (int axis = 0; axis < rank_; ++axis) {
    const std::int64_t size = (*this)[axis];
    if (size < 0) throw Invalid("an axis of negative size in " + text());
    // Axes of size 0 count as 1: the product of any of the others is bounded too.
    if (size > 1 && total > kMaxElements / size) throw Invalid("too many elements in " + text());
    total *= size > 1 ? size : 1;
  }
}

std::int64_t Dims::count() const { return rows() * columns(); }

std::int64_t Dims::rows() const {
  std::int64_t total = 1;
  for (int axis = 0; axis + 1 < rank_; ++axis) total *= (*this)[axis];
  return total;
}

Dims Dims::with_columns(std::int64_t columns) const {
  Dims dims = *this;
  dims.at_[static_cast<std::size_t>(rank_ - 1)] = columns;
  dims.check();
  return dims;
}

bool Dims::operator==(const Dims& other) const { return rank_ == other.rank_ && at_ == other.at_; }

std::string Dims::text() const {
  std::string all = "[";
  for (int axis = 0; axis < rank_; ++axis) all += (axis ? ", " : "") + std::to_string((*this)[axis]);
  return all + "]";
}

std::size_t Layout::bytes() const {
  const std::int64_t rows = dims.rows();
  if (rows == 0 || dims.columns() == 0) return 0;
  return static_cast<std::size_t>((rows - 1) * pitch + dims.columns()) * size_of(type);
}

}  // namespace graphopt
