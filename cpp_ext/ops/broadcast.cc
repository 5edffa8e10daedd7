// Merges axes, and cuts what is left into blocks of about the size of the first cache.

#include "ops/broadcast.h"

#include <algorithm>
#include <utility>

namespace graphopt {

namespace {

constexpr std::int64_t kBlockElements = 1 << 14;

}  // namespace

std::vector<std::int64_t> strides_of(const Layout& layout) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(layout.dims.rank()));
  std::int64_t stride = 1;
  for (int axis = layout.dims.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = stride;
    stride = axis == layout.dims.rank() - 1 ? layout.pitch : stride * layout.dims[axis];
  }
  return strides;
}

std::vector<Loop> merged(const std::vector<Loop>& loops) {
  std::vector<Loop> all;
  for (const Loop& loop : loops) {
    if (loop.size == 1) continue;
    bool same = !all.empty();
    for (std::size_t value = 0; same && value < loop.strides.size(); ++value) {
      same = all.back().strides[value] == loop.strides[value] * loop.size;
    }
    if (same) {
      all.back().size *= loop.size;
      all.back().strides = loop.strides;
    } else {
      all.push_back(loop);
    }
  }
  return all;
}

std::vector<Loop> loops_over(const Layout& y, std::initializer_list<const Layout*> values) {
  std::vector<Loop> loops;
  for (int axis = -y.dims.rank(); axis < 0; ++axis) {
    Loop loop{y.dims[axis], {}};
    for (const Layout* value : values) {
      const bool own = axis >= -value->dims.rank() && value->dims[axis] != 1;
      loop.strides.push_back(own ? strides_of(*value)[static_cast<std::size_t>(axis + value->dims.rank())] : 0);
    }
    loops.push_back(std::move(loop));
  }
  return loops;
}

Dims broadcast(const Dims& a, const Dims& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> sizes;
  for (int axis = -rank; axis < 0; ++axis) {
    const std::int64_t left = axis < -a.rank() ? 1 : a[axis];
    const std::int64_t right = axis < -b.rank() ? 1 : b[axis];
    if (left != right && left != 1 && right != 1) throw Invalid(a.text() + " and " + b.text() + " do not broadcast");
    sizes.push_back(left == 1 ? right : left);
  }
  return Dims(sizes);
}

Broadcast::Broadcast(const Layout& a, const Layout& b, const Layout& y) {
  if (y.dims.count() == 0) return;
  loops_ = merged(loops_over(y, {&a, &b, &y}));
  const auto is_row = [](const Loop& loop) {
    return loop.strides[0] <= 1 && loop.strides[1] <= 1 && loop.strides[2] == 1;
  };
  Loop columns{1, {1, 1, 1}};
  if (!loops_.empty() && is_row(loops_.back())) {
    columns = loops_.back();
    loops_.pop_back();
  }
  Loop rows{1, {0, 0, 0}};
  if (!loops_.empty()) {
    rows = loops_.back();
    loops_.pop_back();
  }
  if (rows.size > 1 ? rows.strides[0] == 0 && rows.strides[1] != 0 : columns.strides[0] == 0 && columns.strides[1] != 0) {
    exchanged_ = true;
    std::swap(rows.strides[0], rows.strides[1]);
    std::swap(columns.strides[0], columns.strides[1]);
    for (Loop& loop : loops_) std::swap(loop.strides[0], loop.strides[1]);
  }
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  grid_ = {size(rows.size),       size(columns.size),       size(rows.strides[0]),   size(rows.strides[1]),
           size(rows.strides[2]), size(columns.strides[0]), size(columns.strides[1])};
  for (const Loop& loop : loops_) outer_ *= loop.size;
  column_block_ = std::min(columns.size, kBlockElements);
  column_blocks_ = (columns.size + column_block_ - 1) / column_block_;
  row_block_ = std::min(rows.size, std::max<std::int64_t>(1, kBlockElements / column_block_));
  row_blocks_ = (rows.size + row_block_ - 1) / row_block_;
}

}  // namespace graphopt
