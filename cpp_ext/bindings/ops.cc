// One operator at a time: made, bound to arrays, run between guard pages, and timed.

#include "bindings/ops.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <cstring>
#include <optional>

#include "bindings/attributes.h"
#include "core/guarded.h"
#include "ops/op.h"

namespace nb = nanobind;
using namespace graphopt;

namespace {

using Pitches = std::optional<std::vector<std::int64_t>>;

// The bytes between the rows of a value with a pitch: an operator that writes there is caught.
constexpr int kGap = 0xA5;

void copy_rows(const Layout& from, const void* source, const Layout& to, void* target) {
  const std::size_t size = size_of(from.type);
  const auto width = static_cast<std::size_t>(from.dims.columns()) * size;
  if (width == 0) return;
  for (std::int64_t row = 0; row < from.dims.rows(); ++row) {
    std::memcpy(static_cast<char*>(target) + static_cast<std::size_t>(row * to.pitch) * size,
                static_cast<const char*>(source) + static_cast<std::size_t>(row * from.pitch) * size, width);
  }
}

void expect_gaps(const Layout& layout, const void* data) {
  if (layout.bytes() == 0) return;
  if (layout.bytes() == 0) return;
  const std::size_t size = size_of(layout.type);
  for (std::int64_t row = 0; row + 1 < layout.dims.rows(); ++row) {
    const auto* end = static_cast<const unsigned char*>(data) + static_cast<std::size_t>(row * layout.pitch) * size;
    for (auto i = static_cast<std::size_t>(layout.dims.columns()) * size;
         i < static_cast<std::size_t>(layout.pitch) * size; ++i) {
      if (end[i] != kGap) throw std::runtime_error("the operator wrote between the rows of its output");
    }
  }
}

// An operator bound to arrays of some shapes, each in memory of its own between guard pages.
class BoundOperator {
 public:
  BoundOperator(const Op& op, const std::vector<AnyArray>& inputs, int threads, bool at_start, const Pitches& pitches)
      : pool_(threads) {
    Layouts dense;
    for (const AnyArray& input : inputs) {
      dense.push_back(layout_of(input));
      dense.back().elements = input.data();
    }
    outputs_ = op.infer(dense);
    Layouts laid = dense;
    std::vector<Layout*> values;
    for (Layout& each : laid) values.push_back(&each);
    for (Layout& each : outputs_) values.push_back(&each);
    if (pitches) {
      if (pitches->size() != values.size()) throw Invalid("pitches: one for each input and output");
      for (std::size_t i = 0; i < values.size(); ++i) {
        if ((*pitches)[i] < values[i]->dims.columns()) throw Invalid("pitches: rows would overlap");
        values[i]->pitch = (*pitches)[i];
      }
    }
    for (const Layout* each : values) {
      memory_.emplace_back(each->bytes(), size_of(each->type), at_start);
      std::memset(memory_.back().data(), kGap, each->bytes());
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      copy_rows(dense[i], inputs[i].data(), laid[i], memory_[i].data());
      input_data_.push_back(memory_[i].data());
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) output_data_.push_back(memory_[inputs.size() + i].data());
    bound_ = op.bind(laid, outputs_);
    memory_.emplace_back(bound_->workspace(), kAlignment, at_start);
    std::memset(memory_.back().data(), kGap, bound_->workspace());
  }

  std::vector<nb::object> run() {
    {
      const nb::gil_scoped_release unlocked;
      once();
    }
    std::vector<nb::object> results;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      expect_gaps(outputs_[i], output_data_[i]);
      void* data = nullptr;
      results.push_back(new_array(Layout(outputs_[i].type, outputs_[i].dims), &data));
      copy_rows(outputs_[i], output_data_[i], Layout(outputs_[i].type, outputs_[i].dims), data);
    }
    return results;
  }

  // Seconds a run, over `repeats` of them.
  double seconds(int repeats) {
    const nb::gil_scoped_release unlocked;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) once();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
  }

 private:
  void once() { bound_->run({input_data_.data(), output_data_.data(), memory_.back().data(), pool_}); }

  ThreadPool pool_;
  Layouts outputs_;
  std::vector<Guarded> memory_;
  std::vector<const void*> input_data_;
  std::vector<void*> output_data_;
  std::unique_ptr<Bound> bound_;
};

class Operator {
 public:
  Operator(const std::string& kind, const nb::dict& attributes, const std::optional<std::string>& tier)
      : kind_(kind_named(kind)),
        attributes_(attributes_of(attributes)),
        op_(kind_.make(attributes_,
                       kernels::table_of(tier ? kernels::tier_named(tier->c_str()) : kernels::chosen()))) {}

  std::unique_ptr<BoundOperator> bind(const std::vector<AnyArray>& inputs, int threads, bool at_start,
                                      const Pitches& pitches) const {
    return std::make_unique<BoundOperator>(*op_, inputs, threads, at_start, pitches);
  }

  std::vector<nb::object> reference(const std::vector<AnyArray>& inputs) const {
    std::vector<View> given;
    Layouts layouts;
    for (const AnyArray& input : inputs) {
      layouts.push_back(layout_of(input));
      layouts.back().elements = input.data();
      given.push_back({layouts.back(), const_cast<void*>(input.data())});
    }
    std::vector<View> wanted;
    std::vector<nb::object> results;
    for (const Layout& layout : op_->infer(layouts)) {
      void* data = nullptr;
      results.push_back(new_array(layout, &data));
      wanted.push_back({layout, data});
    }
    kind_.reference(attributes_, given, wanted);
    return results;
  }

  bool pitched() const { return op_->pitched(); }

 private:
  const Kind& kind_;
  Attributes attributes_;
  std::unique_ptr<Op> op_;
};

std::vector<std::string> available_tiers() {
  std::vector<std::string> names;
  for (int tier = 0; tier < kernels::kTiers; ++tier) {
    if (kernels::available(static_cast<kernels::Tier>(tier))) names.emplace_back(name_of(static_cast<kernels::Tier>(tier)));
  }
  return names;
}

// Each kernel and the tiers that have their own.
std::vector<std::pair<std::string, std::vector<std::string>>> kernel_table() {
  std::vector<std::pair<std::string, std::vector<std::string>>> rows;
#define KERNEL(name, type, ...) \
  { \
    const bool own[] = {__VA_ARGS__}; \
    rows.push_back({#name, {}}); \
    for (int tier = 0; tier < kernels::kTiers; ++tier) { \
      if (own[tier]) rows.back().second.emplace_back(name_of(static_cast<kernels::Tier>(tier))); \
    } \
  }
#include "kernels/kernels.inc"
#undef KERNEL
  return rows;
}

// Operations a second (each product and each sum is one) of one thread, at most, of this tier.
double peak(const std::optional<std::string>& tier) {
  constexpr std::int64_t kRounds = 20000;
  const auto kernel = kernels::table_of(tier ? kernels::tier_named(tier->c_str()) : kernels::chosen()).peak;
  const nb::gil_scoped_release unlocked;
  std::int32_t sink = 1;
  const auto start = std::chrono::steady_clock::now();
  const auto products = static_cast<double>(kernel(kRounds, &sink));
  return 2 * products / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::vector<std::string> operator_kinds() {
  std::vector<std::string> names;
  for (const Kind& kind : kinds()) names.emplace_back(kind.name);
  return names;
}

}  // namespace

void bind_ops(nb::module_& module) {
  module.def("kernel_tiers", &available_tiers, "Instruction sets that this processor has kernels for, oldest first.");
  module.def("kernel_tier", [] { return std::string(name_of(kernels::chosen())); },
             "The instruction set in use: the newest, or what GRAPHOPT_ISA allows.");
  module.def("kernel_table", &kernel_table, "Each kernel with the instruction sets that have their own.");
  module.def("kernel_peak", &peak, nb::arg("tier") = nb::none(),
             "Operations a second that one thread makes at most, products and sums of codes, measured now.");
  module.def("operator_kinds", &operator_kinds, "Kinds of operators that programs are made of.");
  nb::class_<BoundOperator>(module, "BoundOperator", "An operator bound to arrays, which lie between guard pages.")
      .def("run", &BoundOperator::run, "New arrays of what it computes.")
      .def("seconds", &BoundOperator::seconds, nb::arg("repeats"), "Seconds a run, over so many of them.");
  nb::class_<Operator>(module, "Operator", "One operator of a program, on its own: for tests and benchmarks.")
      .def(nb::init<const std::string&, const nb::dict&, const std::optional<std::string>&>(), nb::arg("kind"),
           nb::arg("attributes"), nb::arg("tier") = nb::none())
      .def("bind", &Operator::bind, nb::arg("inputs"), nb::arg("threads") = 1, nb::arg("at_start") = false,
           nb::arg("pitches") = nb::none(), nb::keep_alive<0, 1>())
      .def("reference", &Operator::reference, nb::arg("inputs"), "What its plain reference computes.")
      .def_prop_ro("pitched", &Operator::pitched);
}
