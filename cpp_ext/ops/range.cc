// range: numbers at equal distances. Inputs: the first, the end, which is not reached, and the distance, each one element
// of one type, s32 or s64, and known before the program runs.

#include <algorithm>

#include "ops/elements.h"
#include "ops/functions.h"

namespace graphopt {

namespace {

struct Progression {
  std::int64_t first;
  std::int64_t step;
  std::int64_t count;
};

Progression progression_of(const Layouts& inputs) {
  Integers ends;
  for (const Layout& each : inputs) {
    if (each.type != inputs[0].type) throw Invalid("a range has ends of one type");
    const Integers elements = elements_of(each, "ends of a range");
    if (elements.size() != 1) throw Invalid("an end of a range is one number, not " + each.dims.text());
    ends.push_back(elements[0]);
  }
  const std::int64_t step = ends[2];
  if (step == 0) throw Invalid("a range whose distance is 0");
  if (step > 0 ? ends[0] >= ends[1] : ends[0] <= ends[1]) return {ends[0], step, 0};
  const std::uint64_t reach = step > 0 ? functions::bits(ends[1]) - functions::bits(ends[0])
                                       : functions::bits(ends[0]) - functions::bits(ends[1]);
  const std::uint64_t length = step > 0 ? functions::bits(step) : 0 - functions::bits(step);
  const std::uint64_t count = (reach - 1) / length + 1;
  return {ends[0], step, static_cast<std::int64_t>(std::min(count, std::uint64_t{2} * kMaxElements))};
}

template <typename Integer>
void fill(const Progression& numbers, void* to) {
  std::uint64_t next = functions::bits(numbers.first);
  for (std::int64_t i = 0; i < numbers.count; ++i, next += functions::bits(numbers.step)) {
    static_cast<Integer*>(to)[i] = static_cast<Integer>(next);
  }
}

class BoundRange final : public Bound {
 public:
  BoundRange(const Progression& numbers, Type type) : numbers_(numbers), type_(type) {}

  void run(const Run& run) const override {
    if (type_ == Type::kS32) {
      fill<std::int32_t>(numbers_, run.outputs[0]);
    } else {
      fill<std::int64_t>(numbers_, run.outputs[0]);
    }
  }

 private:
  Progression numbers_;
  Type type_;
};

class Range final : public Op {
 public:
  explicit Range(const Attributes& attributes) { attributes.only({}); }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 3);
    return {Layout(inputs[0].type, Dims({progression_of(inputs).count}))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundRange>(progression_of(inputs), inputs[0].type);
  }
};

}  // namespace

std::unique_ptr<Op> make_range(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Range>(attributes);
}

}  // namespace graphopt
