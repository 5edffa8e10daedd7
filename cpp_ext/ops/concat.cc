// concat: inputs one behind the other along an axis; codes of other scales are requantized, as if they were
// dequantized and quantized.
//
// Attributes: axis; for codes all of scales [inputs], zeros [inputs], y_type, y_scale, y_zero; otherwise none of these.

#include "ops/coding.h"
#include "ops/copy.h"

namespace graphopt {

namespace {

struct Part {
  StridedCopy copy;
  std::int64_t begin;  // in the output
  std::int64_t pitch;
  std::size_t size;
  bool dense;
  std::vector<unsigned char> table;  // none if the codes stay as they are
};

class BoundConcat final : public Bound {
 public:
  BoundConcat(std::vector<Part> parts, std::int64_t pitch) : parts_(std::move(parts)), pitch_(pitch) {}

  void run(const Run& run) const override {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const Part& part = parts_[i];
      auto* to = static_cast<unsigned char*>(run.outputs[0]) + part.begin * static_cast<std::int64_t>(part.size);
      // It was made in place.
      if (run.inputs[i] == to && (part.pitch == pitch_ || part.dense)) continue;
      part.copy.run(run.pool, run.inputs[i], to, part.table.empty() ? nullptr : part.table.data());
    }
  }

 private:
  std::vector<Part> parts_;
  std::int64_t pitch_;
};

class Concat final : public Op {
 public:
  Concat(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        axis_(static_cast<int>(attributes.integer_in("axis", -kMaxRank, kMaxRank - 1))),
        codes_(attributes.has("y_type")) {
    attributes.only({"axis", "scales", "zeros", "y_type", "y_scale", "y_zero"});
    if (!codes_) return;
    scales_ = attributes.numbers("scales");
    zeros_ = attributes.integers("zeros", scales_.size());
    for (const float scale : scales_) {
      if (!(scale > 0)) throw Invalid("attribute 'scales' has one that is not above 0");
    }
    for (const std::int64_t zero : zeros_) {
      if (zero < -128 || zero > 255) throw Invalid("attribute 'zeros' has " + std::to_string(zero));
    }
    y_ = Coding(attributes, "y_");
  }

  Layouts infer(const Layouts& inputs) const override {
    if (inputs.empty()) throw Invalid("takes at least one input");
    if (codes_ && inputs.size() != scales_.size()) throw Invalid("attribute 'scales' is not one for each input");
    const Dims& first = inputs[0].dims;
    const int axis = axis_of(first);
    std::vector<std::int64_t> sizes;
    for (int i = 0; i < first.rank(); ++i) sizes.push_back(i == axis ? 0 : first[i]);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Dims& dims = inputs[i].dims;
      bool fits = dims.rank() == first.rank();
      for (int each = 0; fits && each < first.rank(); ++each) fits = each == axis || dims[each] == first[each];
      if (!fits) throw Invalid(dims.text() + " is no continuation of " + first.text());
      sizes[static_cast<std::size_t>(axis)] += dims[axis];
      if (codes_) {
        codes_in(inputs[i].type, static_cast<int>(zeros_[i]));
      } else if (inputs[i].type != inputs[0].type) {
        throw Invalid(std::string(name_of(inputs[i].type)) + " is no continuation of " + name_of(inputs[0].type));
      }
    }
    return {Layout(codes_ ? y_.type : inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const Layout& y = outputs[0];
    const std::vector<std::int64_t> to = strides_of(y);
    const auto axis = static_cast<std::size_t>(axis_of(y.dims));
    std::vector<Part> parts;
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::vector<std::int64_t> from = strides_of(inputs[i]);
      std::vector<Loop> loops;
      for (std::size_t each = 0; each < to.size(); ++each) {
        loops.push_back({inputs[i].dims[static_cast<int>(each)], {from[each], to[each]}});
      }
      parts.push_back({StridedCopy(kernels_, loops, size_of(y.type)), begin, inputs[i].pitch, size_of(y.type),
                       inputs[i].dims.rows() <= 1, same(inputs[i].type, i) ? std::vector<unsigned char>() : table(inputs[i].type, i)});
      begin += inputs[i].dims[static_cast<int>(axis)] * to[axis];
    }
    return std::make_unique<BoundConcat>(std::move(parts), y.pitch);
  }

  std::int64_t place(const Layouts& inputs, const Layout& output, std::size_t index) const override {
    const int axis = axis_of(output.dims);
    if (!same(inputs[index].type, index)) return -1;
    // Behind others of its image, an input's rows would not be evenly apart.
    for (int i = 0; i < axis && axis + 1 < output.dims.rank(); ++i) {
      if (output.dims[i] != 1) return -1;
    }
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < index; ++i) begin += inputs[i].dims[axis];
    return begin * strides_of(output)[static_cast<std::size_t>(axis)];
  }

  bool pitched() const override { return true; }

 private:
  int axis_of(const Dims& dims) const {
    const int axis = axis_ < 0 ? axis_ + dims.rank() : axis_;
    if (axis < 0 || axis >= dims.rank()) throw Invalid("attribute 'axis' is none of " + dims.text());
    return axis;
  }

  bool same(Type type, std::size_t index) const {
    return !codes_ || (type == y_.type && scales_[index] == y_.scale && zeros_[index] == y_.zero);
  }

  std::vector<unsigned char> table(Type type, std::size_t index) const {
    const kernels::CodesIn in = codes_in(type, static_cast<int>(zeros_[index]));
    std::vector<unsigned char> codes(256);
    for (int i = 0; i < 256; ++i) codes[static_cast<std::size_t>(i)] = static_cast<unsigned char>(i);
    std::vector<float> values(256);
    kernels_.dequantize(codes.data(), values.data(), 256, scales_[index], in);
    kernels_.quantize(values.data(), codes.data(), 256, y_.scale, y_.kernel());
    return codes;
  }

  const kernels::Table& kernels_;
  int axis_;
  bool codes_;
  Numbers scales_;
  Integers zeros_;
  Coding y_;
};

}  // namespace

std::unique_ptr<Op> make_concat(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Concat>(attributes, kernels);
}

}  // namespace graphopt
